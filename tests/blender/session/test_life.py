# SPDX-License-Identifier: Apache-2.0
"""A job's life among saves, undo, deletions, renders and new files."""

from types import SimpleNamespace

import pytest

from blender_addon.model.migrations import MIGRATIONS, SCHEMA, migrate

PROBE = "probe_life.py"


@pytest.mark.blender
@pytest.mark.slow
class TestInBlender:
    def test_a_job_is_found_again_in_a_saved_file(self, run_in_blender, tmp_path):
        found = run_in_blender("save_and_reopen", script=PROBE, folder=str(tmp_path))
        assert found["saved"]
        assert found["after save"] == ["Mine"], "no preview gets into a file"
        assert found["preview again"] == ["PGC Preview"]
        assert found["in file"] == ["Mine"]
        assert found["pictures in file"] == []
        assert found["attached"] == ["job-77"]
        assert (found["phase"], found["prompt"]) == ("found", "red bricks")
        assert found["preview"] == ["PGC Preview"]
        assert (found["end"], found["final"], found["pending"]) == ("finished", ["Shown: red bricks"], 0)

    @pytest.mark.parametrize("known", [True, False])
    def test_a_job_that_was_still_being_sent(self, run_in_blender, tmp_path, known):
        found = run_in_blender("reopened_before_accepted", script=PROBE, folder=str(tmp_path), known=known)
        if known:
            assert found["attached"] == ["job-9"]
            assert found["pending"] == ["job-9"]
        else:
            assert found["phase"] == "failed"
            assert "had not reached the server" in found["text"]
            assert found["pending"] == []

    @pytest.mark.parametrize("saved", [True, False])
    def test_another_file(self, run_in_blender, tmp_path, saved):
        found = run_in_blender("new_file", script=PROBE, folder=str(tmp_path), saved=saved)
        assert found["jobs"] == 0
        assert found["images"] == 0
        assert found["state"] == "idle"
        assert found["told"] == ([] if saved else ["job-1"])
        assert found["detached"] == (["job-1"] if saved else [])

    def test_a_deleted_object(self, run_in_blender):
        found = run_in_blender("deleted_and_back", script=PROBE)
        assert found["held"][0] == "held"
        assert "Shown is gone" in found["held"][1]
        assert found["back"] == ["finished", ["Shown: red bricks"]]
        assert found["other"] == ["finished", 1]
        assert found["discarded"] == ["cancelled", [], 0]

    def test_a_renamed_and_a_duplicated_object(self, run_in_blender):
        found = run_in_blender("renamed_and_duplicated", script=PROBE)
        assert found["twin before"] == ["PGC Preview"]
        assert found["final"] == ["Other Name: red bricks"]
        assert found["twin"] == ["Mine"]
        assert found["pending"] == [0, 0]
        assert found["keys"] == ["", ""]
        assert found["left"] == []

    def test_a_render(self, run_in_blender, tmp_path):
        found = run_in_blender("while_rendering", script=PROBE)
        assert found["untouched"]
        assert found["phase"] == "applying"
        assert (found["after"], found["end"]) == (["Shown: red bricks"], "finished")
        real = run_in_blender("render_for_real", script=PROBE, folder=str(tmp_path))
        assert real == {"picture": True, "end": "finished", "frame": 5}

    def test_a_file_with_a_preview_in_it_is_mended(self, run_in_blender, tmp_path):
        found = run_in_blender("autosaved", script=PROBE, folder=str(tmp_path))
        assert found["mended"] == ["Mine"]
        assert found["key"] == ""
        assert found["attached"] == ["job-1"]
        assert found["alone"] == ["Mine"]
        assert not found["session"], "a render on a farm connects to nothing"

    def test_several_objects_in_one_style(self, run_in_blender):
        found = run_in_blender("several_objects", script=PROBE)
        assert found["objects"] == ["Shown", "Second"]
        assert found["seeds"] == [11, 11]
        assert found["next"] == 12
        assert found["materials"] == [["Shown: red bricks"], ["Second: red bricks"]]

    @pytest.mark.parametrize(
        ("how", "phase"),
        [("discarded", "cancelled"), ("painting", "held"), ("damaged", "failed"), ("disabled", "applying")],
    )
    def test_a_half_made_result_leaves_no_pictures(self, run_in_blender, how, phase):
        found = run_in_blender("half_made", script="probe_delivery.py", how=how)
        assert found["half"] == 1
        assert (found["held"], found["phase"]) == (0, phase)
        if how == "painting":
            pictures = ["Shown: red bricks base_color", "Shown: red bricks roughness", "Shown: red bricks thumbnail"]
            assert found["then"] == ["finished", pictures]

    def test_an_animation_that_plays(self, run_in_blender):
        assert run_in_blender("while_playing", script="probe_delivery.py") == {
            "preview": ["PGC Preview"],
            "moving": True,
            "end": ["finished", ["Shown: red bricks"], ["Shown: red bricks"]],
            "frame": True,
            "keys": True,
            "undone": 0,
        }

    def test_settings_carry_a_schema_number(self, run_in_blender, tmp_path):
        found = run_in_blender("settings_of_an_old_file", script=PROBE, folder=str(tmp_path))
        assert found == {"saved": SCHEMA, "later": 5, "prompt": "kept", "new": SCHEMA}

    def test_disabling_in_the_middle_of_a_job_leaves_nothing(self, run_in_blender):
        found = run_in_blender("nothing_left", script=PROBE)
        assert found["there"]
        assert found["classes"] == []
        assert found["handlers"] == []
        assert found["threads"] == 0
        assert not found["timer"]
        assert found["properties"] == [False] * 3
        assert found["materials"] == ["Mine"]
        assert found["images"] == 0
        assert found["closed"]


def test_migrations_lead_from_every_schema_to_this_one():
    assert set(MIGRATIONS) == set(range(SCHEMA))
    group = SimpleNamespace(schema=0, steps=2_000_000_000)
    assert migrate(group)
    assert (group.schema, group.steps) == (SCHEMA, 100_000)


def test_migrations_go_step_by_step_and_never_back():
    order = []
    steps = {0: lambda group: order.append(0), 1: lambda group: order.append(1), 2: lambda group: order.append(2)}
    group = SimpleNamespace(schema=1)
    assert migrate(group, steps, 3)
    assert (order, group.schema) == ([1, 2], 3)
    later = SimpleNamespace(schema=4)
    assert not migrate(later, steps, 3)
    assert later.schema == 4
