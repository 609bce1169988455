# SPDX-License-Identifier: Apache-2.0
"""Where a surface wears off and where dirt stays, held to shapes whose curvature is known."""

import numpy as np
import pytest
import trimesh

from blender_addon.scene.painting.wear import measure_wear


def _wear(mesh: trimesh.Trimesh, reach: float = 0.1, *, convex: bool = True):
    return measure_wear(mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32), reach, convex=convex)


def _cut(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """Every triangle with vertices of its own, as a file with split normals has them."""
    cut = mesh.copy()
    cut.unmerge_vertices()
    return cut


@pytest.mark.parametrize("prepare", [lambda mesh: mesh, _cut], ids=["whole", "cut along its faces"])
def test_a_box_is_worn_along_its_twelve_edges_and_nowhere_else(prepare):
    box = prepare(trimesh.creation.box((2.0, 2.0, 2.0)))
    wear = _wear(box)
    assert np.count_nonzero(wear.bands) == 24
    assert (wear.bands[wear.bands > 0.0] == 1.0).all()
    assert not wear.corners.any()
    assert not _wear(box, convex=False).worn.any()
    inside_out = box.copy()
    inside_out.invert()
    assert np.count_nonzero(_wear(inside_out, convex=False).bands) == 24


def test_a_band_is_as_wide_as_asked():
    triangle = np.zeros(3, np.int64)
    wear = _wear(trimesh.creation.box((2.0, 2.0, 2.0)))
    edge = int(np.argmax(wear.bands[0] > 0.0))
    assert wear.heights[0, edge] == pytest.approx(2.0)
    # From the edge toward the middle: at it, a quarter of the reach away, beyond the reach.
    weights = np.full((3, 3), 0.0)
    weights[:, edge] = np.array([0.0, 0.025, 0.15]) / 2.0
    weights[:, (edge + 1) % 3] = weights[:, (edge + 2) % 3] = (1.0 - weights[:, edge]) / 2.0
    assert wear.at(triangle, weights) == pytest.approx([1.0, 0.75, 0.0])


@pytest.mark.parametrize(("radius", "expected"), [(0.25, 0.75), (0.5, 0.25), (2.0, 0.0)])
def test_a_ball_wears_by_its_curvature(radius, expected):
    ball = trimesh.creation.icosphere(4, radius)
    wear = _wear(ball)
    assert not wear.bands.any(), "no edge of it is sharp"
    # At its twelve vertices of five triangles, the area of a vertex is that much less even.
    assert np.median(wear.corners) == pytest.approx(expected, abs=0.01)
    assert wear.corners == pytest.approx(np.full_like(wear.corners, expected), abs=0.15)
    assert not _wear(ball, convex=False).worn.any()


def test_an_l_shape_has_one_crevice():
    outline = np.array([[0, 0], [2, 0], [2, 1], [1, 1], [1, 2], [0, 2]], float)
    bottom = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 5]])
    vertices = np.concatenate([np.c_[outline, np.zeros(6)], np.c_[outline, np.ones(6)]])
    walls = [[at, (at + 1) % 6, (at + 1) % 6 + 6] for at in range(6)] + [
        [at, (at + 1) % 6 + 6, at + 6] for at in range(6)
    ]
    mesh = trimesh.Trimesh(vertices, np.concatenate([bottom[:, ::-1], bottom + 6, walls]), process=False)
    crevices = _wear(mesh, convex=False)
    worn = crevices.bands > 0.0
    assert np.count_nonzero(worn) == 2, "the same edge, from both sides"
    corner = mesh.vertices[mesh.faces]
    ends = [corner[face][[(at + 1) % 3, (at + 2) % 3]] for face, at in np.argwhere(worn)]
    assert all((end[:, :2] == 1.0).all() for end in ends)


def test_a_triangle_without_area_has_no_crevice():
    flat = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.5, 0, 0]], np.float32)
    faces = np.array([[0, 4, 1], [0, 1, 2], [0, 2, 3]], np.int32)
    for convex in (True, False):
        assert not measure_wear(flat, faces, 0.1, convex=convex).bands.any()


def test_three_faces_at_one_edge_and_faces_turned_against_each_other_have_no_wear():
    fin = np.array([[0, 0, 0], [0, 0, 1], [1, 0, 0], [-1, 0.5, 0], [-1, -0.5, 0]], np.float32)
    three = np.array([[0, 1, 2], [1, 0, 3], [1, 0, 4]], np.int32)
    assert not measure_wear(fin, three, 0.1, convex=True).bands.any()
    against = np.array([[0, 1, 2], [0, 1, 3]], np.int32)
    assert not measure_wear(fin, against, 0.1, convex=True).bands.any()
