# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

from pgc.demo.assets import demo_mesh_path, viewer_script
from pgc.demo.teapot import bernstein, obj_text, part_normals, teapot_patches, tessellate
from pgc.mesh import load_mesh, prepare_mesh
from pgc.mesh.patches import mesh_from_patches


@pytest.fixture(scope="module")
def prepared():
    return prepare_mesh(load_mesh(demo_mesh_path()))


def numbers(text):
    return np.array([float(word) for line in text.splitlines() if line[0] == "v" for word in line.split()[1:]])


@pytest.mark.slow
def test_the_file_is_what_the_generator_makes():
    patches = teapot_patches()
    made = obj_text(mesh_from_patches("teapot", patches), part_normals(patches))
    kept = demo_mesh_path().read_text(encoding="utf-8")
    assert [line for line in made.splitlines() if line[0] == "f"] == [
        line for line in kept.splitlines() if line[0] == "f"
    ]
    # The last digit may differ between machines.
    assert np.abs(numbers(made) - numbers(kept)).max() <= 2e-5


def test_it_is_a_clean_mesh_of_some_thousand_triangles(prepared):
    assert 6000 <= len(prepared.triangles.faces) <= 10000
    assert prepared.report.warnings == ()
    assert prepared.report.chart_count == 6
    assert prepared.report.overlap_fraction < 0.001
    assert not prepared.report.unwrapped


def test_it_stands_upright_with_the_spout_to_the_viewers_right(prepared):
    points = prepared.triangles.positions
    size = np.ptp(points, axis=0)
    assert size[0] > size[1] > size[2]
    # The knob is the highest point, in the middle; the spout reaches further than the handle, at +X.
    top = points[points[:, 2].argmax()]
    assert abs(top[1]) < 1e-3
    spout = points[points[:, 0] > 0.75]
    assert spout[:, 2].mean() > 0.0


def test_faces_and_normals_point_outwards(prepared):
    corners = prepared.triangles.positions[prepared.triangles.faces].astype(np.float64)
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    assert (np.einsum("fk,fk->f", flat, prepared.triangles.corner_normals.mean(axis=1)) > 0).all()
    assert np.einsum("fk,fk->", corners.mean(axis=1), flat) > 0


def test_no_chart_is_mirrored(prepared):
    uv = prepared.triangles.corner_uvs.astype(np.float64)
    first, second = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    assert (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0] > 0).all()


def test_tessellation_goes_through_the_corners_of_its_control_net():
    control = np.random.default_rng(0).normal(size=(4, 4, 3))
    points = tessellate(control, 5)
    assert np.allclose(points[[0, 0, -1, -1], [0, -1, 0, -1]], control[[0, 0, 3, 3], [0, 3, 0, 3]])
    assert np.allclose(bernstein(np.linspace(0.0, 1.0, 7)).sum(axis=-1), 1.0)


def test_the_viewer_comes_with_its_licences():
    assert "model-viewer" in viewer_script()
    folder = demo_mesh_path().parent / "viewer"
    assert "Apache License" in (folder / "model-viewer.LICENSE").read_text(encoding="utf-8")
    assert "three.js" in (folder / "third-party.LICENSE").read_text(encoding="utf-8")
