# SPDX-License-Identifier: GPL-3.0-or-later
"""Colors that a mesh has at its vertices or corners, for a texture to start from."""

from __future__ import annotations

import bpy
import numpy as np
import numpy.typing as npt

from ..errors import SceneError

__all__ = ["corner_colors", "has_colors"]


def has_colors(obj: bpy.types.Object | None) -> bool:
    """Says whether an object has a color attribute of its own; cheap enough for drawing."""
    return obj is not None and obj.type == "MESH" and len(obj.data.color_attributes) > 0


def corner_colors(
    obj: bpy.types.Object, mesh: bpy.types.Mesh, faces: npt.NDArray[np.int32], corners: npt.NDArray[np.int32]
) -> npt.NDArray[np.float32]:
    """Returns the active color attribute of an evaluated mesh: float32 [F, 3, 3], linear, cut to [0, 1].

    Args:
        faces: vertices of its triangles [F, 3]; corners: their loops [F * 3].

    Raises:
        SceneError: it has none.
    """
    attributes = mesh.color_attributes
    if not len(attributes):
        lost = ": its modifiers lose them" if has_colors(obj) else ""
        raise SceneError(
            f"{obj.name} has no vertex colors to start from{lost}; paint some, or switch off Start with Vertex Colors."
        )
    attribute = attributes.active_color or attributes[0]
    values = np.empty(len(attribute.data) * 4, np.float32)
    attribute.data.foreach_get("color", values)
    index = faces.reshape(-1) if attribute.domain == "POINT" else corners
    colors = values.reshape(-1, 4)[index, :3].reshape(len(faces), 3, 3)
    return np.nan_to_num(colors, nan=0.0).clip(0.0, 1.0).astype(np.float32)
