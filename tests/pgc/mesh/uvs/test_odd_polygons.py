# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from pgc.mesh import triangulate, unwrap
from pgc.mesh.uvs import unwrap as unwrap_module
from pgc.mesh.uvs.chart_overlaps import polygons_to_move
from pgc.mesh.uvs.flat_polygons import Polygons, doubled_areas, fill_gaps, links, opened, ring, torn_polygons
from pgc.mesh.uvs.layout import covered_cells
from pgc.mesh.uvs.policy import measure_mesh
from pgc.mesh.uvs.xatlas_process import Meter
from tests.pgc import needs
from tests.pgc.mesh.uvs.odd_polygons import SHAPES, odd_mesh, polygons_mesh


def covered_twice(corner_uvs, grid=2048):
    """Share of used texels that lie in two triangles."""
    _, cell = covered_cells(corner_uvs.astype(np.float64) * grid)
    _, count = np.unique(cell[:, 1] * 8192 + cell[:, 0], return_counts=True)
    return float((count > 1).mean())


def triangles_alone(vertices, faces):
    """The worst charting there is: each triangle by itself."""
    corners = vertices[faces].astype(np.float64)
    along = corners[:, 1] - corners[:, 0]
    length = np.linalg.norm(along, axis=1)
    unit = along / np.maximum(length, 1e-30)[:, None]
    other = corners[:, 2] - corners[:, 0]
    x = (other * unit).sum(axis=1)
    uvs = np.zeros((len(faces), 3, 2))
    uvs[:, 1, 0], uvs[:, 2, 0] = length, x
    uvs[:, 2, 1] = np.linalg.norm(other - x[:, None] * unit, axis=1)
    uvs -= uvs.min(axis=1, keepdims=True)
    number, side = np.arange(len(faces)), int(np.ceil(np.sqrt(len(faces))))
    uvs = (uvs / uvs.max() * 0.9 + 0.05 + np.stack([number % side, number // side], axis=1)[:, None]) / side
    return np.arange(3 * len(faces)).reshape(-1, 3), uvs.reshape(-1, 2).astype(np.float32)


@pytest.mark.slow
@needs.XATLAS
@pytest.mark.parametrize("charting", ["xatlas", "each triangle alone"])
@pytest.mark.parametrize("kind", SHAPES)
def test_no_polygon_lies_on_itself(monkeypatch, kind, charting):
    real = unwrap_module.run_xatlas

    def alone(mode, vertices, faces, name, meter):
        return triangles_alone(vertices, faces) if mode == "chart" else real(mode, vertices, faces, name, meter)

    if charting != "xatlas":
        monkeypatch.setattr(unwrap_module, "run_xatlas", alone)
    mesh = odd_mesh(kind)
    done = unwrap(mesh)
    assert covered_twice(triangulate(done).corner_uvs) <= 0.001
    measure, _ = measure_mesh(done)
    assert measure.area_tiled + measure.area_crossed + measure.area_stacked <= 0.005
    assert measure.area_collapsed <= 0.005
    assert done.corner_positions is mesh.corner_positions


@pytest.mark.parametrize("kind", SHAPES)
def test_a_polygon_spread_in_the_plane_keeps_its_area_and_covers_it_once(kind):
    mesh = polygons_mesh([SHAPES[kind]()])
    polygons = Polygons(mesh, triangulate(mesh))
    flat, local = polygons.spread(0), polygons.local(0)
    areas = doubled_areas(flat[local])
    points = polygons.points(0)[local]
    in_space = np.linalg.norm(np.cross(points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]), axis=1)
    assert areas.min() >= -1e-9
    assert areas.sum() == pytest.approx(in_space.sum(), rel=1e-2)
    scaled = (flat - flat.min(axis=0)) / np.ptp(flat, axis=0)
    assert covered_twice(scaled[local], 500) <= 0.002


def test_what_lies_flat_already_stays_as_it_is():
    square = np.array([[0, 0, 0], [2, 0, 0], [2, 1, 0], [0, 1, 0]], dtype=np.float64)
    mesh = polygons_mesh([square])
    polygons = Polygons(mesh, triangulate(mesh))
    np.testing.assert_array_equal(polygons.spread(0), polygons.flat(0))


def test_an_opened_polygon_has_the_sides_of_its_triangles():
    points = SHAPES["a strip bent under itself"]()
    mesh = polygons_mesh([points])
    local = Polygons(mesh, triangulate(mesh)).local(0)
    flat = opened(points, local)
    for a, b in ((0, 1), (1, 2), (2, 0)):
        in_space = np.linalg.norm(points[local[:, a]] - points[local[:, b]], axis=1)
        np.testing.assert_allclose(np.linalg.norm(flat[local[:, a]] - flat[local[:, b]], axis=1), in_space, atol=1e-9)


def test_a_ring_is_free_of_overlap_though_corners_are_equal():
    points = np.zeros((6, 3))
    points[3:, 0], points[4, 1] = 1.0, 1.0
    local = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 5]])
    assert doubled_areas(ring(points, local)[local]).min() > 0.0


def test_a_corner_of_triangles_without_area_lies_on_the_line_between_its_neighbours():
    points = np.array([[0, 0, 0], [4, 0, 0], [4, 3, 0], [3, 0, 0], [9, 0, 0], [1, 0, 0]], dtype=np.float64)
    uvs = np.full((6, 2), np.nan)
    uvs[:3] = [[0.1, 0.1], [0.5, 0.1], [0.5, 0.4]]
    local = np.array([[0, 1, 2], [0, 5, 3], [0, 3, 1], [1, 4, 4]])
    filled = fill_gaps(uvs, points, local)
    np.testing.assert_allclose(filled[3], [0.4, 0.1], atol=1e-12)
    np.testing.assert_allclose(filled[5], [0.2, 0.1], atol=1e-12)
    np.testing.assert_allclose(filled[4], [0.5, 0.1], atol=1e-12)
    assert np.isnan(uvs[3:]).all(), "what was given stays"


def needle():
    """A needle with two tiny triangles at its end: one seen from the side (no area in UVs), one below any texel."""
    points = np.array([[0, 0, 0], [0.01, 13.54, 0], [0, 13.54, 0], [0, 0.01, 0.0], [0, 0.01, -0.01]], dtype=np.float64)
    board = np.array([[0, 0, 0], [20, 0, 0], [20, 15, 0], [0, 15, 0]], dtype=np.float64)
    return polygons_mesh([points, board, board + 30.0, board + 60.0])


@pytest.mark.slow
@needs.XATLAS
def test_what_packing_drops_moves_with_its_polygon():
    mesh = needle()
    triangles = triangulate(mesh)
    polygons = Polygons(mesh, triangles)
    placed = unwrap_module._solid(triangles)
    assert placed[:3].sum() == 2, "the case: a solid triangle whose UVs have no area, between others"
    corners = np.zeros((len(triangles.faces), 3, 2))
    for polygon in range(4):
        corners[polygons.rows(polygon)] = (polygons.flat(polygon)[polygons.local(polygon)] + 40.0 * polygon) / 200.0
    layout = unwrap_module._Layout(corners=corners, placed=placed, indices=triangles.corner_index, packed=False)
    packed = unwrap_module._pack(layout, triangles, "test", Meter(None, 10))
    uvs = unwrap_module._by_corner(mesh, triangles, packed)[:5]
    length = np.linalg.norm(uvs[2] - uvs[3])
    assert np.linalg.norm(uvs[0] - uvs[3]) < 0.05 * length
    assert np.linalg.norm(uvs[4] - uvs[3]) < 0.05 * length


def test_pieces_of_a_torn_polygon_are_found_and_linked():
    mesh = polygons_mesh([SHAPES["two plates on a line"]()])
    triangles = triangulate(mesh)
    flat = mesh.positions[triangles.corner_index][:, :, :2]
    left, right = np.argmin(flat[:, :, 0].max(axis=1)), np.argmax(flat[:, :, 0].min(axis=1))
    assert not set(triangles.corner_index[left]) & set(triangles.corner_index[right])
    placed = np.zeros(len(flat), dtype=bool)
    placed[[left, right]] = True
    assert torn_polygons(triangles, placed, 1).tolist() == [True]
    found = links(triangles, placed, flat, 1e-6)
    assert len(found) % 3 == 0
    assert len(found) > 0
    ends = flat.reshape(-1, 2)[found].reshape(-1, 3, 2)
    assert np.ptp(ends[:, :, 0], axis=1).max() > 6.0, "from one end to the other"
    whole = np.ones(len(placed), dtype=bool)
    assert not torn_polygons(triangles, whole, 1).any()
    assert len(links(triangles, whole, flat, 1e-6)) == 0


def test_the_walk_takes_the_bigger_chart_first_and_goes_from_neighbour_to_neighbour():
    strip = np.array([[[i, 0.0], [i + 1, 0.0], [i + 1, 1.0]] for i in range(6)]) / 20.0
    corners = np.concatenate([strip[:2] + 0.002, strip + np.array([0.0, 0.001])])
    owner = np.arange(8, dtype=np.int32)
    pairs = np.array([[0, 2], [1, 3]])
    moved = polygons_to_move(pairs, corners, owner)
    assert moved.tolist() == [True, True, False, False, False, False, False, False]


@pytest.mark.slow
def test_a_polygon_of_a_thousand_corners_is_looked_at_in_fewer_cells(monkeypatch):
    """A star whose points reach around a ring twice: folded in its plane, and each of its triangles has a large box."""
    count = 1000
    turns = np.linspace(0.0, 4.0 * np.pi, count, endpoint=False)
    far = np.where(np.arange(count) % 2 == 0, 1.0, 0.2)
    points = np.stack([far * np.cos(turns), far * np.sin(turns), turns * 0.01], axis=1)
    mesh = polygons_mesh([points])
    asked = []

    def counted(triangles):
        low, high = triangles.min(axis=1), triangles.max(axis=1)
        asked.append(float(np.prod(high - low, axis=1).sum()))
        return covered_cells(triangles)

    monkeypatch.setattr("pgc.mesh.uvs.flat_polygons.covered_cells", counted)
    triangles = triangulate(mesh)
    flat = Polygons(mesh, triangles).spread(0)
    assert max(asked) < 3e6
    assert covered_twice(np.asarray(flat / np.ptp(flat))[triangles.corner_index]) <= 0.001
