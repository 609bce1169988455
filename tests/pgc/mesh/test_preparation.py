# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from pgc.errors import MeshError
from pgc.mesh import Mesh, load_mesh, prepare_mesh


def quad(**changes):
    fields = {
        "name": "quad",
        "positions": np.array([(0, 0, 0), (4, 0, 0), (4, 2, 0), (0, 2, 1)], dtype=np.float64),
        "polygon_sizes": np.array([4], dtype=np.int32),
        "corner_positions": np.arange(4, dtype=np.int32),
        "uvs": np.array([(0, 0), (1, 0), (1, 1), (0, 1)], dtype=np.float32),
        "corner_uvs": np.arange(4, dtype=np.int32),
        "normals": None,
        "corner_normals": None,
        "material_index": np.zeros(1, dtype=np.int32),
        "material_names": ("",),
        "up_axis": "z",
    }
    return Mesh(**{**fields, **changes})


BAD = {
    "nan": ({"positions": np.full((4, 3), np.nan)}, "4 vertex position.*NaN or infinite"),
    "infinite uv": ({"uvs": np.full((4, 2), np.inf, np.float32)}, "UV.*NaN or infinite"),
    "no polygon": ({"polygon_sizes": np.zeros(0, np.int32)}, "no faces"),
    "two corners": ({"polygon_sizes": np.array([2, 2], np.int32)}, "face number 0 has 2 corner"),
    "corners missing": ({"polygon_sizes": np.array([5], np.int32)}, "5 corners together but 4"),
    "index out of range": ({"corner_positions": np.array([0, 1, 2, 4], np.int32)}, "vertex number 4, but there are 4"),
    "index negative": ({"corner_positions": np.array([0, 1, 2, -1], np.int32)}, "vertex number -1"),
    "uv index out of range": ({"corner_uvs": np.array([0, 1, 2, 4], np.int32)}, "UV number 4"),
    "uv without index": ({"corner_uvs": None}, "both a pool and corner indices"),
    "uv indices too few": ({"corner_uvs": np.arange(3, dtype=np.int32)}, "3 UV indices, expected 4"),
    "materials too many": ({"material_index": np.zeros(2, np.int32)}, "2 material indices, expected 1"),
    "material out of range": ({"material_index": np.ones(1, np.int32)}, "material number 1"),
}


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD.keys())
def test_a_bad_mesh_is_refused_in_one_sentence(changes, message):
    with pytest.raises(MeshError, match=message) as caught:
        quad(**changes)
    assert str(caught.value).startswith("quad: ")


@pytest.mark.parametrize("up_axis", ["y", "z"])
def test_normalisation_fits_centres_turns_and_comes_back(up_axis):
    mesh = quad(up_axis=up_axis)
    prepared = prepare_mesh(mesh)
    points = prepared.triangles.positions
    assert np.abs(points).max() <= 0.8
    np.testing.assert_allclose((points.min(axis=0) + points.max(axis=0)) / 2, 0.0, atol=1e-6)
    assert np.ptp(points, axis=0).max() == pytest.approx(1.6, rel=1e-5)
    tall = 2 if up_axis == "y" else 1
    assert np.ptp(points, axis=0)[tall] == pytest.approx(0.8, rel=1e-5), "file Y becomes Z of a Y-up file"
    homogeneous = np.concatenate([mesh.positions, np.ones((4, 1))], axis=1)
    np.testing.assert_allclose((homogeneous @ prepared.normalization.matrix().T)[:, :3], points, atol=1e-6)
    np.testing.assert_allclose(prepared.normalization.from_normalized(points), mesh.positions, atol=1e-6)
    assert np.linalg.det(prepared.normalization.rotation()) == pytest.approx(1.0)


@pytest.mark.slow
def test_normals_turn_with_the_axes():
    up = {"normals": np.array([(0, 1, 0)], np.float32), "corner_normals": np.zeros(4, np.int32)}
    assert set(map(tuple, prepare_mesh(quad(up_axis="y", **up)).triangles.corner_normals.reshape(-1, 3))) == {(0, 0, 1)}
    assert set(map(tuple, prepare_mesh(quad(up_axis="z", **up)).triangles.corner_normals.reshape(-1, 3))) == {(0, 1, 0)}


@pytest.mark.slow
def test_far_away_and_loose_vertices():
    positions = quad().positions + 65536.0
    mesh = quad(positions=np.vstack([positions, np.zeros((1, 3))]))
    points = prepare_mesh(mesh).triangles.positions[:4]
    np.testing.assert_allclose(points, prepare_mesh(quad()).triangles.positions, atol=1e-6)


def test_the_callers_mesh_is_handed_on_untouched():
    mesh = quad(uvs=np.array([(-2, 0), (-1.5, 0), (-1.5, 0.5), (-2, 0.5)], np.float32))
    before = {name: np.copy(getattr(mesh, name)) for name in ("positions", "uvs", "corner_uvs", "corner_positions")}
    prepared = prepare_mesh(mesh)
    assert prepared.mesh is mesh
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(mesh, name), value)
    assert prepared.triangles.corner_uvs.min() == 0.0
    assert "moved by whole units" in prepared.report.warnings[0]


@pytest.mark.slow
def test_a_surface_without_area_is_refused_and_some_triangles_are_told():
    with pytest.raises(MeshError, match="no area"):
        prepare_mesh(quad(positions=np.zeros((4, 3))))
    line = np.outer(np.arange(4), (1, 2, 3)) / 7
    with pytest.raises(MeshError, match="no area"):
        prepare_mesh(quad(positions=line))
    repeated = quad().positions[[0, 1, 2, 2]]
    report = prepare_mesh(quad(positions=repeated)).report
    assert report.degenerate_triangles == 1
    assert "1 triangle(s) have no area" in report.warnings[-1]
    tiny = prepare_mesh(quad(positions=quad().positions * 1e-12))
    assert tiny.report.degenerate_triangles == 0


@pytest.mark.slow
def test_overlaps_and_repeats_are_told():
    wider = np.array([(0, 0, 0), (4, 0, 0), (4, 2, 0), (0, 2, 1), (9, 0, 0), (10, 0, 0), (10, 5, 0), (9, 5, 0)], float)
    double = {
        "positions": wider,
        "polygon_sizes": np.array([4, 4], np.int32),
        "corner_positions": np.arange(8, dtype=np.int32),
        "corner_uvs": np.array([0, 1, 2, 3, 0, 1, 2, 3], np.int32),
        "material_index": np.zeros(2, np.int32),
    }
    report = prepare_mesh(quad(**double)).report
    assert report.overlap_fraction == pytest.approx(1.0, abs=0.01)
    assert "overlap on" in report.warnings[0]
    assert (report.uvs.verdict, report.uvs.done) == ("overlapping", "kept")
    tiled = prepare_mesh(quad(uvs=quad().uvs * np.float32(1.4))).report
    assert tiled.needs_repeat
    assert "repeat the same texels" in tiled.warnings[0]
    assert len(tiled.warnings) == 1
    around = prepare_mesh(quad(uvs=quad().uvs - np.float32(0.25))).report
    assert around.needs_repeat
    assert "run over the edge" in around.warnings[-1]


@pytest.mark.slow
def test_udim_report(tmp_path):
    path = tmp_path / "tiles.obj"
    path.write_text(
        "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nv 2 0 0\nv 2 1 0\n"
        "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nvt 3.1 2.1\nvt 3.9 2.1\nvt 3.9 2.9\nvt 3.1 2.9\n"
        "f 1/1 2/2 3/3 4/4\nf 2/5 5/6 6/7 3/8\n"
    )
    prepared = prepare_mesh(load_mesh(path))
    assert prepared.report.tiles == (1001, 1024)
    assert prepared.face_tiles.tolist() == [1001, 1001, 1024, 1024]
    assert prepared.report.chart_count == 2
    assert prepared.report.warnings == ()
