# SPDX-License-Identifier: Apache-2.0
"""The extension in Blender, from the button to the material, against a real server with the pocket prior."""

import pytest

pytestmark = [pytest.mark.blender, pytest.mark.slow]


def test_disabling_leaves_nothing_behind(run_in_blender):
    facts = run_in_blender("register_twice", script="probe_addon.py")
    assert facts == {"there": [True] * 4, "gone": [False] * 4, "timer": False}


def test_generate_textures_the_object_and_nothing_else(run_in_blender, connection):
    facts = run_in_blender("generate", script="probe_addon.py", connection=str(connection))
    assert facts["states"][-1] == "done", facts
    assert "running" in facts["states"]
    assert facts["refused_without_prompt"]
    assert facts["bystander"]
    assert facts["packed"]
    assert facts["size"] == [256, 256]
    assert facts["color_space"] == "sRGB"
    assert facts["slots"] == ["Shown: red bricks"]
    assert facts["restored"]
