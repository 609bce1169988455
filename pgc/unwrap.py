# SPDX-License-Identifier: Apache-2.0
"""UVs for a mesh without them, by xatlas."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import xatlas

from pgc.mesh_data import Mesh
from pgc.triangulation import triangulate

__all__ = ["unwrap"]


def unwrap(mesh: Mesh, progress: Callable[[float], None] | None = None) -> Mesh:
    triangles = triangulate(mesh)
    _, indices, uvs = xatlas.parametrize(triangles.positions, triangles.faces.astype(np.uint32))
    flat = np.zeros((len(mesh.corner_positions), 2), dtype=np.float32)
    flat[triangles.corner_index.ravel()] = uvs[indices.ravel()]
    if progress is not None:
        progress(1.0)
    return replace(mesh, uvs=flat, corner_uvs=np.arange(len(flat), dtype=np.int32))
