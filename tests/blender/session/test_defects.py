# SPDX-License-Identifier: Apache-2.0
"""An exception in every callback: no timer ends, no job hangs, and the panel says one sentence, once."""

import logging

import pytest

from blender_addon.model.defects import defect, guarded, guarded_class, note_defect
from blender_addon.model.state import AppState

PROBE = "probe_defects.py"
DRAWN = ("draw_server_line", "draw_prompt", "draw_quality", "draw_target", "draw_progress", "_draw_outcome")
EVENTS = ("JobAccepted", "JobStateChanged", "JobProgress", "PreviewFrame", "JobFinished", "JobFailed", "JobCancelled")
LAST = ("JobFinished", "JobFailed", "JobCancelled")


def _fail(text="lost"):
    raise KeyError(text)


def test_a_defect_is_told_of_once_for_each_place(caplog):
    state = AppState()
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            with defect(state, "Showing a preview"):
                _fail()
        with defect(state, "Showing a preview"):
            raise ValueError("another")
    assert [record.message.splitlines()[0] for record in caplog.records] == ["Showing a preview failed."] * 2
    assert "Traceback" in caplog.text
    assert state.problem is not None
    assert state.problem.text.startswith("Showing a preview failed by a defect of the extension (ValueError: another)")
    assert "Traceback" in state.problem.options["text"]
    assert state.revision == 2


def test_what_is_no_exception_goes_through():
    with pytest.raises(KeyboardInterrupt), defect(AppState(), "Waiting"):
        raise KeyboardInterrupt


def test_a_long_reason_is_one_line():
    problem = note_defect(AppState(), "Reading", KeyError("a\n" * 1000))
    assert "\n" not in problem.text
    assert len(problem.text) < 300


def test_a_guarded_function_tells_and_goes_on():
    told = []
    call = guarded(lambda *arguments: _fail(*arguments), told.append, "instead")
    assert call("this") == "instead"
    assert [str(error) for error in told] == ["'this'"]


def test_a_guarded_class_has_the_shapes_that_blender_counts():
    told = []

    class Base:
        def draw(self, context):
            _fail()

    class Operator(Base):
        @classmethod
        def poll(cls, context):
            _fail()

        def execute(self, context):
            return {"FINISHED"} if context else _fail()

        def invoke(self, context, event):
            _fail()

    guarded_class(Operator, lambda error, owner, name: told.append((owner, name)) or name)
    again = Operator.execute
    assert guarded_class(Operator, lambda *_: None).execute is again, "a second time changes nothing"
    one = Operator()
    assert (one.execute(1), one.execute(0), one.invoke(0, 0), one.draw(0)) == (
        {"FINISHED"},
        "execute",
        "invoke",
        "draw",
    )
    assert Operator.poll(0) == "poll"
    assert told == [(one, "execute"), (one, "invoke"), (one, "draw"), (Operator, "poll")]
    assert (Operator.execute.__code__.co_argcount, Operator.invoke.__code__.co_argcount) == (2, 3)
    with pytest.raises(KeyError):
        Base().draw(0)


@pytest.mark.blender
@pytest.mark.slow
class TestInBlender:
    def test_a_turn_goes_on_wherever_it_raises(self, run_in_blender):
        found = run_in_blender("in_a_turn", script=PROBE)
        assert len(found) > 40
        for place, facts in found.items():
            assert facts["calls"] > 0, f"{place} was never called"
            assert facts["turns"] == 30, place
            assert facts["kept"], f"{place} ends the timer"
            assert facts["ended"] in ("finished", "failed"), place
            assert len(facts["said"]) == 1, place
            assert facts["drawn"], place
            assert facts["next"] == "finished", place
            assert facts["shown"][0].startswith("Shown: red bricks"), place

    def test_an_event_that_cannot_be_understood_costs_itself(self, run_in_blender):
        found = run_in_blender("in_an_event", script=PROBE, events=EVENTS)
        for name, facts in found.items():
            assert facts["phase"] == ("failed" if name in LAST else "finished"), name
            assert facts["said"] == 1, name
            assert facts["intact"] == (name in LAST), name
            assert facts["again"], name

    def test_a_handler_that_raises_says_so_and_stays(self, run_in_blender, tmp_path):
        found = run_in_blender("in_a_handler", script=PROBE, folder=str(tmp_path))
        assert len(found) == 10
        for name, facts in found.items():
            assert facts["calls"] == 1, name
            assert facts["said"] == 1, name
            assert facts["survives"], name
            assert facts["ended"] == "finished", name
            if name.startswith("save_pre") and "take_off" not in name:
                assert facts["preview off"], f"{name}: the preview would get into the file"

    def test_operators_say_one_sentence(self, run_in_blender):
        found = run_in_blender("in_operators", script=PROBE)
        assert found["bare"] == []
        assert found["handlers"] >= 8
        for name, (said, count) in found["said"].items():
            assert "failed by a defect of the extension" in said, name
            assert "Traceback" not in said, name
            assert count == 1, name
        assert found["poll"] == [False, False]

    def test_a_part_of_the_panel_that_raises_leaves_a_sentence(self, run_in_blender):
        found = run_in_blender("in_drawing", script=PROBE, places=[f"ui.panel.{name}" for name in DRAWN])
        for place, facts in found.items():
            assert facts == {"calls": 3, "labels": [True] * 3, "defects": 1}, place

    def test_callbacks_of_properties_and_of_the_end(self, run_in_blender, tmp_path):
        found = run_in_blender("in_a_click", script=PROBE, folder=str(tmp_path))
        assert found["list"] == [1, 1]
        assert found["preferences"] == [1, 1]
        assert found["looking at UVs"] == [0.5, 1, 1]
        assert found["changed"]
        assert found["task"] == [None, False]
        assert found["task said"] == ["failed", True]
        assert found["left"] == [False, False]

    def test_it_is_said_once_and_can_be_copied(self, run_in_blender):
        found = run_in_blender("once", script=PROBE)
        assert found == {"said": 1, "copy": "pgc.copy_report", "again": 0, "calls": 100}
