# SPDX-License-Identifier: Apache-2.0
"""Polygons found again from their triangles."""

import numpy as np
import pytest

from pgc.mesh import Mesh, triangulate
from server.recipes.polygons import polygons_of


def fan_mesh(sizes, seed):
    """Convex polygons of given sizes around a ring; neighbours share positions."""
    rng = np.random.default_rng(seed)
    positions, corners = [], []
    for number, size in enumerate(sizes):
        angles = np.sort(rng.uniform(0, 2 * np.pi, size)) if size > 3 else np.arange(3) * 2.0
        ring = np.stack([np.cos(angles), np.sin(angles), np.full(size, float(number))], axis=1)
        corners.append(np.arange(size) + len(positions))
        positions.extend(ring)
        if number and rng.random() < 0.7:
            corners[-1][0] = corners[-2][-1]
    return Mesh(
        name="fans",
        positions=np.array(positions),
        polygon_sizes=np.array(sizes, np.int32),
        corner_positions=np.concatenate(corners).astype(np.int32),
        uvs=None,
        corner_uvs=None,
        normals=None,
        corner_normals=None,
        material_index=np.zeros(len(sizes), np.int32),
        material_names=("",),
        up_axis="z",
    )


def rings(sizes, corners):
    """Each polygon's positions, turned so that the lowest is first: what does not change with where one starts."""
    parts = np.split(np.asarray(corners), np.cumsum(sizes)[:-1])
    return [tuple(np.roll(part, -int(np.argmin(part))).tolist()) for part in parts]


@pytest.mark.parametrize("seed", range(8))
def test_outlines_are_those_that_were_triangulated(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(3, 9, 40).tolist()
    mesh = fan_mesh(sizes, seed)
    triangles = triangulate(mesh)
    corners = mesh.corner_positions[triangles.corner_index]
    order = rng.permutation(len(corners))
    turns = rng.integers(0, 3, len(corners))
    faces = np.stack([np.roll(row, -turn) for row, turn in zip(corners, turns, strict=True)])[order].astype(np.int32)
    # Any numbers will do, in any order.
    numbers = rng.permutation(1000)[: len(sizes)]
    owner = numbers[triangles.polygon_index[order]].astype(np.int32)
    found = polygons_of(faces, owner)
    expected = [rings(sizes, mesh.corner_positions)[index] for index in np.argsort(numbers)]
    assert rings(found.sizes, found.corner_positions) == expected
    np.testing.assert_array_equal(found.corner_positions[found.corner], faces)
    polygon = np.repeat(np.arange(len(sizes)), found.sizes)[found.corner]
    np.testing.assert_array_equal(polygon, np.searchsorted(np.sort(numbers), owner)[:, None].repeat(3, axis=1))


@pytest.mark.parametrize(
    ("faces", "owner", "sizes"),
    [
        ([[0, 1, 2], [0, 2, 3]], None, [3, 3]),
        ([[0, 1, 2], [0, 2, 3]], [5, 5], [4]),
        ([[0, 1, 2], [0, 1, 2]], [0, 0], [3, 3]),
        ([[0, 1, 2], [3, 4, 5]], [0, 0], [3, 3]),
        ([[0, 1, 2], [0, 3, 4]], [0, 0], [3, 3]),
        ([[0, 1, 2], [2, 1, 3], [1, 0, 3], [0, 2, 3]], [0, 0, 0, 0], [3, 3, 3, 3]),
        ([[0, 1, 2], [3, 3, 4], [5, 5, 5]], [0, 1, 2], [3]),
        ([[3, 3, 3]], None, []),
        ([[0, 1, 2], [2, 1, 3], [7, 8, 9]], [0, 0, 2147483647], [4, 3]),
    ],
    ids=["no numbers", "a quad", "the same twice", "two islands", "a bow tie", "closed", "positions named twice",
         "nothing else", "a high number"],
)  # fmt: skip
def test_what_has_no_single_outline_stays_triangles(faces, owner, sizes):
    faces = np.array(faces, np.int32)
    found = polygons_of(faces, None if owner is None else np.array(owner, np.int32))
    assert found.sizes.tolist() == sizes
    assert len(found.corner_positions) == sum(sizes)
    repeats = np.array([len(set(row)) < 3 for row in faces.tolist()])
    assert ((found.corner < 0) == repeats[:, None]).all()
    np.testing.assert_array_equal(found.corner_positions[found.corner[~repeats]], faces[~repeats])
