# SPDX-License-Identifier: Apache-2.0
"""Shapes of the warm start's tests, with new UVs."""

from __future__ import annotations

import numpy as np
import trimesh

from pgc.mesh import Mesh, PreparedMesh, prepare_mesh


def prepared(shape: trimesh.Trimesh) -> PreparedMesh:
    """A shape ready for a run."""
    faces = np.asarray(shape.faces, dtype=np.int32)
    mesh = Mesh(
        name="shape",
        positions=np.asarray(shape.vertices, dtype=np.float64),
        polygon_sizes=np.full(len(faces), 3, dtype=np.int32),
        corner_positions=faces.reshape(-1),
        uvs=None,
        corner_uvs=None,
        normals=None,
        corner_normals=None,
        material_index=np.zeros(len(faces), dtype=np.int32),
        material_names=("only",),
        up_axis="z",
    )
    return prepare_mesh(mesh)
