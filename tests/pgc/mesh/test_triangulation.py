# SPDX-License-Identifier: Apache-2.0
import time

import numpy as np
import pytest

from pgc.errors import MeshError
from pgc.mesh import Mesh, triangulate
from pgc.mesh.triangulation import ear_clip, smooth_normals


def make_mesh(positions, polygons, **changes):
    fields = {
        "name": "test",
        "positions": np.asarray(positions, dtype=np.float64),
        "polygon_sizes": np.array([len(p) for p in polygons], dtype=np.int32),
        "corner_positions": np.array([i for p in polygons for i in p], dtype=np.int32),
        "uvs": None,
        "corner_uvs": None,
        "normals": None,
        "corner_normals": None,
        "material_index": np.zeros(len(polygons), dtype=np.int32),
        "material_names": ("",),
        "up_axis": "z",
    }
    return Mesh(**{**fields, **changes})


def polygon_area(points):
    x, y = points[:, 0], points[:, 1]
    return 0.5 * float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum())


def signed_areas(points, triangles):
    a, b, c = (points[triangles[:, i]] for i in range(3))
    u, v = b - a, c - a
    return 0.5 * (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])


SHAPES = {
    "square": [(0, 0), (1, 0), (1, 1), (0, 1)],
    "arrow": [(0, 0), (2, 1), (0, 2), (0.5, 1)],
    "arrow, other corner": [(0.5, 1), (0, 0), (2, 1), (0, 2)],
    "ell": [(0, 0), (3, 0), (3, 1), (1, 1), (1, 3), (0, 3)],
    "comb": [(0, 0), (7, 0), (7, 3), (6, 3), (6, 1), (5, 1), (5, 3), (2, 3), (2, 1), (1, 1), (1, 3), (0, 3)],
    "square with a corner on an edge": [(0, 0), (1, 0), (2, 0), (2, 2), (0, 2)],
    "ring cut open": [(0, 0), (4, 0), (4, 4), (0, 4), (0, 0), (1, 1), (1, 3), (3, 3), (3, 1), (1, 1)],
    "star": [(np.cos(t) * r, np.sin(t) * r) for t, r in zip(np.arange(14) * np.pi / 7, [2.0, 0.7] * 7, strict=True)],
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2, 0), (2, 0, 1)])
def test_polygons_are_covered_exactly_once(shape, axes):
    flat = np.array(shape, dtype=np.float64)
    points = np.zeros((len(flat), 3))
    points[:, axes[0]], points[:, axes[1]] = flat[:, 0], flat[:, 1]
    triangles = triangulate(make_mesh(points, [range(len(flat))]))
    areas = signed_areas(flat, triangles.corner_index)
    assert len(areas) == len(flat) - 2
    assert areas.min() >= -1e-12, "a triangle is turned over"
    assert areas.sum() == pytest.approx(polygon_area(flat), rel=1e-6)


def test_a_straight_corner_gets_no_triangle_without_area():
    flat = np.array(SHAPES["square with a corner on an edge"], dtype=np.float64)
    assert signed_areas(flat, ear_clip(flat)).min() > 0.1


def test_a_polygon_that_crosses_itself_still_gives_all_triangles():
    bow = np.array([(0, 0), (2, 2), (2, 0), (0, 2), (-1, 1)], dtype=np.float64)
    assert ear_clip(bow).shape == (3, 3)


def test_mixed_polygons_keep_order_polygon_and_material():
    positions = np.random.default_rng(0).normal(size=(12, 3))
    polygons = [(0, 1, 2, 3), (4, 5, 6), (7, 8, 9, 10, 11), (2, 1, 0)]
    mesh = make_mesh(positions, polygons, material_index=np.array([0, 1, 1, 0], np.int32), material_names=("a", "b"))
    triangles = triangulate(mesh)
    assert triangles.polygon_index.tolist() == [0, 0, 1, 2, 2, 2, 3]
    assert triangles.material_index.tolist() == [0, 0, 1, 1, 1, 1, 0]
    np.testing.assert_array_equal(triangles.faces, mesh.corner_positions[triangles.corner_index])
    for face, polygon in zip(triangles.faces.tolist(), triangles.polygon_index.tolist(), strict=True):
        assert set(face) <= set(polygons[polygon])
    for number, polygon in enumerate(polygons):
        used = triangles.faces[triangles.polygon_index == number]
        assert set(used.ravel().tolist()) == set(polygon)


def test_smooth_normals_do_not_depend_on_how_a_face_is_cut():
    # A cube corner: weights by angle give the diagonal whichever diagonal the squares have.
    corners = np.array([(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)], dtype=np.float32)
    faces = [(4, 6, 7), (4, 7, 5), (2, 3, 7), (2, 7, 6), (1, 5, 3), (5, 7, 3)]
    normals = smooth_normals(corners, np.array(faces, dtype=np.int32))
    np.testing.assert_allclose(normals[7], np.full(3, 3**-0.5), atol=1e-6)
    np.testing.assert_array_equal(normals[0], (0, 0, 1))  # of no face


def test_given_normals_are_used_and_bad_ones_replaced():
    positions = [(0, 0, 0), (1, 0, 0), (1, 1, 0)]
    normals = np.array([(0, 3, 0), (0, 0, 0), (np.nan, 0, 0)], dtype=np.float32)
    index = np.array([0, 1, 2], dtype=np.int32)
    got = triangulate(make_mesh(positions, [(0, 1, 2)], normals=normals, corner_normals=index)).corner_normals
    np.testing.assert_array_equal(got[0], [(0, 1, 0), (0, 0, 1), (0, 0, 1)])


def test_positions_repeated_by_the_format_become_one_and_others_do_not():
    positions = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 0), (-0.0, 1, 0)]
    polygons = [(0, 1, 2), (3, 4, 5)]
    uvs = np.random.default_rng(0).random((6, 2)).astype(np.float32)
    split = make_mesh(positions, polygons, uvs=uvs, corner_uvs=np.arange(6, dtype=np.int32))
    triangles = triangulate(split)
    assert triangles.faces.tolist() == [[0, 1, 2], [1, 3, 2]]
    np.testing.assert_array_equal(triangles.corner_uvs.reshape(-1, 2), uvs)
    apart = make_mesh(positions, polygons, uvs=uvs, corner_uvs=np.array([1, 0, 2, 3, 4, 5], np.int32))
    assert triangulate(apart).faces.tolist() == [[0, 1, 2], [3, 4, 5]]


def every_ear(points):
    """The definition, slowly: all corners are measured again after each cut."""
    ring, triangles = list(range(len(points))), []
    while len(ring) > 3:
        quality = []
        for at in range(len(ring)):
            a, b, c = (points[ring[(at + step) % len(ring)]] for step in (-1, 0, 1))
            area = (b - a)[0] * (c - b)[1] - (b - a)[1] * (c - b)[0]
            edges = ((b - a) ** 2 + (c - b) ** 2 + (a - c) ** 2).sum()
            blocked = area > 0 and any(
                all((q - p)[0] * (points[o] - p)[1] - (q - p)[1] * (points[o] - p)[0] >= 0
                    for p, q in ((a, b), (b, c), (c, a)))
                for o in ring if not any((points[o] == own).all() for own in (a, b, c))
            )  # fmt: skip
            quality.append(-1.0 if blocked else -2.0 if area < 0 else area / edges if edges > 0 else 0.0)
        best = int(np.argmax(quality))
        triangles.append((ring[best - 1], ring[best], ring[(best + 1) % len(ring)]))
        del ring[best]
    return [*triangles, tuple(ring)]


@pytest.mark.parametrize("seed", range(12))
def test_ears_are_those_of_the_definition(seed):
    generator = np.random.default_rng(seed)
    count = int(generator.integers(5, 24))
    angle, radius = np.sort(generator.uniform(0, 2 * np.pi, count)), generator.uniform(0.2, 1, count)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    if seed % 3 == 0:
        points = np.round(points * 3) / 3  # straight and repeated corners
    if seed % 4 == 1:
        points = generator.normal(size=(count, 2))  # crosses itself
    assert list(map(tuple, ear_clip(points).tolist())) == every_ear(points)


def gear(count):
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    radius = np.where(np.arange(count) % 2, 1.0, 0.6)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), np.zeros(count)], axis=1)


@pytest.mark.slow
def test_an_outline_of_a_thousand_corners_takes_no_minute_and_one_of_too_many_is_refused():
    start = time.process_time()
    triangles = triangulate(make_mesh(gear(1000), [tuple(range(1000))]))
    assert time.process_time() - start < 5.0
    area = signed_areas(gear(1000)[:, :2], triangles.faces)
    assert area.min() > 0
    assert area.sum() == pytest.approx(1000 * 0.5 * 0.6 * np.sin(2 * np.pi / 1000), rel=1e-6)
    with pytest.raises(MeshError, match=r"not convex has 8,002 corners, expected at most 8,000"):
        triangulate(make_mesh(gear(8002), [tuple(range(8002))]))
