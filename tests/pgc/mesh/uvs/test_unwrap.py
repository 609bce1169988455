# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import numpy as np
import pytest
import trimesh

from pgc.errors import MeshError
from pgc.mesh import Mesh, prepare_mesh, triangulate, unwrap
from pgc.mesh.uvs import unwrap as unwrap_module
from pgc.mesh.uvs import xatlas_process
from pgc.mesh.uvs.chart_overlaps import folded_polygons, overlapping_pairs, polygons_to_move
from pgc.mesh.uvs.layout import covered_cells
from pgc.mesh.uvs.unwrap import _placing
from tests.pgc import needs


def mesh_of(positions, polygons):
    polygons = np.asarray(polygons, dtype=np.int32)
    return Mesh(
        name="test",
        positions=np.asarray(positions, dtype=np.float64),
        polygon_sizes=np.full(len(polygons), polygons.shape[1], dtype=np.int32),
        corner_positions=polygons.reshape(-1),
        uvs=None,
        corner_uvs=None,
        normals=None,
        corner_normals=None,
        material_index=np.zeros(len(polygons), dtype=np.int32),
        material_names=("",),
        up_axis="z",
    )


def bumpy_torus(a, b):
    u, v = np.meshgrid(np.arange(a) / a * 2 * np.pi, np.arange(b) / b * 2 * np.pi, indexing="ij")
    r = 0.4 + 0.1 * np.sin(5 * u) * np.sin(7 * v)
    points = np.stack([(1 + r * np.cos(v)) * np.cos(u), (1 + r * np.cos(v)) * np.sin(u), r * np.sin(v)], axis=-1)
    i, j = np.meshgrid(np.arange(a), np.arange(b), indexing="ij")
    quads = [((i + di) % a) * b + (j + dj) % b for di, dj in ((0, 0), (1, 0), (1, 1), (0, 1))]
    return mesh_of(points.reshape(-1, 3), np.stack(quads, axis=-1).reshape(-1, 4))


def assert_good_layout(mesh):
    triangles = triangulate(mesh)
    assert mesh.has_uvs
    assert mesh.uvs.min() >= 0.0
    assert mesh.uvs.max() <= 1.0
    a, b, c = (triangles.corner_uvs[:, i].astype(np.float64) for i in range(3))
    area = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])
    assert area.min() > 0.0
    _, cell = covered_cells(triangles.corner_uvs.astype(np.float64) * 1024)
    key = cell[:, 1] * 4096 + cell[:, 0]
    assert len(np.unique(key)) == len(key), "no texel belongs to two triangles"
    return triangles, area


@pytest.mark.slow
@needs.XATLAS
def test_quads_that_xatlas_cuts_become_whole_again():
    mesh = bumpy_torus(32, 20)
    raw = triangulate(mesh)
    cut = unwrap_module._cut_polygons(mesh, raw, run_charting(raw)[0])
    assert cut.sum() > 10, "the case must have cut polygons"
    seen = []
    done = unwrap(mesh, seen.append)
    assert_good_layout(done)
    assert done.positions is mesh.positions
    assert done.corner_positions is mesh.corner_positions
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (pytest.approx(0.0, abs=1e-3), 1.0)
    report = prepare_mesh(done).report
    assert report.tiles == (1001,)
    assert report.overlap_fraction == 0.0
    assert report.chart_count < 80


def run_charting(triangles):
    return xatlas_process.run_xatlas(
        "chart", triangles.positions, triangles.faces, "test", xatlas_process.Meter(None, 1)
    )


@pytest.mark.slow
@needs.XATLAS
def test_a_box_gets_square_texels():
    box = trimesh.creation.box((1.0, 2.0, 3.0))
    mesh = mesh_of(box.vertices, box.faces)
    triangles, uv_area = assert_good_layout(unwrap(mesh))
    edges = triangles.positions[triangles.faces]
    area = np.linalg.norm(np.cross(edges[:, 1] - edges[:, 0], edges[:, 2] - edges[:, 0]), axis=1)
    ratio = uv_area / area
    assert ratio.max() / ratio.min() < 1.02
    length = np.linalg.norm(edges - np.roll(edges, -1, axis=1), axis=2)
    uv_length = np.linalg.norm(triangles.corner_uvs - np.roll(triangles.corner_uvs, -1, axis=1), axis=2)
    stretch = uv_length / length
    assert stretch.max() / stretch.min() < 1.02


def doubled_share(mesh):
    """Share of used texels of 2048² that lie in two triangles: the slow way, without the module's own means."""
    triangles = triangulate(mesh)
    _, cell = covered_cells(triangles.corner_uvs.astype(np.float64) * 2048)
    _, count = np.unique(cell[:, 1] * 8192 + cell[:, 0], return_counts=True)
    return float((count > 1).mean())


@pytest.mark.slow
@needs.XATLAS
def test_triangles_without_area_take_no_place():
    box = trimesh.creation.box()
    # A point, a line to and fro, and lines between vertices whose UVs lie in different charts.
    thin = [[0, 0, 1], [2, 2, 2], [0, 7, 7], [5, 2, 5]]
    done = unwrap(mesh_of(box.vertices, np.vstack([box.faces, thin])))
    triangles = triangulate(done)
    known = {tuple(uv) for uv in triangles.corner_uvs[:12].reshape(-1, 2).tolist()}
    for face in range(12, 16):
        (place,) = {tuple(uv) for uv in triangles.corner_uvs[face].tolist()}
        assert place in known
    assert doubled_share(done) == 0.0


@pytest.mark.slow
@needs.XATLAS
def test_a_corner_on_a_straight_side_lies_on_that_side_in_the_texture():
    # Between two charts: the corner's other polygons, of no area, must not pull it away.
    positions = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.25, 0, 0], [0.25, 0, 1], [0, 0, 1]]
    mesh = polygons_of(positions, [[0, 4, 1, 2, 3], [0, 4, 5, 6], [4, 5, 4]])
    done = unwrap(mesh)
    assert done.uvs is not None
    assert done.corner_uvs is not None
    a, b, c = done.uvs[done.corner_uvs[:3]].astype(np.float64)
    assert np.allclose(b, a + 0.25 * (c - a), atol=1e-4)
    assert doubled_share(done) == 0.0


def polygons_of(positions, polygons):
    corners = np.array([corner for polygon in polygons for corner in polygon], dtype=np.int32)
    mesh = mesh_of(positions, [[0, 1, 2]])
    return replace(
        mesh,
        polygon_sizes=np.array([len(polygon) for polygon in polygons], dtype=np.int32),
        corner_positions=corners,
        material_index=np.zeros(len(polygons), dtype=np.int32),
    )


@pytest.mark.slow
@needs.XATLAS
@pytest.mark.parametrize("size", [1e-4, 1.0, 1e5])
def test_small_triangles_get_a_place_in_every_unit(size):
    mesh = bumpy_torus(24, 16)
    assert_good_layout(unwrap(replace(mesh, positions=mesh.positions * size)))


def awkward(kind):
    """Meshes as other programs leave them."""
    torus = bumpy_torus(12, 8)
    quads = torus.corner_positions.reshape(-1, 4)
    match kind:
        case "every polygon twice":
            return mesh_of(torus.positions, np.vstack([quads, quads]))
        case "both sides":
            return mesh_of(torus.positions, np.vstack([quads, quads[:, ::-1]]))
        case "a fan of pages on one edge":
            angles = np.linspace(0, 2 * np.pi, 9)[:-1]
            rim = np.stack([np.cos(angles), np.sin(angles), 0 * angles], axis=1)
            points = np.vstack([[[0, 0, 0], [0, 0, 1]], rim, rim + np.array([0, 0, 1])])
            return mesh_of(points, [[0, 2 + page, 10 + page, 1] for page in range(8)])
        case "a spiral that unrolls onto itself":
            angle = np.linspace(0, 12 * np.pi, 97)
            line = np.stack([(1 + angle / 9) * np.cos(angle), (1 + angle / 9) * np.sin(angle)], axis=1)
            points = np.vstack([np.c_[line, 0 * angle], np.c_[line * 0.97, 0 * angle + 0.3]])
            return mesh_of(points, [[i, i + 1, i + 98, i + 97] for i in range(96)])
        case "needles":
            steps = np.linspace(0, 1, 40)
            points = np.vstack([np.c_[steps, 0 * steps, 0 * steps], [[0.5, 1e-7, 0], [0.5, 1.0, 0]]])
            faces = [[i, i + 1, 40] for i in range(39)] + [[i, 41, i + 1] for i in range(39)]
            return mesh_of(points, faces)
        case _:
            generator = np.random.default_rng(3)
            points = generator.random((40, 3))
            return mesh_of(points, generator.permuted(np.tile(np.arange(40), (60, 1)), axis=1)[:, :3])


AWKWARD = (
    "every polygon twice",
    "both sides",
    "a fan of pages on one edge",
    "a spiral that unrolls onto itself",
    "needles",
    "a soup",
)


@pytest.mark.slow
@needs.XATLAS
@pytest.mark.parametrize("kind", AWKWARD)
def test_nothing_lies_on_anything_else(kind):
    done = unwrap(awkward(kind))
    assert doubled_share(done) <= 0.001
    assert done.uvs is not None
    assert done.uvs.min() >= 0.0
    assert done.uvs.max() <= 1.0


@pytest.mark.slow
@needs.XATLAS
def test_what_lies_on_something_becomes_a_chart_of_its_own(monkeypatch):
    """A charting that folds a strip onto itself, as xatlas does not on a small mesh."""
    strip = mesh_of(np.array([[x, y, 0.0] for x in range(9) for y in (0, 1)]), [
        [2 * i, 2 * i + 2, 2 * i + 3, 2 * i + 1] for i in range(8)
    ])  # fmt: skip
    real = unwrap_module.run_xatlas

    def folded(mode, vertices, faces, name, meter):
        if mode == "pack":
            return real(mode, vertices, faces, name, meter)
        x = np.minimum(vertices[:, 0], 5 * 128.0 - (vertices[:, 0] - 5 * 128.0))
        uvs = np.stack([x, vertices[:, 1]], axis=1).astype(np.float32) / 2048.0 + 0.1
        return faces.astype(np.int64), uvs

    monkeypatch.setattr(unwrap_module, "run_xatlas", folded)
    done = unwrap(strip)
    assert doubled_share(done) == 0.0
    assert prepare_mesh(done).report.chart_count == 2, "the folded part stays in one piece"


@pytest.mark.slow
def test_pairs_are_found_as_by_looking_at_all():
    generator = np.random.default_rng(0)
    corners = generator.random((12, 3, 2)) * 0.3 + generator.random((12, 1, 2)) * 0.7
    polygon = np.repeat(np.arange(6, dtype=np.int32), 2)
    pairs, doubled = overlapping_pairs(corners, polygon)
    covers = [set(map(tuple, covered_cells(corner[None] * 1024)[1].tolist())) for corner in corners]
    expected = {
        (int(polygon[i]), int(polygon[j]))
        for i in range(12)
        for j in range(i + 1, 12)
        if polygon[i] != polygon[j] and covers[i] & covers[j]
    }
    # Of a texel with more than two owners, neighbours in the list of its owners are told.
    assert set(map(tuple, pairs.tolist())) <= expected
    used = set().union(*covers)
    twice = {cell for cell in used if sum(cell in cells for cells in covers) > 1}
    assert doubled == pytest.approx(len(twice) / len(used))
    moved = polygons_to_move(pairs, corners, polygon)
    assert all(moved[first] or moved[second] for first, second in pairs.tolist())
    assert not moved.all()


def test_a_mesh_without_area_is_refused():
    if unwrap_module.importlib.util.find_spec("xatlas") is None:
        pytest.skip("no xatlas")
    with pytest.raises(MeshError, match="has an area"):
        unwrap(mesh_of([[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[0, 1, 2]]))


@pytest.mark.slow
@needs.XATLAS
def test_missing_uvs_are_made_up_to_a_size_and_asked_for_above(monkeypatch):
    mesh = bumpy_torus(8, 6)
    prepared = prepare_mesh(mesh)
    assert prepared.report.unwrapped
    assert "unwrapped" in prepared.report.warnings[0]
    monkeypatch.setattr("pgc.mesh.uvs.policy.MAX_TRIANGLES_TO_UNWRAP", 95)
    with pytest.raises(MeshError, match=r"96 triangles.*--unwrap"):
        prepare_mesh(mesh)


@needs.XATLAS
def test_xatlas_failing_is_one_sentence(monkeypatch, tmp_path):
    mesh = bumpy_torus(8, 6)
    broken = tmp_path / "xatlas_worker.py"
    monkeypatch.setattr(xatlas_process, "__file__", str(tmp_path / "xatlas_process.py"))
    broken.write_text("import os\nos.abort()\n")
    with pytest.raises(MeshError, match=r"test: xatlas could not unwrap the mesh \(it ended with code"):
        unwrap(mesh)
    broken.write_text("raise ValueError('no luck')\n")
    with pytest.raises(MeshError, match="ValueError: no luck"):
        unwrap(mesh)


@needs.XATLAS
def test_stopping_ends_xatlas(monkeypatch, tmp_path):
    started = []
    real = xatlas_process.subprocess.Popen

    def popen(*args, **kwargs):
        started.append(real(*args, **kwargs))
        return started[-1]

    def stop(fraction):
        if started:
            raise KeyboardInterrupt

    (tmp_path / "xatlas_worker.py").write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(xatlas_process, "__file__", str(tmp_path / "xatlas_process.py"))
    monkeypatch.setattr(xatlas_process.subprocess, "Popen", popen)
    with pytest.raises(KeyboardInterrupt):
        unwrap(bumpy_torus(8, 6), stop)
    assert started[0].poll() is not None


def test_without_xatlas_the_sentence_says_what_to_do(monkeypatch):
    monkeypatch.setattr(unwrap_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MeshError, match=r"test: it needs new UVs, and xatlas.* is not installed .*Smart UV Project"):
        prepare_mesh(bumpy_torus(8, 6))


def test_a_polygon_is_laid_out_from_a_needle_without_leaving_the_texture() -> None:
    """Of a needle's short side nothing is left but noise; a map by both sides took its polygon to UVs of −7,000,000."""
    base = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, 1e-7]])
    uv = np.array([[0.2, 0.2], [0.2, 0.5], [0.19, 0.35]])
    linear = _placing(base, uv)
    np.testing.assert_allclose(np.array([1.0, 0.0]) @ linear, [0.0, 0.3], atol=1e-12)
    np.testing.assert_allclose(np.linalg.svd(linear, compute_uv=False), [0.3, 0.3], rtol=1e-9)


def test_a_sound_triangle_places_its_polygon_exactly() -> None:
    base = np.array([[0.0, 0.0], [2.0, 0.0], [0.3, 1.5]])
    linear = np.array([[0.1, 0.05], [-0.04, 0.12]])
    np.testing.assert_allclose(_placing(base, base @ linear + 0.3), linear, atol=1e-12)


@pytest.mark.slow
def test_what_lies_far_away_costs_no_memory() -> None:
    corners = np.array([[[0.1, 0.1], [0.4, 0.1], [0.1, 0.4]], [[0.1, 0.1], [-7e6, 0.4], [-7e6, 5.0]]])
    pairs, doubled = overlapping_pairs(corners, np.array([0, 1], np.int32))
    assert len(pairs) <= 1
    assert 0.0 <= doubled < 1.0


@pytest.mark.slow
def test_a_polygon_that_lies_folded_upon_itself_is_found() -> None:
    square = np.array([[0.1, 0.1], [0.6, 0.1], [0.6, 0.6], [0.1, 0.6]])
    flat, folded = square[[[0, 1, 2], [0, 2, 3]]], square[[[0, 1, 2], [0, 1, 3]]]
    owner = np.array([0, 0, 1, 1], np.int32)
    apart = np.concatenate([flat, flat + 1.0])
    assert folded_polygons(apart, owner).tolist() == []
    assert folded_polygons(np.concatenate([flat, folded + 1.0]), owner).tolist() == [1]
    assert folded_polygons(np.concatenate([flat, flat]), owner).tolist() == [], "two polygons are another matter"
