# SPDX-License-Identifier: Apache-2.0
"""The panel: what it shows in each state, that all of it exists and has words, and what its choices send."""

import re

import pytest

from blender_addon.model.choices import MODEL_NAMES, cost_text, duration, expected_steps, model_note, need_light
from blender_addon.model.state import AppState
from blender_addon.model.vocabulary import GROUPS, unknown_words
from blender_addon.protocol.records import ModelInfo
from pgc import maps as map_names
from pgc.guidance.specs import PocketSpec
from pgc.maps import MAP_NAMES
from pgc.pocket.data.lit_captions import lit_vocabulary
from pgc.runs.settings.choices import PRESETS, RunChoices
from pgc.runs.settings.presets import resolve

PROBE = "probe_panel.py"
SMALL = {"a", "an", "the", "of", "on", "in", "to", "with", "and", "or", "into", "by", "for", "px", "blend", "xatlas"}


@pytest.mark.blender
@pytest.mark.slow
class TestInBlender:
    def test_every_state_can_be_drawn(self, run_in_blender):
        found = run_in_blender("states", script=PROBE)
        assert "pgc.generate" in found["before anything"]
        assert "Select a mesh object first." in found["no mesh"], "why the button is grey"
        assert "Type a prompt first." in found["no prompt"][0]
        assert not found["no prompt"][1]
        assert "Not Connected Yet" in found["unknown"]
        texts, operators = found["absent"]
        assert "not running" in texts
        assert operators[0] == "pgc.start_server"
        texts, operators, same = found["ready"]
        assert "Server Ready" in texts
        assert "76 steps" in texts
        assert "defect" not in texts, "what fails while it is drawn is told there, and the rest goes on"
        assert same, "the material tab shows the same"
        assert "first." not in texts
        texts, operators = found["running"]
        assert "Step 3 of 10, 7 s left 0.30" in texts
        assert "pgc.cancel" in operators
        bar = [["progress", "Shown: Step 3 of 10, 7 s left 0.30"], ["operator", "pgc.cancel"]]
        assert found["status bar"] == [[], bar]
        assert "pgc.generate" in operators, "another one may wait for its turn"
        assert "Receiving" in found["receiving"]
        assert found["long note"] == [True, True], "the versions stay in sight"
        texts, operators = found["other object"]
        assert "Shown 0.50" in texts
        assert "pgc.generate" in operators, "another object need not wait"
        assert "pgc.generate" in found["finished"][1]
        texts, operators = found["failed"]
        assert "cannot store anything now" in texts
        assert operators.count("pgc.generate") == 2, "the button, and Try Again"
        assert found["combinations"] == 7 * 10 * 2

    def test_choices_show_when_they_matter(self, run_in_blender):
        found = run_in_blender("settings_drawn", script=PROBE)
        assert "gnarly" in found["strange"]
        assert {"pgc.add_rig", "pgc.remove_rig"} <= set(found["rig"])
        assert found["uv"]
        assert not found["maps"]
        assert not found["new UVs"]
        assert found["more maps"]
        assert found["slots"] == [False, True, False]
        assert found["models"][0].count("pgc.use_model") == len(MODEL_NAMES)
        assert "pgc.copy_model_command" in found["models"][0]
        assert found["PGC_MT_words"] > 40
        assert found["PGC_MT_recent"] == 1
        menu, texts = found["other model"]
        assert not menu
        assert "gnarly" not in texts

    def test_what_is_too_large_for_the_server_is_refused_at_the_click_by_its_limit(self, run_in_blender):
        found = run_in_blender("limits", script=PROBE)
        assert "at most 40 M triangles" in found["before"]
        said = {
            "triangles": ("2 triangles; this server's machine takes 1 at most", ""),
            "vertices": ("4 vertices in a mesh; this server's machine takes 3", ""),
            "job_texels": ("1,048,576 texels; this server's machine takes 262,144", "pgc.smaller_texture"),
            "job_bytes": ("bytes of arrays; this server's machine takes 99", ""),
            "job_memory": ("needs about 0.1 GB of memory", "pgc.smaller_texture"),
        }
        for name, (words, button) in said.items():
            told, shown, operator, submitted, _drawn = found[name]
            assert words in told
            assert shown.startswith("Shown: The job ")
            assert words in shown
            assert (operator, submitted) == (button, 0)
        assert "at most 1 triangles" in found["triangles"][4]
        assert "0.26 M texels" in found["job_texels"][4] or "262,144 texels" in found["job_texels"][4]
        assert found["smaller"] == ["512", 1, True]
        told, operator, submitted = found["unwrap"]
        assert "2 triangles; this server's machine takes 1 at most" in told
        assert (operator, submitted) == ("pgc.unwrap", 1)

    def test_prompts_are_remembered(self, run_in_blender):
        found = run_in_blender("prompts", script=PROBE)
        assert found["words"] == "red bricks"
        assert found["recent"] == [["red bricks", "moss"], ["blue wood", ""]]
        assert found["used"] == ["blue wood", ""]
        assert found["dirty"]

    def test_presets_keep_the_choices(self, run_in_blender):
        assert run_in_blender("presets", script=PROBE) == ["mossy stone", "fine", "1024", "scene"]

    def test_cameras(self, run_in_blender):
        found = run_in_blender("cameras", script=PROBE)
        assert found["sphere"] == ["sampler", 0]
        assert found["scene"] == ["rig", 2]
        assert found["view"] == ["rig", 1]
        assert all(found[name] == name for name in ("paper", "stages", "close-ups"))
        assert found["rig"] == ["rig", "rig", 6]
        assert found["in view"]
        assert found["edited"] == ["rig", 5]
        assert found["removed"] == ["sphere", True, True]

    def test_every_choice_is_in_the_job(self, run_in_blender):
        assert run_in_blender("sent", script=PROBE) == {
            "prompt": ["red bricks", "moss"],
            "settings": ["fine", 42, 77, 1024],
            "slots": True,
            "model": "sd15",
            "loss": ["csd", "dreamtime", 3.5],
            "noise": ["surface", "constant"],
            "clipping": ["pngd", 0.25],
            "encoder": "linear",
            "shown": [["depth", 0.5], ["normal", 0.25]],
            "views": {"front": "a red door", "back": "red bricks, back view, with moss"},
            "maps": ["base_color", "normal"],
            "uv": "Second",
            "seed kept": 42,
        }

    def test_everything_has_a_tooltip_and_a_title(self, run_in_blender):
        found = run_in_blender("words", script=PROBE)
        assert found["missing"] == []
        assert len(found["labels"]) > 50
        for label in found["labels"]:
            words = re.findall(r"[A-Za-z']+", label)
            assert all(word[0].isupper() or word in SMALL for word in words), label

    def test_drawing_and_polling_are_quick_in_a_scene_of_a_thousand_objects(self, run_in_blender):
        times = run_in_blender("quick", script=PROBE)
        assert times["draw"] <= 1.0, times
        assert times["poll"] <= 1.0, times

    def test_threads_and_bpy_never_meet(self, run_in_blender):
        assert run_in_blender("sources", script=PROBE) == []


@pytest.mark.parametrize(
    ("key", "info", "note", "icon"),
    [
        ("pocket", None, "", "CHECKMARK"),
        ("sdxl", None, "not known yet", "QUESTION"),
        ("sdxl", ModelInfo("sdxl", "installed"), "", "CHECKMARK"),
        ("sdxl", ModelInfo("sdxl", "missing"), "needs a download", "IMPORT"),
        ("sdxl", ModelInfo("sdxl", "missing", "12 GB"), "12 GB", "IMPORT"),
        ("sdxl", ModelInfo("sdxl", "too_big"), "too big", "ERROR"),
    ],
)
def test_a_model_that_is_not_there_does_not_look_as_if_it_were(key, info, note, icon):
    said, shown = model_note(key, info)
    assert said.startswith(note)
    assert bool(said) == bool(note)
    assert shown == icon


def test_what_a_texture_costs():
    state = AppState()
    assert cost_text(state, model="pocket", preset="draft", size=512) == "41 steps"
    assert cost_text(state, model="pocket", preset="draft", size=512, lit=True) == "56 steps"
    assert cost_text(state, model="pocket", preset="draft", size=512, strength=0.1) == "8 steps"
    assert cost_text(state, model="pocket", preset="draft", size=512, strength=0.1, steps=9) == "9 steps"
    assert cost_text(state, model="pocket", preset="draft", size=512, lit=True, strength=None) == "85 steps"
    assert cost_text(state, model="sdxl", preset="fine", size=512) == "2 x the model's own number of steps"
    state.steps["sdxl", "standard", False] = 1000
    state.seconds_per_step["sdxl", 2048, False] = 0.5
    state.seconds_per_step["sdxl", 512, True] = 0.8
    assert expected_steps(state, "sdxl", "draft") == 500
    assert expected_steps(state, "sdxl", "draft", anew=False) is None, "what was learned is of new textures"
    assert cost_text(state, model="sdxl", preset="draft", size=512) == "500 steps, about 4 min"
    assert cost_text(state, model="sdxl", preset="draft", size=512, steps=10) == "10 steps, about 5 s"
    assert cost_text(state, model="sdxl", preset="draft", size=256, steps=10, lit=True) == "10 steps, about 8 s"
    state.seconds_per_step.popitem()
    assert cost_text(state, model="sdxl", preset="draft", size=256, steps=10, lit=True) == "10 steps"


@pytest.mark.parametrize("name", MAP_NAMES)
def test_panel_and_library_agree_which_maps_need_light(name):
    assert need_light([name]) == map_names.need_light([name])


@pytest.mark.parametrize("preset", PRESETS)
def test_the_steps_of_the_built_in_model_are_known_before_the_first_job(preset):
    for maps in (("base_color",), ("roughness",)):
        optimize = resolve(RunChoices(preset=preset, maps=maps), PocketSpec())[1].optimize
        known = expected_steps(AppState(), "pocket", preset, lit=len(maps[0]) < 10)
        assert known == optimize.warm_steps + optimize.steps


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "1 s"), (89, "89 s"), (120, "2 min"), (7200, "2.0 h")])
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_the_words_at_hand_are_words_that_the_model_was_trained_on():
    trained = {word for name, words in lit_vocabulary().items() if name != "untrained" for word in words}
    for title, words in GROUPS.items():
        known = trained | {"stone"}
        assert set(words) <= known, title
    assert unknown_words("a Red gnarly brick, GNARLY red") == ("gnarly",)
    assert unknown_words("red thing", ("red",)) == ("thing",)
    for phrase in ("a photo of a red brick wall, studio lighting, high quality", "a statue covered in teal scales"):
        assert unknown_words(phrase) == ()
