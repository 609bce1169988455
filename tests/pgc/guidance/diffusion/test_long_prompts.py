# SPDX-License-Identifier: Apache-2.0
"""Prompts longer than a model reads: windows for open vocabularies, whole phrases left out for the pocket prior."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pgc.cameras.view_names import VIEW_NAMES, view_prompt
from pgc.guidance.base import LimitedReader, PromptEmbedding
from pgc.guidance.diffusion.latent_diffusion import MOST_WINDOWS
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig as Config
from pgc.guidance.diffusion.long_prompts import fits_tokenizers, fitted_prompt, prompt_windows
from pgc.guidance.diffusion.pocket import pocket_weights
from pgc.guidance.specs import PocketSpec, SDXLSpec, StableDiffusionSpec, load_guidance
from pgc.optimization.config import Prompt
from pgc.runs.prompt_warnings import prompt_warnings, reading_warnings
from pgc.view_words import view_words

CPU = torch.device("cpu")
LONG = ", ".join(
    f"{c} bricks with {d} {m}" for c in ("red", "blue") for d in ("white", "black") for m in ("dots", "rust")
)


def twenty(text):
    """A stand-in for a tokenizer: one token a word or comma."""
    return len(text.replace(",", " , ").split()) <= 20


@pytest.fixture(scope="module")
def pocket():
    return load_guidance(PocketSpec(source=str(pocket_weights())), CPU)


@pytest.fixture(scope="module")
def stable_diffusion(sd15_folder):
    spec = StableDiffusionSpec(source=str(sd15_folder), controlnet=None, run=Config(dtype="float32"))
    return load_guidance(spec, CPU)


@pytest.fixture(scope="module")
def sdxl(sdxl_folder):
    spec = SDXLSpec(source=str(sdxl_folder), controlnet=None, run=Config(dtype="float32"))
    return load_guidance(spec, CPU)


@pytest.fixture(params=["pocket", "stable_diffusion", "sdxl"])
def prior(request):
    return request.getfixturevalue(request.param)


@pytest.mark.slow
def test_views_of_a_long_prompt_differ(prior):
    sides = [prior.encode_prompt([view_prompt(LONG, name)]) for name in VIEW_NAMES]
    for one, other in pairwise(sides):
        assert not torch.equal(*(side.hidden_states for side in (one, other)))
        if one.pooled is not None:
            assert not torch.equal(one.pooled, other.pooled)


@pytest.mark.slow
def test_a_short_prompt_is_read_as_ever(prior):
    one = prior.encode_prompt(["red cube"]).hidden_states
    assert one.shape[1] in (24, 32)
    assert prior.left_out("red cube") == ()
    assert prior.left_out("") == ()
    assert isinstance(prior, LimitedReader)


def test_pocket_leaves_out_whole_phrases_and_keeps_view_and_light(pocket):
    complete = pocket._complete(view_prompt(LONG, "back"), negative=False)
    assert complete.text.endswith(", back view, flat lighting")
    assert complete.text.startswith("red bricks with white dots, ")
    assert set(complete.left_out) <= set(LONG.split(", "))
    kept = set(complete.text.split(", "))
    assert set(LONG.split(", ")) <= kept | set(complete.left_out)
    (tokenizer,) = pocket._model._model.components.tokenizers
    assert len(tokenizer(complete.text).input_ids) <= 32
    assert pocket.left_out(view_prompt(LONG, "back")) == complete.left_out


def test_a_single_long_phrase_loses_its_last_words(pocket):
    complete = pocket._complete("red " * 60 + "bricks, side view", negative=False)
    assert complete.text.startswith("red red red")
    assert complete.text.endswith("red, side view, flat lighting")
    (words,) = complete.left_out
    assert words.endswith("red bricks")


@pytest.mark.slow
@pytest.mark.parametrize(
    "text", ["a" * 400, "彩" * 60, "front view, " * 40, ",,,;;;" * 50, "\n" * 300, "\U0001f409" * 50, "x" + ", y" * 90]
)
def test_anything_is_read_somehow(prior, text):
    embedding = prior.encode_prompt([view_prompt(text, "front")])
    assert torch.isfinite(embedding.hidden_states).all()


def test_an_open_vocabulary_reads_all_in_windows(stable_diffusion):
    text = "red cube, blue ball with dots, white marble cone, green wood"
    windows = stable_diffusion._windows.windows(text)
    assert len(windows) > 1
    assert "".join(windows).replace(" ", "") == text.replace(" ", ""), "not a letter is lost"
    states = stable_diffusion.encode_prompt([text]).hidden_states
    assert states.shape == (1, 24 * len(windows), 16)
    for number, window in enumerate(windows):
        alone = stable_diffusion.encode_prompt([window]).hidden_states
        assert torch.allclose(states[:, 24 * number : 24 * (number + 1)], alone, atol=1e-6)
    assert stable_diffusion.left_out(text) == ()


@pytest.mark.slow
def test_beyond_the_last_window_phrases_are_left_out_and_told(stable_diffusion):
    text = view_prompt(", ".join(f"red cube number {number}" for number in range(60)), "underside")
    windows = stable_diffusion._windows.windows(text)
    assert len(windows) == MOST_WINDOWS
    assert "underside view" in windows[-1]
    missing = stable_diffusion.left_out(text)
    assert missing[-1] == "red cube number 59"
    warnings = reading_warnings(stable_diffusion, Prompt(text=text.removesuffix(", underside view")))
    assert "longer than the prior reads" in warnings[0]
    assert " more" in warnings[0]


def test_both_tokenizers_of_sdxl_see_the_same_windows(sdxl):
    first, second = sdxl._model.components.tokenizers
    assert first is not second
    for text in sdxl._windows.windows(LONG):
        for tokenizer in (first, second):
            assert len(tokenizer(text).input_ids) <= tokenizer.model_max_length
    mixed = sdxl.encode_prompt([LONG, "", "red"])
    assert not mixed.hidden_states[1].any()
    assert not mixed.pooled[1].any()
    alone = sdxl.encode_prompt(["red"])
    assert torch.allclose(mixed.pooled[2:], alone.pooled, atol=1e-6)


def test_repeated_rows_change_no_prediction(stable_diffusion):
    short = stable_diffusion.encode_prompt(["red cube"])
    long = PromptEmbedding(hidden_states=short.hidden_states.repeat(1, 3, 1))
    both = PromptEmbedding.cat([short, long])
    assert both.hidden_states.shape[1] == 72
    latents = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(0)).repeat(2, 1, 1, 1)
    unet = stable_diffusion._model.unet
    with torch.no_grad():
        once = unet(latents[:1], 5, short.hidden_states).sample
        twice = unet(latents, 5, both.hidden_states).sample
    assert torch.allclose(twice[0], once[0], atol=1e-5)
    assert torch.allclose(twice[0], twice[1], atol=1e-5)


def test_lengths_meet_at_their_common_multiple():
    two, three = (PromptEmbedding(hidden_states=torch.rand(1, 8 * n, 4)) for n in (2, 3))
    assert PromptEmbedding.cat([two, three]).hidden_states.shape == (2, 48, 4)


words = st.lists(
    st.sampled_from(["red", "brick", ",", ", ", "; ", "seen from above", "\n", "wallpaper" * 9, "."]), max_size=80
)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(words, st.sampled_from(["", ", back view", ", flat lighting"]))
def test_fitting_and_windows_hold_for_any_text(parts, ending):
    text = " ".join(parts)
    done = fitted_prompt(text, twenty, ending=ending)
    assert twenty(done.text)
    assert done.text.endswith(ending)
    assert (done.left_out == ()) or not twenty(text + ending)
    windows = prompt_windows(text, twenty)
    assert all(twenty(window) for window in windows)
    assert "".join("".join(windows).split()) == "".join(text.split())


def test_fitting_asks_few_times():
    asked = []
    text = ", ".join(f"phrase {number}" for number in range(5000))

    def fits(given):
        asked.append(given)
        return twenty(given)

    assert len(fitted_prompt(text, fits).left_out) > 4900
    assert len(asked) < 20


@pytest.mark.parametrize(
    "text",
    [
        "a red chair, back view",
        "a red chair, Rear View",
        "a castle seen from above",
        "a castle, viewed from below",
        "toy car, view from the side",
        "helmet, three-quarter view",
        "map, bird's-eye view",
        "map, top-down perspective",
        "ship shown from behind",
        "statue, 3/4 view",
        "left side view of a truck",
        "low-angle shot of a tower",
    ],
)
def test_a_prompt_that_names_a_view_gets_no_other(text):
    assert view_words(text)
    assert all(view_prompt(text, name) == text for name in VIEW_NAMES)
    assert any("names a view itself" in line for line in _own(text))


def _own(text):
    from pgc.runs.prompt_warnings import _own_view

    return _own_view(Prompt(text=text))


@pytest.mark.parametrize(
    "text",
    [
        "a red brick teapot",
        "a rock lit from above",
        "moss growing from below",
        "a room with a view",
        "the back of a whale",
        "front door of painted wood",
        "side table",
        "wallpaper with an interview",
        "sight seeing bus from the side",
        "top hat, bottom shelf",
    ],
)
def test_other_sides_are_no_views(text):
    assert view_words(text) is None
    assert view_prompt(text, "back") == f"{text}, back view"
    assert _own(text) == ()


def test_all_that_is_wrong_with_a_prompt_is_said(pocket):
    lines = prompt_warnings(pocket, Prompt(text=f"gryphon, {LONG}, seen from above", negative=f"ugly, {LONG}"))
    assert "gryphon" in lines[0]
    assert "seen from above" in lines[1]
    assert lines[2].startswith("The prompt is longer")
    assert lines[3].startswith("The negative prompt is longer")


def test_bytes_that_are_no_text_are_refused():
    from pgc.errors import ConfigError

    with pytest.raises(ConfigError, match="no text in UTF-8"):
        Prompt(text="bad \udcff text")


def test_tokenizers_are_asked_with_start_and_end(pocket):
    (tokenizer,) = pocket._model._model.components.tokenizers
    fits = fits_tokenizers([tokenizer])
    assert fits(" ".join(["red"] * 30))
    assert not fits(" ".join(["red"] * 31))
