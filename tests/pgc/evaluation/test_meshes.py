# SPDX-License-Identifier: Apache-2.0
"""The evaluation's meshes are closed, face outwards, and have sound UVs."""

from __future__ import annotations

import numpy as np
import pytest

from pgc.errors import MeshError
from pgc.evaluation.meshes import EVALUATION_MESHES, EvaluationMeshName, evaluation_mesh, judge_meshes
from pgc.mesh import Mesh, prepare_mesh
from pgc.mesh.patches import Patch, mesh_from_patches, pack_charts, weld

OWN: tuple[EvaluationMeshName, ...] = ("trefoil", "star", "blossom")


def _check_closed(mesh: Mesh) -> None:
    triangles = prepare_mesh(mesh).triangles
    faces, points = triangles.faces, triangles.positions.astype(np.float64)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    forward = {tuple(edge) for edge in edges.tolist()}
    assert len(forward) == len(edges), "an edge is used twice in one direction"
    assert {(b, a) for a, b in forward} == forward, "the surface has a border"
    a, b, c = points[faces[:, 0]], points[faces[:, 1]], points[faces[:, 2]]
    assert (np.cross(a, b) * c).sum() / 6.0 > 0.02, "faces look inwards"


def _signed_areas(mesh: Mesh) -> np.ndarray:
    uv = prepare_mesh(mesh).triangles.corner_uvs.astype(np.float64)
    first, second = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    return 0.5 * (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)
def test_own_meshes_are_closed_and_fill_their_uvs_without_mirror_or_overlap(name: EvaluationMeshName) -> None:
    mesh = evaluation_mesh(name)
    _check_closed(mesh)
    areas = _signed_areas(mesh)
    assert (areas > 0).all(), "a triangle is mirrored or flat in UV"
    assert 0.3 < areas.sum() <= 1.0
    report = prepare_mesh(mesh).report
    assert report.tiles == (1001,)
    assert report.overlap_fraction < 1e-3


@pytest.mark.parametrize("name", EVALUATION_MESHES)
def test_meshes_are_the_same_every_time(name: EvaluationMeshName) -> None:
    first, second = evaluation_mesh(name), evaluation_mesh(name)
    assert first.positions.tobytes() == second.positions.tobytes()
    assert first.uvs is not None
    assert second.uvs is not None
    assert first.uvs.tobytes() == second.uvs.tobytes()


@pytest.mark.slow
def test_judge_meshes_are_closed_varied_and_reproducible() -> None:
    meshes = judge_meshes(4, 3)
    for mesh in meshes:
        _check_closed(mesh)
    assert len({mesh.positions.tobytes() for mesh in meshes}) == 4
    assert judge_meshes(4, 3)[1].positions.tobytes() == meshes[1].positions.tobytes()
    assert judge_meshes(2, 4)[1].positions.tobytes() != meshes[1].positions.tobytes()


def test_weld_joins_what_agrees_and_keeps_the_order() -> None:
    points = np.array([[1.0, 0, 0], [0, 0, 0], [1.0 + 1e-7, 0, 0], [2.0, 0, 0]])
    kept, index = weld(points)
    np.testing.assert_allclose(kept, [[1, 0, 0], [0, 0, 0], [2, 0, 0]])
    assert index.tolist() == [0, 1, 0, 2]


def test_packed_charts_neither_overlap_nor_leave_the_square() -> None:
    sizes = [(3.0, 1.0), (1.0, 2.0), (1.0, 1.0), (0.5, 0.25)]
    scale, corners = pack_charts(sizes, margin=0.01)
    boxes = [(x, y, x + scale * w, y + scale * h) for (x, y), (w, h) in zip(corners, sizes, strict=True)]
    for at, (left, bottom, right, top) in enumerate(boxes):
        assert min(left, bottom) >= 0.01 - 1e-9
        assert max(right, top) <= 0.99 + 1e-9
        for other in boxes[:at]:
            gap = max(other[0] - right, left - other[2], other[1] - top, bottom - other[3])
            assert gap >= 0.02 - 1e-9


def test_charts_without_area_are_refused() -> None:
    with pytest.raises(MeshError, match="area"):
        pack_charts([(1.0, 0.0)])


def test_a_repeated_grid_point_becomes_a_triangle() -> None:
    points = np.array([[[0.0, 0, 0], [0, 0, 0]], [[1.0, 0, 0], [0, 1.0, 0]]])
    flat = np.array([[[0.0, 0], [0, 0]], [[1.0, 0], [0, 1.0]]])
    mesh = mesh_from_patches("corner", [Patch(points=points, flat=flat)])
    assert mesh.polygon_sizes.tolist() == [3]
    np.testing.assert_allclose(np.sort(mesh.positions, axis=0), np.sort([[0, 0, 0], [1, 0, 0], [0, 1, 0]], axis=0))
