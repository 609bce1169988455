# SPDX-License-Identifier: Apache-2.0
"""The Advanced panel: what it shows of a reference, controls, views and starts, what it sends, and what it refuses."""

import pytest

PROBE = "probe_advanced.py"
pytestmark = [pytest.mark.blender, pytest.mark.slow]


def test_a_reference_goes_along_or_is_refused_by_name(run_in_blender):
    found = run_in_blender("reference", script=PROBE)
    assert found["none"]
    assert found["scale"] == 0.25
    # What is hidden has no color that Blender would tell.
    assert found["pixels"][0] == [[255, 128, 0, 255], [0, 255, 51, 128]]
    assert found["pixels"][2][1] == [51, 102, 153, 255]
    assert [row[0][3] for row in found["pixels"]] == [255, 0, 0]
    assert found["controls"] == found["not the model's"] == 0
    assert found["drawn"] == [True, True, False]
    assert found["why"]
    assert found["shown"] == [["depth", 1.0], ["normal", 0.5], ["shuffle", 0.75]]
    assert found["sd15 drawn"] == [True, True, True]
    assert found["flux"] == [False, None]
    assert found["lit drawn"]
    words, operator, sent = found["lit"]
    assert "A reference is for base color only" in words
    assert (operator, sent) == ("pgc.base_color_only", 0)
    assert found["shuffled alone"] == 0.0
    assert found["off"]
    assert "All of Clear is transparent" in found["clear"][0]
    assert found["clear"][2] == 0
    assert found["linear and wide"] == [[1, 750, 3], 137, 137]


def test_lora_files_go_along_or_are_refused_by_name(run_in_blender, tmp_path):
    found = run_in_blender("loras", script=PROBE, folder=str(tmp_path))
    assert found["built-in"] == [0, False]
    assert found["drawn"] == [True, True, True, False, False], "one row more than there are files"
    assert found["sent"] == [["moss.safetensors", 0.25, "moss" * 20], ["rust.safetensors", -1.0, "rust" * 20]]
    assert found["shape"] == [["moss.safetensors", True], ["rust.safetensors", True]]
    assert found["without strength"] == ["rust.safetensors"]
    assert found["changed"] == "fern" * 21
    for name, words in (
        ("style.ckpt", "style.ckpt is no .safetensors file"),
        ("gone.safetensors", "gone.safetensors cannot be read"),
        ("rust.safetensors", "rust.safetensors is there twice"),
    ):
        assert words in found[name][0]
        assert found[name][2] == 0, "nothing is sent"


def test_learnt_words_and_the_servers_own_models_go_along(run_in_blender, tmp_path):
    found = run_in_blender("added", script=PROBE, folder=str(tmp_path))
    assert found["built-in"] == [0, *[False] * 6]
    assert found["none"] == [True, True, True, False, False, False], "the server has named none"
    assert found["listed"] == [True] * 6
    assert found["sent"] == [["moss", "moss.safetensors", "moss" * 20]]
    assert found["named"] == [["depth", "mine"], ["edges", "lines"]]
    assert found["adapter"] == "eye", "with light, which colors alone could not have"
    for name, words in (
        ("twice", "moss.safetensors is there twice"),
        ("no such word", "No prompt has the word 'lichen'"),
        ("no word", "'two words'"),
        ("no word either", "Type a Word for wet moss.safetensors: Got 'wet moss'"),
        ("no name", "Edges ControlNet: Got 'My Lines'"),
    ):
        assert words in found[name][0]
        assert found[name][2] == 0, "nothing is sent"


def test_a_version_is_made_again_with_its_own_reference(run_in_blender):
    found = run_in_blender("regenerated", script=PROBE)
    assert found["again"] == ["First", "moss"]
    assert "The reference of" in found["gone"]
    assert "First, is not in this file any more" in found["gone"]
    assert found["kept"] == "Second"


def test_colors_of_the_mesh_and_a_grid(run_in_blender):
    found = run_in_blender("starts", script=PROBE)
    assert not found["hidden"]
    assert "has no vertex colors to start from" in found["no colors"][0]
    assert found["no colors"][2] == 0
    for name in ("CORNER FLOAT_COLOR", "POINT FLOAT_COLOR", "CORNER BYTE_COLOR"):
        shape, (red, green, blue, gray) = found[name]
        assert shape == [2, 3, 3]
        assert (red, green, blue) == ([1, 0, 0], [0, 1, 0], [0, 0, 1])
        assert gray == pytest.approx([0.5] * 3, abs=0.01), "linear, whatever the attribute stores"
    assert found["strength"] == 0.5
    assert found["grid"] == ["texels", True]
    assert found["plain"] == ["hashgrid", None, True]
    assert found["lit grid"] == "texels"
    words, _, sent = found["another model's loss"]
    assert "rfds is for models of straight flows" in words
    assert "Traceback" not in words
    assert sent == 0
