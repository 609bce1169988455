# SPDX-License-Identifier: GPL-3.0-or-later
"""A small picture of a textured mesh, by points on its surface: no window, no graphics card, no scene. Pure numpy.

A list of versions is told apart by what they look like on the object; an atlas of charts shows nobody that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["PortraitMesh", "draw_portrait"]

_BACKGROUND = 56
_BARE = 128
"""Gray of what is not textured."""
_POINTS_PER_PIXEL = 4
_FILLED = 0.92
"""Share of the picture that the object takes, along its longer side."""
_AZIMUTH, _ELEVATION = 0.6, 0.4
"""Radians: from where it is seen, right of Blender's front view and above it."""
_LAYER = 0.04
"""Points that are this much farther than the nearest one around, as a share of the object's size, are behind it."""


@dataclass(frozen=True, eq=False)
class PortraitMesh:
    """Triangles in space and in the texture.

    Args:
        corners: float32 [T, 3, 3], positions. uvs: float32 [T, 3, 2]. textured: bool [T]; the rest stays gray.
    """

    corners: npt.NDArray[np.float32]
    uvs: npt.NDArray[np.float32]
    textured: npt.NDArray[np.bool_]


def draw_portrait(mesh: PortraitMesh, pixels: npt.NDArray[np.uint8], side: int = 128) -> npt.NDArray[np.uint8] | None:
    """Returns the object from in front, right and above, with the picture on it; None where there is nothing to see.

    Args:
        pixels: uint8 [H, W, C] with 1, 3 or 4 channels, sRGB, row 0 at the top; it repeats outside of 0 to 1.

    Returns:
        uint8 [side, side, 3], sRGB, row 0 at the top.
    """
    if not len(mesh.corners) or not np.isfinite(mesh.corners).all():
        return None
    seen = mesh.corners @ _view()
    low, high = seen[..., :2].min((0, 1)), seen[..., :2].max((0, 1))
    extent = float((high - low).max())
    if extent <= 0.0:
        return None
    edges = seen[:, 1:] - seen[:, :1]
    normals = np.cross(edges[:, 0], edges[:, 1])
    facing = np.abs(normals[:, 2])
    if float(facing.sum()) <= 0.0:
        return None
    triangle, weights = _points(facing, _POINTS_PER_PIXEL * side * side)
    place = np.einsum("nk,nkd->nd", weights, seen[triangle])
    at = ((place[:, :2] - (low + high) / 2) * (_FILLED * side / extent) + side / 2).astype(np.int32)
    columns, rows = at[:, 0].clip(0, side - 1), side - 1 - at[:, 1].clip(0, side - 1)
    light = 0.45 + 0.55 * facing[triangle] / np.maximum(np.linalg.norm(normals, axis=1), 1e-30)[triangle]
    colors = _colors(mesh, pixels, triangle, weights) * light[:, None].astype(np.float32)
    return _nearest(rows, columns, place[:, 2] / extent, colors, side)


def _view() -> npt.NDArray[np.float32]:
    """Columns: right, up, and toward the eye, for an eye in front (-Y), right and above."""
    sin, cos = np.sin(_AZIMUTH), np.cos(_AZIMUTH)
    up, flat = np.sin(_ELEVATION), np.cos(_ELEVATION)
    right = (cos, sin, 0.0)
    toward = (sin * flat, -cos * flat, up)
    above = (-sin * up, cos * up, flat)
    return np.array([right, above, toward], np.float32).T


def _points(area: npt.NDArray[np.float32], count: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Triangle and barycentric weights of points that lie evenly in the picture; the same in every call."""
    index = np.arange(count)
    total = np.cumsum(area, dtype=np.float64)
    triangle = np.searchsorted(total, (index + 0.5) / count * total[-1]).clip(0, len(area) - 1)
    # The additive sequence of the plastic number covers a square evenly; its far half is folded onto the triangle.
    a, b = (index * 0.7548776662466927) % 1.0, (index * 0.5698402909980532) % 1.0
    over = a + b > 1.0
    a, b = np.where(over, 1.0 - a, a), np.where(over, 1.0 - b, b)
    return triangle, np.stack([1.0 - a - b, a, b], 1).astype(np.float32)


def _colors(
    mesh: PortraitMesh, pixels: npt.NDArray[np.uint8], triangle: npt.NDArray[np.intp], weights: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    height, width = pixels.shape[:2]
    uv = np.nan_to_num(np.einsum("nk,nkd->nd", weights, mesh.uvs[triangle]))
    uv -= np.floor(uv)
    column = (uv[:, 0] * width).astype(np.intp).clip(0, width - 1)
    row = ((1.0 - uv[:, 1]) * height).astype(np.intp).clip(0, height - 1)
    color = np.repeat(pixels, 3, axis=2) if pixels.shape[2] < 3 else pixels[..., :3]
    found = color[row, column].astype(np.float32)
    found[~mesh.textured[triangle]] = _BARE
    return found


def _nearest(
    rows: npt.NDArray[np.int32],
    columns: npt.NDArray[np.int32],
    near: npt.NDArray[np.float32],
    colors: npt.NDArray[np.float32],
    side: int,
) -> npt.NDArray[np.uint8]:
    """The nearest point of each pixel, where it is not behind its neighbours; small gaps get their surroundings."""
    order = np.argsort(near)
    rows, columns, near = rows[order], columns[order], near[order]
    # Of several that are written to one place, the last one stays, which is the nearest.
    blocks = np.full((side // 2 + 1, side // 2 + 1), -np.inf, np.float32)
    blocks[rows // 2, columns // 2] = near
    front = near >= blocks[rows // 2, columns // 2] - _LAYER
    picture = np.zeros((side + 2, side + 2, 3), np.float32)
    filled = np.zeros((side + 2, side + 2), np.float32)
    picture[rows[front] + 1, columns[front] + 1] = colors[order][front]
    filled[rows[front] + 1, columns[front] + 1] = 1.0
    summed, count = np.zeros((side, side, 3), np.float32), np.zeros((side, side), np.float32)
    for down in range(3):
        for right in range(3):
            window = slice(down, down + side), slice(right, right + side)
            summed += picture[window]
            count += filled[window]
    inside = slice(1, side + 1), slice(1, side + 1)
    picture, filled = picture[inside], filled[inside]
    gap = (filled == 0.0) & (count >= 5.0)
    picture[gap] = summed[gap] / count[gap][:, None]
    picture[(filled == 0.0) & ~gap] = _BACKGROUND
    return np.round(picture).clip(0, 255).astype(np.uint8)
