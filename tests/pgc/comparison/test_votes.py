# SPDX-License-Identifier: Apache-2.0
"""Votes are counted once each, with intervals; damaged files are refused by name."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pgc.comparison.votes import Vote, read_votes, sum_up
from pgc.errors import ConfigError
from pgc.evaluation.measures.statistics import wilson_interval

METHODS = {"A": "1" * 16, "B": "2" * 16, "C": "3" * 16}


def vote(choice: str, left: str = "A", right: str = "B", *, voter: str = "v", seed: int = 0) -> Vote:
    return Vote(voter=voter, prompt="red", mesh="teapot", seed=seed, left=left, right=right, choice=choice)  # type: ignore[arg-type]


def saved(path: Path, *rows: dict[str, Any], methods: dict[str, str] | None = None, voter: str = "v") -> Path:
    content = {"format": "pgc-votes-1", "voter": voter, "methods": methods or METHODS, "votes": list(rows)}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


ROW = {"prompt": "red", "mesh": "teapot", "seed": 0, "left": "A", "right": "B", "choice": "left"}


def test_shares_by_pair_with_wilsons_interval() -> None:
    votes = [
        vote("left", seed=0),
        vote("left", "B", "A", seed=1),
        vote("right", "B", "A", seed=2),
        vote("tie", seed=3),
        vote("left", "A", "C", seed=0),
    ]
    found = sum_up(votes)
    first, second = found.pairs
    assert (first.first, first.second) == ("A", "B")
    assert (first.prefer_first.successes, first.no_difference.successes, first.prefer_second.successes) == (2, 1, 1)
    assert first.prefer_first.trials == 4
    assert (first.prefer_first.low, first.prefer_first.high) == wilson_interval(2, 4)
    assert (first.first_of_decided.successes, first.first_of_decided.trials) == (2, 3)
    assert (second.first, second.second, second.prefer_first.trials) == ("A", "C", 1)
    assert (found.methods["A"].successes, found.methods["A"].trials) == (3, 5)
    assert (found.left_of_decided.successes, found.left_of_decided.trials) == (3, 4)


def test_who_votes_again_counts_once_by_the_last_vote() -> None:
    found = sum_up([vote("left"), vote("left", "B", "A"), vote("left", voter="w")])
    assert (found.votes, found.given_again, found.voters) == (2, 1, 2)
    assert found.pairs[0].prefer_first.successes == 1, "v changed to B, w chose A"


def test_files_together(tmp_path: Path) -> None:
    one = saved(tmp_path / "one.json", ROW, {**ROW, "seed": 1, "choice": "tie"})
    two = saved(
        tmp_path / "two.json", {**ROW, "left": "B", "right": "A"}, voter="w", methods={"A": "1" * 16, "B": "2" * 16}
    )
    lines = sum_up(read_votes([one, two]), 2).lines()
    assert lines[0] == "3 votes of 2 people in 2 files."
    assert "  no difference: 33.3 % (1 of 3, 95 % CI 6.1 to 79.2)" in lines


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read as votes"),
        ("[]", "holds no votes (pgc-votes-1)"),
        ('{"format": "pgc-votes-2"}', "holds no votes"),
        ('{"format": "pgc-votes-1", "methods": [], "voter": "v", "votes": []}', "methods is missing or damaged"),
        ('{"format": "pgc-votes-1", "methods": {}, "voter": 1, "votes": []}', "voter is missing or damaged"),
        ("[" * 100_000, "cannot be read as votes"),
    ],
)
def test_files_that_are_none(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "votes.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=re.escape(words)):
        read_votes([path])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"choice": "both"}, "vote 1 is damaged"),
        ({"seed": True}, "vote 1 is damaged"),
        ({"left": 3}, "vote 1 is damaged"),
        ({"right": "D"}, "is between 'A' and 'D'; expected two of its methods"),
        ({"right": "A"}, "is between 'A' and 'A'"),
    ],
)
def test_votes_that_are_none(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        read_votes([saved(tmp_path / "votes.json", {**ROW, **changes})])


def test_one_name_for_two_settings_is_refused(tmp_path: Path) -> None:
    one, two = saved(tmp_path / "one.json", ROW), saved(tmp_path / "two.json", ROW, methods={**METHODS, "B": "4" * 16})
    with pytest.raises(ConfigError, match="mean different settings by 'B'"):
        read_votes([one, two])


def test_no_votes_no_summary(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There are no votes"):
        sum_up(read_votes([saved(tmp_path / "votes.json")]))
