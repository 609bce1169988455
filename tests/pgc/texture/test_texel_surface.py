# SPDX-License-Identifier: Apache-2.0
"""UV-space rasterisation against a texel-by-texel reference."""

from collections.abc import Callable

import numpy as np
import pytest

from pgc.mesh.data import TriangleMesh
from pgc.texture import texel_surface as module
from pgc.texture.texel_surface import texel_surface, tile_origin, uv_to_texels

Make = Callable[..., TriangleMesh]


def _soup(make_mesh: Make, count: int = 40, shift: float = 0.0) -> TriangleMesh:
    random = np.random.default_rng(4)
    uvs = random.random((count, 1, 2)) + 0.2 * random.normal(size=(count, 3, 2)) + shift
    positions = random.normal(size=(3 * count, 3))
    return make_mesh(positions, np.arange(3 * count).reshape(count, 3), uvs)


def _cross(a: np.ndarray, b: np.ndarray) -> float:
    return float(a[0] * b[1] - a[1] * b[0])


def _reference(mesh: TriangleMesh, size: int, tile: int) -> np.ndarray:
    """Lowest face whose three edges all have the texel's centre on their inner side."""
    corners = uv_to_texels(mesh.corner_uvs, size, tile)
    result = np.full((size, size), -1)
    for row in range(size):
        for column in range(size):
            center = np.array([column + 0.5, row + 0.5])
            for face, (a, b, c) in enumerate(corners):
                areas = [_cross(q - p, center - p) for p, q in ((a, b), (b, c), (c, a))]
                if min(areas) >= 0.0 or max(areas) <= 0.0:
                    result[row, column] = face
                    break
    return result


@pytest.mark.parametrize("tile", [1001, 1012])
def test_agrees_with_the_reference_and_the_lowest_face_wins(
    make_mesh: Make, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    mesh = _soup(make_mesh, shift=0.0 if tile == 1001 else 1.0)
    expected = _reference(mesh, 24, tile)
    assert len(np.unique(expected)) > 15
    for chunk in (4_000_000, 50):
        monkeypatch.setattr(module, "_CANDIDATES_A_CHUNK", chunk)
        surface = texel_surface(mesh, 24, tile)
        np.testing.assert_array_equal(surface.face_index, expected)
        np.testing.assert_array_equal(surface.inside, expected >= 0)


def test_points_lie_on_their_triangles(make_mesh: Make) -> None:
    mesh = _soup(make_mesh, 12)
    surface = texel_surface(mesh, 32)
    rows, columns = np.nonzero(surface.inside)
    faces, weights = surface.face_index[rows, columns], surface.barycentrics[rows, columns]
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-6)
    uv = np.einsum("nk,nkd->nd", weights, mesh.corner_uvs[faces])
    np.testing.assert_allclose(uv[:, 0], (columns + 0.5) / 32, atol=1e-5)
    np.testing.assert_allclose(uv[:, 1], 1.0 - (rows + 0.5) / 32, atol=1e-5)
    position = np.einsum("nk,nkd->nd", weights, mesh.positions[mesh.faces[faces]])
    np.testing.assert_allclose(surface.position[rows, columns], position, atol=1e-5)


def test_reach_adds_touched_texels_and_keeps_the_others(make_mesh: Make) -> None:
    mesh = _soup(make_mesh, 6)
    plain, touched, bilinear = (texel_surface(mesh, 32, reach=reach) for reach in (0.0, 0.5, 1.0))
    for grown in (touched, bilinear):
        np.testing.assert_array_equal(grown.face_index[plain.inside], plain.face_index[plain.inside])
        np.testing.assert_array_equal(grown.inside, plain.inside)
    assert plain.inside.sum() < (touched.face_index >= 0).sum() < (bilinear.face_index >= 0).sum()
    # Every texel that a dense set of surface points falls into is touched, and every one they would fetch from.
    weights = np.random.default_rng(0).dirichlet(np.ones(3), size=(6, 4000))
    points = np.einsum("fnk,fkd->fnd", weights, uv_to_texels(mesh.corner_uvs, 32, 1001)).reshape(-1, 2)
    points = points[((points >= 0.5) & (points < 31.5)).all(axis=1)]
    column, row = points.astype(int).T
    assert (touched.face_index[row, column] >= 0).all()
    left, top = np.floor(points - 0.5).astype(int).T
    for r, c in ((top, left), (top + 1, left), (top, left + 1), (top + 1, left + 1)):
        assert (bilinear.face_index[r, c] >= 0).all()


def test_a_tiny_triangle_between_centres_is_only_touched(make_mesh: Make) -> None:
    uvs = np.array([[[0.51, 0.51], [0.52, 0.51], [0.51, 0.52]]])
    mesh = make_mesh(np.eye(3), np.array([[0, 1, 2]]), uvs)
    assert not texel_surface(mesh, 8).inside.any()
    assert (texel_surface(mesh, 8, reach=0.5).face_index == 0).sum() == 1


def test_degenerate_and_far_triangles_are_left_out(make_mesh: Make) -> None:
    uvs = np.array([[[0.2, 0.2], [0.8, 0.8], [0.5, 0.5]], [[5.0, 5.0], [6.0, 5.0], [5.0, 6.0]]])
    mesh = make_mesh(np.random.default_rng(0).random((6, 3)), np.arange(6).reshape(2, 3), uvs)
    assert (texel_surface(mesh, 16, reach=1.0).face_index == -1).all()


def test_tile_numbers() -> None:
    assert [tile_origin(tile) for tile in (1001, 1002, 1010, 1011, 1025)] == [(0, 0), (1, 0), (9, 0), (0, 1), (4, 2)]


def test_columns_say_of_each_candidate_what_barycentrics_and_separating_axes_say() -> None:
    draw = np.random.default_rng(3)
    corners = draw.uniform(0, 9, (400, 3, 2))
    # Some on the grid itself: centres on edges and in corners.
    corners[::3] = np.round(corners[::3] * 2) / 2
    corners = corners[module._double_area(corners) != 0.0]
    faces = draw.integers(0, len(corners), 20_000)
    points = draw.integers(0, 10, (20_000, 2)) + 0.5
    for reach in (0.0, 0.5, 1.0):
        inside, overlaps = module._Columns.of(corners).tested(faces, points[:, 0], points[:, 1], reach)
        weights = module._barycentrics(corners[faces], points)
        assert np.array_equal(inside, (weights >= -1e-9).all(axis=1))
        assert 0 < inside.sum() < len(inside)
        if reach > 0.0:
            edges = np.roll(corners[faces], -1, axis=1) - corners[faces]
            offset = points[:, None] - corners[faces]
            side = np.sign(module._double_area(corners[faces]))[:, None]
            distance = side * (edges[..., 0] * offset[..., 1] - edges[..., 1] * offset[..., 0])
            assert np.array_equal(overlaps, (distance + reach * np.abs(edges).sum(axis=2) > 0.0).all(axis=1))
            assert overlaps.sum() > inside.sum()
        else:
            assert not overlaps.any()
