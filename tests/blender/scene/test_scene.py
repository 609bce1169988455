# SPDX-License-Identifier: Apache-2.0
"""The add-on's scene code in Blender itself: export, cameras, images, materials, and what must not change."""

import pytest

pytestmark = [pytest.mark.blender, pytest.mark.slow]


@pytest.mark.parametrize("scale", [1.0, -2.0])
def test_export_keeps_winding_normals_and_uvs_together(run_in_blender, scale):
    facts = run_in_blender("export_facts", scale=scale)
    assert facts["agree"]
    assert facts["uv_error"] < 1e-6
    assert (facts["faces"], facts["polygons"]) == (2, [0, 0])
    assert facts["untouched"]
    assert facts["refs"]
    assert facts["meshes"] == 1


def test_modifiers_count_and_targets_choose_faces(run_in_blender):
    assert run_in_blender("export_modifiers") == {"triangles": 48, "slot": 8, "selected": 8, "untouched": True}


def test_what_cannot_be_exported_is_said(run_in_blender):
    found = run_in_blender("refusals")
    assert found["bare"] == ["Bare has no UV map; unwrap it first (this adds a new UV map).", "pgc.unwrap"]
    assert "not a mesh" in found["light"][0]
    assert "no faces" in found["empty"][0]
    assert "Artist" in found["map"][0]
    assert "slot 4" in found["slot"][0]


def test_cycles_sees_what_was_painted(run_in_blender):
    assert run_in_blender("apply_and_render", plant="")["error"] < 0.02


@pytest.mark.parametrize("plant", ["flip", "pack", "colour space", "uv map", "slot"])
def test_a_planted_mistake_is_seen(run_in_blender, plant):
    assert run_in_blender("apply_and_render", plant=plant)["error"] > 0.05


def test_nothing_else_changes_and_all_comes_back(run_in_blender):
    results = run_in_blender("promises", script="probe_awkward.py")
    assert len(results) == 27
    refused = {name for name, result in results.items() if "refused" in result}
    assert refused == {"shared mesh, faces"}
    for name, result in results.items():
        assert result["same"], name
        if name not in refused:
            assert result["shown"], name
            assert result["others"], name


def test_cameras_see_as_blender_does(run_in_blender):
    assert run_in_blender("cameras")["worst"] < 1e-4
