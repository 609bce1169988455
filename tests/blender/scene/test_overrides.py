# SPDX-License-Identifier: Apache-2.0
"""Objects of library files get textures as local ones do, or are refused before anything is sent."""

import pytest

pytestmark = [pytest.mark.blender, pytest.mark.slow]
PROBE = "probe_overrides.py"


def test_a_linked_object_gets_an_override_by_the_offered_click(run_in_blender, tmp_path):
    found = run_in_blender("linked", script=PROBE, folder=str(tmp_path))
    said, fix = found["said"]
    assert "linked from another file" in said
    assert fix == "pgc.make_override"
    assert found["sent"] == 0
    assert found["made"] == [True, True, True]
    assert found["system"][1] == "pgc.make_override"
    assert "not editable" in found["system"][0]
    assert found["may edit"]


def test_every_property_of_an_object_can_be_overridden(run_in_blender):
    assert run_in_blender("not_overridable", script=PROBE) == []


def test_a_linked_scene_is_said(run_in_blender, tmp_path):
    found = run_in_blender("linked_scene", script=PROBE, folder=str(tmp_path))
    assert "is linked from another file; work in a scene of this file." in found["said"][0]
    assert "Blender cannot override Crate here" in found["override"][0]
    assert found["sent"] == 0


@pytest.mark.parametrize(("slots", "version"), [(1, False), (2, True)])
def test_an_override_is_textured_as_a_local_object_is(run_in_blender, tmp_path, slots, version):
    found = run_in_blender("life", script=PROBE, folder=str(tmp_path), slots=slots, version=version)
    ours, own = ["Crate: red bricks"] * slots, [f"Lib{index}" for index in range(slots)]
    before = ["Crate: Lib"] * slots if version else own
    first = ["Lib"] if version else []
    assert found["before"] == before
    assert found["preview"] == ["PGC Preview"] * slots
    assert (found["end"], found["shown"], found["versions"]) == ("finished", ours, [*first, "red bricks"])
    assert found["undone"] == [before, first]
    assert found["redone"] == [ours, [*first, "red bricks"]]
    assert found["compared"] == before
    assert found["opened"] == [ours, [*first, "red bricks"], [[16, 16]]]
    assert found["restored"] == own
    assert found["again"] == ours
    assert found["removed"][1] == first
    assert found["removed"][0] in (own, before)
    assert not any(found["jobs"]), "the library's job is not ours"
    if version:
        assert "library file" in found["library's"][0]


@pytest.mark.parametrize(("slots", "target"), [(0, "object"), (1, "selected_faces")])
def test_what_would_change_the_librarys_mesh_is_said_before(run_in_blender, tmp_path, slots, target):
    found = run_in_blender("needs_a_mesh", script=PROBE, folder=str(tmp_path), slots=slots, target=target)
    said, fix = found["said"]
    assert "linked from another file" in said
    assert (fix, found["sent"]) == ("pgc.make_single_user", 0)
    assert (found["end"], found["problem"]) == ("finished", None)
    assert found["shown"][-1] == "Crate: red bricks"
    assert found["opened"] == found["shown"]


def test_a_mask_on_an_override_stays_and_is_sent(run_in_blender, tmp_path):
    found = run_in_blender("masked", script=PROBE, folder=str(tmp_path))
    assert "Make Mesh Single-User" in found.pop("linked")
    assert found == {"mode": "TEXTURE_PAINT", "shown": ["Crate: red bricks"], "mask": True, "locks": 1}


def test_a_preview_that_a_library_was_saved_with_does_no_harm(run_in_blender, tmp_path):
    found = run_in_blender("preview_left_in_library", script=PROBE, folder=str(tmp_path))
    assert found["opened"] == ["Lib0"]
    assert found["preview"] == ["PGC Preview"]
    assert (found["end"], found["shown"]) == ("finished", ["Crate: red bricks"])
    assert found["restored"] == ["Lib0"]
