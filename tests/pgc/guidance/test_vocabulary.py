# SPDX-License-Identifier: Apache-2.0
"""What is said to someone whose prompt holds words that the prior has never seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pgc.errors import GuidanceError
from pgc.guidance.vocabulary import Vocabulary


@pytest.fixture
def vocabulary(tmp_path: Path) -> Vocabulary:
    path = tmp_path / "vocabulary.json"
    groups = {
        "colors": ["red", "blue"],
        "materials": ["brick", "made", "of", "wooden"],
        "other": ["a", "with"],
        "untrained": ["wooded", "the"],
    }
    path.write_text(json.dumps(groups))
    return Vocabulary.load(path)


def test_known_prompts_need_no_message(vocabulary: Vocabulary) -> None:
    assert vocabulary.message("A red, wooden brick") is None


def test_message_names_unknown_words_near_ones_and_known_ones(vocabulary: Vocabulary) -> None:
    message = vocabulary.message("a red woden brik, the xyzzy")
    assert message is not None
    assert "woden (did you mean wooden?), brik (did you mean brick?), the, xyzzy." in message
    assert "It knows colors: red, blue." in message
    assert "It knows materials: brick, wooden." in message
    assert "other" not in message.replace("the other words", "")


def test_untrained_words_are_never_suggested(vocabulary: Vocabulary) -> None:
    assert vocabulary.suggestions("wooded") == ("wooden",)
    assert vocabulary.suggestions("zzz") == ()


@pytest.mark.parametrize("text", ["[1]", '{"colors": "red"}', '{"colors": [1]}', "not json", None])
def test_broken_files_are_refused(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "vocabulary.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(GuidanceError, match=r"vocabulary"):
        Vocabulary.load(path)
