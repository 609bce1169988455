# SPDX-License-Identifier: Apache-2.0
"""Refine Shape in Blender: a new object beside the old one, which stays bit for bit."""

import pytest

from blender_addon.model.conditions.shapes import ShapeTask, shape_wish
from blender_addon.protocol.errors import FieldError

PROBE = "probe_shapes.py"


@pytest.mark.blender
@pytest.mark.slow
class TestInBlender:
    @pytest.mark.parametrize("mirrored", [False, True])
    def test_a_new_object_comes_beside_the_old_one_which_stays(self, run_in_blender, mirrored):
        found = run_in_blender("kept", script=PROBE, mirrored=mirrored)
        assert found["sent"] == ["red bricks", "plastic", 41, 77, ["shape"]]
        assert found["rate"] == pytest.approx(0.02)
        assert found["as shown"] < 1e-5
        assert found["outward"]
        assert found["seed after"] == 42
        same, display, no_render, no_select, error, beside = found["wire"]
        assert (same, display, no_render, no_select, beside) == (True, "WIRE", True, True, True)
        assert error < 1e-4
        assert found["while it runs"]
        assert (found["phase"], found["wires"]) == ("finished", 0)
        assert found["note"] == "Blockout Refined stands beside Blockout, which is as it was."
        assert found["moved"] < 1e-5
        assert found["beside"] == [True, [0.0, 0.0], True]
        assert found["quads"]
        assert found["uvs"] == ["UVMap"]
        assert found["slots of faces"] == 2
        assert found["materials"] == ["A.001", "B.001"]
        assert found["group"] == 1
        assert found["colors"] == ["PGC Shape"]
        assert found["modifiers"] == 0, "they are in its mesh"
        assert found["own"] == [True, 1, 0]
        assert found["same"]
        assert found["active"] == "Other", "nothing is selected under the artist's hands"
        assert found["new"] == [["Blockout Refined"], ["Blockout Refined"], ["A.001", "B.001"]]
        assert found["second"][:4] == [True, True, 1, True]
        assert found["second"][4] == 2.0
        assert found["second"][5] == ["A.002", "B.002"]
        assert found["still"]

    def test_every_end_takes_the_wireframe_away(self, run_in_blender):
        found = run_in_blender("ends", script=PROBE)
        assert found["save"] == [1, 0, 0]
        assert found["cancel"] == ["cancelled", 0, ["job-1"]]
        assert found["nothing of it"] == []
        assert found["failed"] == ["failed", 0, "pgc.refine_shape"]
        assert found["stoppable"]
        phase, made, note = found["kept"]
        assert (phase, made) == ("finished", True)
        assert "stands beside" in note
        phase, text = found["damaged"]
        assert phase == "failed"
        assert "does not have" in text
        phase, note = found["held"]
        assert phase == "held"
        assert "Go to Object Mode" in note
        assert found["then"] == ["finished", True]
        assert found["same"]

    def test_a_result_is_one_step_of_undo(self, run_in_blender):
        found = run_in_blender("undone", script=PROBE)
        assert found["made"]
        assert found["undone"] == [False, 0, True]
        assert found["redone"] == [True, 0]

    def test_a_file_that_is_opened_again_finds_its_job(self, run_in_blender):
        assert run_in_blender("reopened", script=PROBE) == [True, True, "finished", True, 0]

    def test_a_prompt_alone_becomes_an_object_on_the_cursor(self, run_in_blender):
        found = run_in_blender("imagined", script=PROBE)
        assert found["sent"] == [0, "volume", "a red vase", 0, "a red vase (new shape)"]
        assert found["wire"] == [1.0, 2.0, 3.5]
        assert any("New Object" in text for text in found["drawn"])
        assert found["made"] == ["finished", "a red vase stands at the 3D cursor.", 0, [1.0, 2.0, 3.5]]
        assert found["color"]
        assert found["same"]
        assert found["cancelled"] == ["cancelled", 0]
        assert "cannot store anything now" in found["told"], "whatever object is active"
        assert not found["no prompt"]

    def test_what_cannot_be_is_said_at_the_click(self, run_in_blender):
        found = run_in_blender("refused", script=PROBE)
        assert "never seen a picture of normals" in found["normals"]
        assert "no ControlNet" in found["hold"]
        assert "scaled flat" in found["flat"]
        said, button = found["old server"]
        assert "older version" in said
        assert button == "pgc.copy_install_command"
        assert not found["prompt"]
        assert found["sent"] == 0
        closed, opened = found["drawn"]
        assert closed == ["panel pgc_shape {'default_closed': True}", "label Refine Shape"]
        assert "operator pgc.refine_shape" in opened
        assert "prop subdivide" in opened
        assert "makes no shapes" in " ".join(opened).replace("label ", "")
        _, opened = found["drawn, grid"]
        assert "prop cubes" in opened
        assert "no pictures of normals" in " ".join(opened).replace("label ", "")


def test_a_mesh_as_it_was_sent_is_found_again_in_a_file():
    task = ShapeTask(digest="ab", turn=tuple(float(number) for number in range(9)))
    assert ShapeTask.read(task.written()) == task
    for text in ("", "{}", '{"digest": "a", "turn": [1, 2]}', '{"digest": "a", "turn": 5}', "[]"):
        assert ShapeTask.read(text) is None


def test_choices_that_do_not_show_are_not_sent():
    given = {"loss": "rgb", "subdivide": 2, "cubes": 32, "strength": 1.0, "hold": False}
    moved, grid = shape_wish(geometry="offsets", **given), shape_wish(geometry="dmtet", **given)
    assert (moved.subdivide, moved.cubes, moved.learning_rate) == (2, None, None)
    assert (grid.subdivide, grid.cubes) == (0, 32)
    with pytest.raises(FieldError):
        shape_wish(geometry="offsets", **{**given, "strength": 1000.0})
