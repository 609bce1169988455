# SPDX-License-Identifier: Apache-2.0
"""Prompts of single views: read, put beside or in the place of the others, and carried along by a report."""

from __future__ import annotations

import json

import pytest
import torch

from pgc.errors import ConfigError
from pgc.guidance.specs import PocketSpec, load_guidance
from pgc.optimization.config import Prompt
from pgc.runs.arguments import TextureArguments, arguments_from_report
from pgc.runs.prompt_warnings import prompt_warnings
from pgc.runs.view_prompts import prompts_of_views, read_view_prompts


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("top=moss", "expected VIEW=TEXT with one of front, side, back"),
        ("moss", "expected VIEW=TEXT"),
        ("back=", "back says nothing"),
        ("back= + ", "back says nothing"),
        ("=moss", "expected VIEW=TEXT"),
        ("left=moss", "expected VIEW=TEXT"),
    ],
)
def test_what_is_no_prompt_of_a_view_is_refused(given: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read_view_prompts([given])


def test_a_view_is_named_once() -> None:
    with pytest.raises(ConfigError, match="back twice"):
        read_view_prompts(["back=moss", "Back=fern"])


def test_words_stand_in_the_place_of_the_prompt_or_beside_it() -> None:
    wishes = read_view_prompts(["back=a door = open", "Side = + mossy", "front=+ worn"])
    assert wishes == {"back": "a door = open", "side": "+ mossy", "front": "+ worn"}
    found = prompts_of_views("red bricks", wishes, view_dependent=True)
    assert found == {
        "back": "a door = open",
        "side": "red bricks, side view, mossy",
        "front": "red bricks, front view, worn",
    }
    assert prompts_of_views("red bricks", wishes, view_dependent=False)["side"] == "red bricks, mossy"
    assert prompts_of_views("red bricks", None, view_dependent=True) == {}
    assert read_view_prompts([]) is None


def test_they_reach_the_request_and_a_resumed_run() -> None:
    given = TextureArguments(mesh="a.obj", prompt="red bricks", view_prompt={"back": "moss, green", "side": "+ worn"})
    prompt = given.to_request().prompt
    assert prompt.of_view("back") == "moss, green"
    assert prompt.of_view("side") == "red bricks, side view, worn"
    assert prompt.of_view("front") == "red bricks, front view"
    stored = json.loads(json.dumps({"arguments": given.given()}))
    assert arguments_from_report(stored, TextureArguments()) == given
    with pytest.raises(ConfigError, match="view_prompt differ"):
        arguments_from_report(stored, TextureArguments(view_prompt={"back": "fern"}))


def test_a_word_that_only_a_view_asks_for_is_said_to_be_unknown() -> None:
    pocket = load_guidance(PocketSpec(), torch.device("cpu"))
    prompt = Prompt(text="red bricks", per_view={"back": "red gryphon"})
    assert any("gryphon" in line for line in prompt_warnings(pocket, prompt))
    assert prompt_warnings(pocket, Prompt(text="red bricks")) == ()
