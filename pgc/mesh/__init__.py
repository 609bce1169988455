# SPDX-License-Identifier: Apache-2.0
"""Meshes, in one place to import from: load, unwrap, triangulate, prepare for a run.

    mesh = load_mesh("chair.obj")        # the caller's data, bit for bit
    prepared = prepare_mesh(mesh)        # triangles, Z-up, in [-0.8, 0.8]^3; unwrapped if UVs are missing

data, checks, origin   what a mesh is        formats/   files of each format to a mesh
uvs/   its own UVs, new ones, charts         preparation   all that a run needs of a mesh

Files of this folder import each other, never this face.
"""

from pgc.mesh.checks import MAX_TRIANGLES, MAX_TRIANGLES_TO_UNWRAP
from pgc.mesh.data import Mesh, MeshReport, Normalization, PreparedMesh, TriangleMesh, UpAxis, UvSet
from pgc.mesh.loading import load_mesh
from pgc.mesh.preparation import prepare_mesh
from pgc.mesh.triangulation import triangulate
from pgc.mesh.uvs.charts import SeamEdges, chart_ids, seam_edges
from pgc.mesh.uvs.policy import UvPolicy
from pgc.mesh.uvs.unwrap import unwrap

__all__ = [
    "MAX_TRIANGLES",
    "MAX_TRIANGLES_TO_UNWRAP",
    "Mesh",
    "MeshReport",
    "Normalization",
    "PreparedMesh",
    "SeamEdges",
    "TriangleMesh",
    "UpAxis",
    "UvPolicy",
    "UvSet",
    "chart_ids",
    "load_mesh",
    "prepare_mesh",
    "seam_edges",
    "triangulate",
    "unwrap",
]
