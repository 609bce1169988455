# SPDX-License-Identifier: Apache-2.0
"""What artists do at the wrong moment costs nothing, and is answered."""

import pytest

pytestmark = [pytest.mark.blender, pytest.mark.slow]
PROBE = "probe_habits.py"


def test_while_the_mask_shows_the_canvas_is_the_mask(run_in_blender):
    painting = ["TEXTURE_PAINT", "IMAGE", "Mine", "PGC Mask", "Mine", True]
    done = ["OBJECT", "MATERIAL", "", "Shown: red bricks", "", False]
    assert run_in_blender("canvas", script=PROBE) == {
        "painting": painting,
        "done": done,
        "undone": painting,
        "redone": done,
        "undone to before": done,
        "painting again": painting,
        "another canvas was chosen": painting,
        "left by the mode menu": done,
        "ordinary painting": ["TEXTURE_PAINT", *done[1:]],
    }


def test_a_brush_changes_no_version_that_is_not_for_it(run_in_blender):
    found = run_in_blender("strokes", script="probe_painted.py")
    assert found["at first"] == []
    assert found["ordinary painting"] == ["Strokes change “red bricks”.", "pgc.paint_on_copy"]
    assert found["another image"] == []
    assert found["painted"] == ["“red bricks” was painted on.", "pgc.paint_on_copy", "pgc.restore_version"]
    kept = [["red bricks", False, True], ["red bricks (painted)", True, True]]
    assert found["kept"] == [kept, [1], "same canvas, material and look", [], "in the copy of the object too"]
    assert found["undone"] == [1, found["painted"], True], "the strokes are there, and are offered again"
    assert found["redone"] == [2, [], True]
    assert found["stroke on the copy"] == []
    assert found["compared"] == [0]
    before = [["red bricks (painted)", True, True]]
    assert found["restored"] == [[*kept, *before], [0], []]
    assert found["saved"] == [[*kept, *before, *before], [3]]
    assert found["opened"] == found["saved"]
    assert found["one stored stroke more"]
    assert found["file is gone"] == ["is missing", 4, True]


def test_clicks_at_the_wrong_time_change_nothing_and_say_why(run_in_blender):
    found = run_in_blender("clicks", script=PROBE)
    assert "The server cannot be used" in found["refused"][0]
    assert found["untouched"] == ["blue wood", 77, "slot", 9]
    assert found["hindered"] == [True, False], "why no preview grows"
    assert not found["slot"], "an internal material was named"
    assert found["after success"], "the sentence of an earlier click stayed"
    assert found["unpainted"]
    assert found["stopping"] == [["job-4"], True]
    assert found["kept"] == [1, True, "finished", True], "one more version, shown, marked as partial"
    assert found["cancelled"] == [True, True], "the object can have its next texture at once"
    assert found["version of it"] == [2, True, "cancelled"]
    assert found["in Edit Mode"]
    assert found["left"]


def test_a_lamp_hinders_nobody_and_menus_say_what_they_lack(run_in_blender):
    found = run_in_blender("selection", script=PROBE)
    assert found["lamp"]
    assert found["sent"] == ["Other", "Shown"]
    assert found["running"], "one more of each may wait"
    assert found["nothing"] == [False, True]
    assert found["presets"] == "No presets yet"
    assert found["unknown"] == "Unknown: gnarly", "the words come first: the line is cut at the panel's width"
    assert found["same place"], "the line about unknown words pushed the buttons"


def test_uvs_that_changed_meanwhile_are_said_and_the_texture_can_be_moved_to_them(run_in_blender):
    found = run_in_blender("uvs", script=PROBE)
    assert found["noted"], "a file that is opened again knows them too"
    assert found["said"]
    assert found["offered"] == ["pgc.transfer_uvs", "pgc.version_regenerate"]
    assert found["versions"] == [["red bricks", "red bricks (new UVs)"], 1, "red bricks"]
    assert not found["still said"]
    assert found["then"] == [], "the new version fits"
    assert found["error"] < 0.05
    assert found["left behind"] == []
    assert found["put back"] == [], "the old UVs fit the old version again"
    assert "other faces" in found["other faces"][0]
    assert found["other faces"][1] == "pgc.version_regenerate"


def test_a_result_that_an_undo_took_away_is_fetched_again(run_in_blender):
    assert run_in_blender("results", script=PROBE) == {
        "asked": True,
        "menu": 2,
        "undone": 0,
        "attached": ["job-1"],
        "fetched": [1, "red bricks", "job-1", 0],
        "again": [["FINISHED"], 1],
        "other": [2, "old moss", 7],
    }
