# SPDX-License-Identifier: Apache-2.0
"""All materials of an object in one set of maps: the right values, and nothing else changed."""

import pytest

pytestmark = [pytest.mark.blender, pytest.mark.slow]
PROBE = "probe_bake.py"
_CHOOSE = "choose a version that was generated"


def near(got, expected, tolerance=1):
    return all(abs(a - b) <= tolerance for a, b in zip(got, expected, strict=True))


def test_four_materials_in_one_set(run_in_blender):
    found = run_in_blender("bake", script=PROBE)
    assert found["result"] == ["FINISHED"]
    assert found["same"], "objects, selection, mode, render settings"
    assert found["cycles"]
    assert found["engine"] == "BLENDER_WORKBENCH"
    # Four maps and a thumbnail; one material.
    assert found["added"] == {"images": 5, "materials": 1}
    assert found["spaces"] == {
        "base_color": "sRGB",
        "roughness": "Non-Color",
        "metallic": "Non-Color",
        "normal": "Non-Color",
    }
    assert found["all slots"]
    assert (found["name"], found["uv"]) == ("Baked Set", "Artist")
    assert found["again"] == [f"Baked Set was baked from materials and has no prompt; {_CHOOSE}."] * 2
    assert found["panel"] == ["red bricks", 7]
    values = found["values"]
    # sRGB of linear 0.2, 0.4, 0.6; of 0.25 and 0.75; of viewport green.
    assert near(values["base_color"][1], (124, 170, 203))
    assert near(values["base_color"][2], (137, 0, 225))
    assert near(values["base_color"][3], (0, 255, 0))
    assert [column[0] for column in values["roughness"]][1:] == [
        pytest.approx(value, abs=1) for value in (76, 204, 230)
    ]
    assert [column[0] for column in values["metallic"]][1:] == [pytest.approx(value, abs=1) for value in (255, 0, 128)]
    assert near(values["normal"][0], (166, 102, 246), 2)
    for column in (1, 2):
        assert near(values["normal"][column], (128, 128, 255))


def test_maps_of_the_same_size_and_uvs_come_out_as_they_are(run_in_blender):
    found = run_in_blender("exact", script=PROBE)
    assert found["off"] == {"base_color": 0, "roughness": 0, "metallic": 0}
    assert found["approximated"] == ["Glass"]
    assert found["shares"] == [0.0, 0.25, 0.5, 0.75], "of four maps, before each"


def test_occlusion_is_what_the_object_hides_from_itself(run_in_blender):
    found = run_in_blender("occlusion", script=PROBE)
    assert sorted(found["maps"]) == ["base_color", "metallic", "normal", "occlusion", "roughness"]
    assert found["space"] == "Non-Color"
    # A long wall of height 1 takes half of (1 - d / sqrt(d² + 1)) of the light at a distance d; what else is in the
    # artist's scene takes none.
    for place, value in found["at"].items():
        distance = float(place)
        assert value == pytest.approx(0.5 + 0.5 * distance / (distance**2 + 1) ** 0.5, abs=0.01)
    # Five maps, a thumbnail; the group in which the exporter looks for occlusion.
    assert found["added"] == {"images": 6, "materials": 1, "node_groups": 1}


def test_one_undo_step(run_in_blender):
    assert run_in_blender("undo", script=PROBE) == {"versions": 0, "same": True, "counts": True}


def test_udim(run_in_blender):
    found = run_in_blender("udim", script=PROBE)
    assert found.keys() == {"1001", "1002"}
    assert near(found["1001"][1], (255, 255, 255))
    assert near(found["1002"][0], (0, 0, 0))
    assert near(found["1002"][1], (128, 128, 128))


def test_mirrored_copies_in_another_square_are_no_tile(run_in_blender):
    found = run_in_blender("parked", script=PROBE)
    assert found["one"]
    assert all(tiles == [1001] for tiles in found["one"])
    assert all(tiles == [1001, 1002] for tiles in found["two"]), "another material needs texels of its own"


def test_what_cannot_be_baked(run_in_blender):
    found = run_in_blender("refusals", script=PROBE)
    assert [("no UV map" in text, "Nowhere" in text, "Edit Mode" in text) for text in found["said"]] == [
        (True, False, False),
        (True, True, False),
        (False, False, True),
    ]
    assert not found["poll"]
    assert not found["left"]
