# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a surface is hidden from the sky, or has its other side close behind it: by rays from each place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from mathutils.bvhtree import BVHTree

__all__ = ["COARSE", "Hidden", "enlarged", "measure_hidden"]

COARSE = 96
"""Most pixels a side in which rays are cast; a larger mask is filled in between."""
_PLACES = 6000
"""Most places from which rays are cast; of more, those that lie and look alike share theirs."""
_RAYS = 32
_THICK = 0.05
"""How far inwards the other side counts, as a share of the object's diagonal."""
_OFF = 1e-5
"""How far from the surface rays start, as a share of the diagonal."""
_FROM, _FULL = 0.1, 0.5
"""Share of the rays that meet something: where a place begins to count, and from where it counts fully."""
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True, eq=False)
class Hidden:
    """What rays from a surface meet.

    Args:
        corners: float64 [F, 3, 3], of the triangles, about their middle. normals: [F, 3], the way rays go; 0 where a
            triangle has no area. tree: the same triangles. reach: length of the rays. start: their distance from the
            surface.
    """

    corners: npt.NDArray[np.float64]
    normals: npt.NDArray[np.float64]
    tree: BVHTree
    reach: float
    start: float

    def at(self, triangle: npt.NDArray[np.int64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """Returns how much places count, float32 [N] of 0 to 1, by triangles [N] and barycentric weights [N, 3]."""
        places = (weights[:, :, None] * self.corners[triangle]).sum(axis=1)
        first, of = _alike(places, self.normals[triangle], self.start / _OFF)
        share = self.share(triangle[first], weights[first])[of]
        return ((share - _FROM) / (_FULL - _FROM)).clip(0.0, 1.0).astype(np.float32)

    def share(self, triangle: npt.NDArray[np.int64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Returns the share of an even sky that rays do not reach, [N]; the same places give the same numbers."""
        normals = self.normals[triangle]
        places = (weights[:, :, None] * self.corners[triangle]).sum(axis=1) + self.start * normals
        found = np.zeros(len(triangle))
        cast, reach = self.tree.ray_cast, self.reach
        for index, (place, normal) in enumerate(zip(places.tolist(), normals, strict=True)):
            if normal.any():
                rays = _sky(normal, index * _GOLDEN % 1.0).tolist()
                found[index] = sum(cast(place, ray, reach)[0] is not None for ray in rays) / _RAYS
        return found


def measure_hidden(positions: npt.NDArray[np.float32], faces: npt.NDArray[np.int32], *, inside: bool) -> Hidden:
    """Prepares a mesh for rays: outwards as far as it goes, or a short way inwards.

    Args:
        positions: [V, 3]. faces: [F, 3], turned so that their front is outside.
    """
    middle = (positions.min(axis=0) + positions.max(axis=0)) / 2.0
    placed = positions.astype(np.float64) - middle
    size = float(np.linalg.norm(placed.max(axis=0) - placed.min(axis=0)))
    corners = placed[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    flat = lengths <= 1e-10 * lengths.max(initial=0.0)
    normals = np.where(flat, 0.0, normals / np.where(flat, 1.0, lengths)) * (-1.0 if inside else 1.0)
    tree = BVHTree.FromPolygons(placed.tolist(), faces.tolist(), all_triangles=True)
    return Hidden(corners, normals, tree, (_THICK if inside else 2.0) * size, _OFF * size)


def _alike(
    places: npt.NDArray[np.float64], normals: npt.NDArray[np.float64], size: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Returns the indices of places with rays, and for each place which of them stands for it: itself of at most
    `_PLACES`; of more, the first one in its cell of a grid that looks about the same way.
    """
    every = np.arange(len(places))
    if len(places) <= _PLACES:
        return every, every
    cells = 64.0
    while True:
        # Sides of cells begin beside 0, in which the middle of many a mesh lies.
        grid = np.floor(places / max(size, 1e-30) * cells + 0.37).astype(np.int64)
        looks = np.round(normals * (1.0 if cells > 4.0 else 0.0)).astype(np.int64)
        _, first, of = np.unique(np.concatenate([grid, looks], axis=1), axis=0, return_index=True, return_inverse=True)
        if len(first) <= _PLACES:
            return first, of.reshape(-1)
        cells /= 1.25


def enlarged(image: npt.NDArray[np.float32], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Returns an image [h, w] in another width and height, mixed between the middles of its pixels."""
    width, height = size
    rows, down = _between(image.shape[0], height)
    columns, across = _between(image.shape[1], width)
    upper = np.minimum(rows + 1, image.shape[0] - 1)
    right = np.minimum(columns + 1, image.shape[1] - 1)
    mixed = image[rows] * (1.0 - down)[:, None] + image[upper] * down[:, None]
    return (mixed[:, columns] * (1.0 - across) + mixed[:, right] * across).astype(np.float32)


def _between(count: int, wanted: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The pixel before each of the wanted ones, and the way from it to the next."""
    at = ((np.arange(wanted) + 0.5) * count / wanted - 0.5).clip(0.0, count - 1.0)
    first = np.floor(at).astype(np.int64)
    return first, at - first


def _sky(normal: npt.NDArray[np.float64], turn: float) -> npt.NDArray[np.float64]:
    """Directions about a normal, as many as the sky's light counts from each: rays over a disc of even points."""
    radius = np.sqrt((np.arange(_RAYS) + 0.5) / _RAYS)
    angle = 2.0 * np.pi * (np.arange(_RAYS) * _GOLDEN + turn)
    # Duff et al., "Building an Orthonormal Basis, Revisited", 2017.
    sign = 1.0 if normal[2] >= 0.0 else -1.0
    a = -1.0 / (sign + normal[2])
    b = normal[0] * normal[1] * a
    first = np.array((1.0 + sign * normal[0] ** 2 * a, sign * b, -sign * normal[0]))
    second = np.array((b, sign + normal[1] ** 2 * a, -normal[1]))
    flat = radius[:, None] * (np.cos(angle)[:, None] * first + np.sin(angle)[:, None] * second)
    return flat + np.sqrt(1.0 - radius**2)[:, None] * normal
