# SPDX-License-Identifier: Apache-2.0
"""Layers of wear over versions: strokes, copies, undo, missing files and shaders, and other files' versions."""

import pytest

from tests.blender.blender_process import probe_script

pytestmark = [pytest.mark.blender, pytest.mark.slow]


@pytest.fixture(scope="module")
def found(blender, tmp_path_factory):
    work = tmp_path_factory.mktemp("wear")
    return blender.call(probe_script("probe_wear.py"), "several", {"folder": str(work)}, work=work, limit=110)


def test_a_mask_has_the_strokes_that_no_save_has_stored(found):
    assert found["strokes"]["mean"] == 0.5
    added, mask = found["strokes"]["bytes"]
    assert added == mask > 0, "a version's size counts its wear's masks"
    assert "has no pixels" in found["strokes"]["gone"][0]
    assert found["strokes"]["layers"] == [1, 1]


def test_copies_that_share_a_version_share_its_layers(found):
    told = found["copies"]
    assert told["shared"]
    assert told["followed"] == [0.25, True]
    assert told["added"] == [[2, 2], [2, 2]]
    assert told["removed"] == [[1, 1], [1, 1]]
    assert told["left"].endswith("facing up")


def test_no_picture_of_a_removed_layer_stays(found):
    assert found["nothing_stays"] == {"layers": [1, 1], "orphans": [], "images": 0}


def test_a_material_without_its_shader_is_refused_and_its_layers_can_go(found):
    told = found["no_shader"]
    assert "has no Principled BSDF any more" in told["add"][0]
    assert (told["layers"], told["remove"], told["after"]) == (1, None, 0)


def test_what_has_no_place_is_refused(found):
    told = found["nowhere"]
    assert "Nothing of Plane is higher than the rest" in told["flat"][0]
    assert "lies in 2 UDIM tiles" in told["tiles"][0]
    assert told["no mask"] == [False, 0.0], "a layer whose mask was deleted is seen nowhere"
    assert "has no UV map UVMap any more" in told["renamed"][0]
    assert "has no UV map UVMap any more" in told["no UVs"][0]
    assert told["layers"] == [1]


def test_a_run_that_starts_from_a_worn_version_says_what_it_leaves_out(found):
    worn, hidden = found["started_from"]["notes"]
    assert worn == ["The wear over prompt 1 is left out; Bake into One Set makes one version of both."]
    assert hidden == []


def test_undo_and_redo_bring_layers_back_with_their_masks(found):
    assert found["undone"] == {
        "undone": [1, 1], "mask": [True, True], "before": [0, 0], "redone": [1, 1], "again": True
    }  # fmt: skip


def test_strokes_on_a_worn_version_leave_both_their_layers(found):
    assert found["painted"] == {"layers": [[1, 1], [1, 1]], "strength": 0.5}


def test_layers_of_another_file_are_not_changed(found):
    told = found["library"]
    assert "prompt 1 is kept in another file; make Linked local first" in told["add"][0]
    assert "is kept in another file" in told["remove"][0]
    assert (told["layers"], told["strength"]) == ([1, 1], 1.0)
