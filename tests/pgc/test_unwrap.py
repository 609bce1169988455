# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import trimesh

from pgc import unwrap as unwrap_module
from pgc.errors import MeshError
from pgc.mesh import Mesh, prepare_mesh, triangulate, unwrap
from pgc.uv_layout import covered_cells
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
    meter = unwrap_module._Meter(None, 1)
    return unwrap_module._run_xatlas("chart", triangles.positions, triangles.faces, "test", meter)


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


@needs.XATLAS
def test_triangles_without_area_get_uvs_of_their_neighbours():
    box = trimesh.creation.box()
    faces = np.vstack([box.faces, [[0, 0, 1], [2, 2, 2]]])
    done = unwrap(mesh_of(box.vertices, faces))
    triangles = triangulate(done)
    near = {vertex: triangles.corner_uvs[:12][triangles.faces[:12] == vertex].tolist() for vertex in (0, 1, 2)}
    for face in (12, 13):
        for corner in range(3):
            assert triangles.corner_uvs[face, corner].tolist() in near[int(triangles.faces[face, corner])]


@needs.XATLAS
def test_missing_uvs_are_made_up_to_a_size_and_asked_for_above(monkeypatch):
    mesh = bumpy_torus(8, 6)
    prepared = prepare_mesh(mesh)
    assert prepared.report.unwrapped
    assert "unwrapped" in prepared.report.warnings[0]
    monkeypatch.setattr("pgc.uv_policy.MAX_TRIANGLES_TO_UNWRAP", 95)
    with pytest.raises(MeshError, match=r"96 triangles.*--unwrap"):
        prepare_mesh(mesh)


@needs.XATLAS
def test_xatlas_failing_is_one_sentence(monkeypatch, tmp_path):
    mesh = bumpy_torus(8, 6)
    broken = tmp_path / "xatlas_worker.py"
    monkeypatch.setattr(unwrap_module, "__file__", str(tmp_path / "unwrap.py"))
    broken.write_text("import os\nos.abort()\n")
    with pytest.raises(MeshError, match=r"test: xatlas could not unwrap the mesh \(it ended with code"):
        unwrap(mesh)
    broken.write_text("raise ValueError('no luck')\n")
    with pytest.raises(MeshError, match="ValueError: no luck"):
        unwrap(mesh)


@needs.XATLAS
def test_stopping_ends_xatlas(monkeypatch, tmp_path):
    started = []
    real = unwrap_module.subprocess.Popen

    def popen(*args, **kwargs):
        started.append(real(*args, **kwargs))
        return started[-1]

    def stop(fraction):
        if started:
            raise KeyboardInterrupt

    (tmp_path / "xatlas_worker.py").write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(unwrap_module, "__file__", str(tmp_path / "unwrap.py"))
    monkeypatch.setattr(unwrap_module.subprocess, "Popen", popen)
    with pytest.raises(KeyboardInterrupt):
        unwrap(bumpy_torus(8, 6), stop)
    assert started[0].poll() is not None


def test_without_xatlas_the_sentence_says_what_to_do(monkeypatch):
    monkeypatch.setattr(unwrap_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MeshError, match=r"test: it needs new UVs, and xatlas.* is not installed .*Smart UV Project"):
        prepare_mesh(bumpy_torus(8, 6))
