# SPDX-License-Identifier: Apache-2.0
"""Polygons that do not lie flat: crossing themselves, winding twice, bent, torn by triangles without area."""

from dataclasses import replace

import numpy as np

from pgc.mesh import Mesh

__all__ = ["SHAPES", "odd_mesh", "polygons_mesh"]


def polygons_mesh(polygons: list[np.ndarray]) -> Mesh:
    """A mesh of polygons that share no vertex."""
    sizes = np.array([len(polygon) for polygon in polygons], dtype=np.int32)
    return Mesh(
        name="test",
        positions=np.concatenate(polygons).astype(np.float64),
        polygon_sizes=sizes,
        corner_positions=np.arange(int(sizes.sum()), dtype=np.int32),
        uvs=None,
        corner_uvs=None,
        normals=None,
        corner_normals=None,
        material_index=np.zeros(len(polygons), dtype=np.int32),
        material_names=("",),
        up_axis="z",
    )


def _in_plane(points: list[tuple[float, float]] | np.ndarray) -> np.ndarray:
    flat = np.asarray(points, dtype=np.float64)
    return np.c_[flat, np.zeros(len(flat))]


def _pentagram() -> np.ndarray:
    angles = 2 * np.pi * 2 * np.arange(5) / 5
    return _in_plane(np.stack([np.cos(angles), np.sin(angles)], axis=1))


def _double_loop() -> np.ndarray:
    """Round its middle twice, as a coil cut from a sheet that lies on itself."""
    angles = np.linspace(0, 4 * np.pi, 25)[:-1]
    radius = 1.0 + 0.02 * angles
    return _in_plane(np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1))


def _bow_tie() -> np.ndarray:
    return _in_plane([(0, 0), (3, 2), (3, -0.5), (0, 1.5), (-1, 1), (-1, 0.5)])


def _crossed_frame() -> np.ndarray:
    """A frame, cut open to its hole, whose inner outline runs the wrong way round."""
    outer = [(0, 0), (4, 0), (4, 3), (0, 3), (0, 0)]
    inner = [(1, 1), (3, 1), (3, 2), (1, 2), (1, 1)]
    return _in_plane(outer + inner)


def _bent_strip() -> np.ndarray:
    """One polygon around three sides of a box and back under itself."""
    path = np.array([(0, 0), (3, 0), (3, 1), (0, 1), (0, 0.2), (2.5, 0.2)], dtype=np.float64)
    there = np.c_[path[:, 0], np.zeros(len(path)), path[:, 1]]
    return np.concatenate([there, there[::-1] + np.array([0, 0.6, 0])])


def _dumbbell() -> np.ndarray:
    """Two plates at the ends of a polygon; between them it has no width."""
    half = np.array([(0, 0), (1, 0), (1, 0.5), (9, 0.5), (9, 0), (10, 0)])
    return _in_plane(np.concatenate([half, np.array([10.0, 1.0]) - half]))


def _needle_with_a_flap() -> np.ndarray:
    """A needle whose end turns out of its plane by a hair: the triangles there have no area to speak of."""
    return np.array([(0, 0, 0), (0.01, 13.54, 1e-6), (0, 13.54, 0), (0, 0.01, 0.0), (0, 0.01, -0.01)], dtype=np.float64)


def _folded_sheet() -> np.ndarray:
    return _in_plane([(0, 0), (4, 0), (4, 1), (1, 1.1), (3, 1.2), (3, 2), (0, 2), (2, 0.6)])


SHAPES = {
    "a pentagram": _pentagram,
    "a loop that winds twice": _double_loop,
    "a bow tie": _bow_tie,
    "a frame that crosses itself": _crossed_frame,
    "a strip bent under itself": _bent_strip,
    "two plates on a line": _dumbbell,
    "a needle with a flap": _needle_with_a_flap,
    "a folded sheet": _folded_sheet,
}


def odd_mesh(kind: str) -> Mesh:
    """Twelve of a shape, of different size and place, beside a few sound boards."""
    shape = SHAPES[kind]()
    extent = float(np.ptp(shape, axis=0).max())
    generator = np.random.default_rng(5)
    polygons = [shape * (0.5 + generator.random()) / extent + generator.random(3) * 6.0 for _ in range(12)]
    board = _in_plane([(0, 0), (1.2, 0), (1.2, 0.7), (0, 0.7)])
    polygons += [board + np.array([0.0, 0.0, 8.0 + number]) for number in range(4)]
    return replace(polygons_mesh(polygons), name=kind.replace(" ", "-"))
