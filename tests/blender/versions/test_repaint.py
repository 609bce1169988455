# SPDX-License-Identifier: Apache-2.0
"""A mask keeps every map, of pictures, packed channels, values and several slots, in a real Blender."""

import pytest

pytestmark = [pytest.mark.blender, pytest.mark.slow]
PROBE = "probe_repaint.py"


def test_every_map_goes_along_with_a_mask(run_in_blender):
    found = run_in_blender("every_map", script=PROBE)
    assert found["color"]
    assert found["roughness"], "the green of a packed image"
    assert found["normal"]
    assert found["metallic"] == [51], "a value is the same all over"
    assert found["names"] == ["base_color", "metallic", "normal", "roughness"], "occlusion is computed"
    assert found["mask"] == [1, 12, "anew"]
    assert found["strength"] == "present", "some of it is to stay"
    assert "Metallic of Shown comes from nodes" in found["nodes"][0]
    assert found["nodes"][1] == "pgc.base_color_only"
    assert found["without it"] == ["base_color", "roughness"]
    assert found["start"] == [["base_color", "roughness"], 0, 0], "what cannot be read begins anew"


def test_each_face_keeps_what_its_own_slot_shows(run_in_blender):
    found = run_in_blender("several_slots", script=PROBE)
    assert found["active 0"] == found["active 1"] == [True, True, True, [255]]
    assert found["slot"], "of one slot, its picture is the start"
