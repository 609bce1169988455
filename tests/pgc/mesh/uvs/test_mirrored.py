# SPDX-License-Identifier: Apache-2.0
"""Charts of new UVs lie the right way round: letters on them are read forwards."""

import numpy as np
import pytest
import trimesh

from pgc.mesh import triangulate, unwrap
from pgc.mesh.uvs import xatlas_process
from pgc.mesh.uvs.flat_polygons import doubled_areas
from pgc.mesh.uvs.mirrored import mirrored_triangles, unmirrored
from tests.pgc import needs
from tests.pgc.mesh.uvs.test_unwrap import bumpy_torus, doubled_share, mesh_of

RIGHT = [[0.1, 0.1], [0.3, 0.1], [0.1, 0.4]]
BESIDE = [[0.3, 0.1], [0.3, 0.4], [0.1, 0.4]]
"""Shares a side with RIGHT."""
TURNED_OVER = [[0.6, 0.1], [0.5, 0.1], [0.6, 0.4]]


def layout(*triangles):
    return np.array(triangles, dtype=np.float64)


def several_shapes():
    made = [trimesh.creation.icosphere(subdivisions=1), trimesh.creation.box((1.0, 2.0, 3.0))]
    made += [trimesh.creation.capsule(1.5, 0.4, count=[8, 8]), trimesh.creation.torus(2.0, 0.5, 12, 8)]
    whole = trimesh.util.concatenate([part.apply_translation((9.0 * n, 0.0, 0.0)) for n, part in enumerate(made)])
    return mesh_of(whole.vertices, whole.faces)


def test_a_chart_is_judged_as_a_whole():
    # The fold of one triangle in a chart that lies right is none of its letters.
    small_fold = [[0.3, 0.1], [0.28, 0.1], [0.28, 0.11]]
    corners = layout(RIGHT, BESIDE, small_fold, TURNED_OVER)
    assert doubled_areas(corners)[2] < 0.0
    assert mirrored_triangles(corners).tolist() == [False, False, False, True]


def test_only_mirrored_charts_are_turned_over_and_exactly():
    corners = layout(RIGHT, TURNED_OVER, BESIDE)
    done = unmirrored(corners)
    assert np.array_equal(done[[0, 2]], corners[[0, 2]])
    assert np.array_equal(done[1], corners[1] * [-1.0, 1.0])
    assert (doubled_areas(done) > 0.0).all()
    assert np.array_equal(unmirrored(done), done)


@pytest.mark.slow
@needs.XATLAS
def test_no_chart_of_new_uvs_is_mirrored():
    done = unwrap(several_shapes())
    areas = doubled_areas(triangulate(done).corner_uvs.astype(np.float64))
    assert -np.minimum(areas, 0.0).sum() <= 1e-3 * np.abs(areas).sum()
    assert doubled_share(done) <= 1e-3


@pytest.mark.slow
@needs.XATLAS
def test_what_xatlas_turns_it_mirrors_and_what_we_turn_fills_as_much():
    triangles = triangulate(bumpy_torus(32, 20))
    meter = xatlas_process.Meter(None, 1)
    faces, uvs = xatlas_process.run_xatlas("chart", triangles.positions, triangles.faces, "test", meter)
    corners = uvs[faces].astype(np.float64)
    assert mirrored_triangles(corners).any(), "or all this is for nothing: a newer xatlas may have mended it"
    points, index = np.unique(unmirrored(corners).reshape(-1, 2) * 1024.0, axis=0, return_inverse=True)
    given = points.astype(np.float32), index.reshape(-1, 3), "test", meter
    packed, moved = (
        uvs[faces] for faces, uvs in (xatlas_process.run_xatlas(mode, *given) for mode in ("pack", "move"))
    )
    assert mirrored_triangles(packed.astype(np.float64)).any()
    assert not mirrored_triangles(moved.astype(np.float64)).any()
    before, now = (np.abs(doubled_areas(uvs.astype(np.float64))).sum() for uvs in (packed, moved))
    assert now >= 0.95 * before


def wheel(quarter):
    """A triangle of no symmetry, turned by quarters about the origin."""
    points = np.array([[1.0, 1.0], [3.0, 1.0], [1.0, 2.0]], dtype=np.float32)
    for _ in range(quarter):
        points = np.stack([-points[:, 1], points[:, 0]], axis=1)
    return points


@needs.XATLAS
def test_charts_that_would_touch_are_not_tried_and_the_others_are_turned_without_a_change():
    from pgc.mesh.uvs.xatlas_worker import turned

    points = np.concatenate([wheel(0), wheel(1)])
    faces = np.arange(6).reshape(2, 3)
    tries = list(turned(points, np.repeat([0, 1], 3), 65))
    assert np.array_equal(tries[0], points)
    # A quarter of the ways puts one on the other.
    assert 33 < len(tries) < 65
    areas = doubled_areas(points[faces].astype(np.float64))
    for made in tries:
        assert len(np.unique(made, axis=0)) == 6
        assert np.array_equal(doubled_areas(made[faces].astype(np.float64)), areas)
    assert len({made.tobytes() for made in tries}) == 12
