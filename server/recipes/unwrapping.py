# SPDX-License-Identifier: Apache-2.0
"""A job for new UVs: its mesh's polygons, unwrapped by `pgc`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from blender_addon.protocol.specs.job import TextureJobSpec
from pgc.mesh import Mesh, unwrap
from server.recipes.polygons import polygons_of
from server.recipes.sources import ReadArray
from server.unwrapper import has_unwrapper, no_unwrapper

__all__ = ["new_corner_uvs"]


def new_corner_uvs(spec: TextureJobSpec, read: ReadArray, progress: Callable[[float], None]) -> npt.NDArray[np.float32]:
    """Makes new UVs [F, 3, 2] in [0, 1]: no overlaps, the polygons of `polygon_index` whole. Corners of one polygon at
    one position have one UV; those of triangles that name a position twice lie in the origin.

    Args:
        read: the array behind a reference.
        progress: gets 0..1, an estimate by time; what it raises ends the work.

    Raises:
        ProtocolError: xatlas is not installed.
        MeshError: the mesh has no area, or xatlas fails.
    """
    if not has_unwrapper():
        raise no_unwrapper()
    given = spec.meshes[0]
    polygons = polygons_of(read(given.faces), None if given.polygon_index is None else read(given.polygon_index))
    mesh = unwrap(
        Mesh(
            name=given.name,
            positions=read(given.positions).astype(np.float64),
            polygon_sizes=polygons.sizes,
            corner_positions=polygons.corner_positions,
            uvs=None,
            corner_uvs=None,
            normals=None,
            corner_normals=None,
            material_index=np.zeros(len(polygons.sizes), dtype=np.int32),
            material_names=("",),
            up_axis="z",
        ),
        progress,
    )
    result = np.zeros((*polygons.corner.shape, 2), dtype=np.float32)
    placed = polygons.corner >= 0
    if mesh.uvs is not None and mesh.corner_uvs is not None:
        result[placed] = mesh.uvs[mesh.corner_uvs[polygons.corner[placed]]]
    return result
