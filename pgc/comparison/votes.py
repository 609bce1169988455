# SPDX-License-Identifier: Apache-2.0
"""What people chose blindly, two by two (Pan et al., ICLR 2024, §5.4), summed up with intervals.

A share of votes has Wilson's interval. Who sees no difference may say so: such votes are a share of their own, and the
last column leaves them out. Votes of one person on one case hang together, so that the intervals are a little narrow
where few people gave many.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, get_args

from pgc.errors import ConfigError
from pgc.evaluation.measures.statistics import Proportion, proportion

__all__ = ["VOTES_FORMAT", "Choice", "Pair", "Vote", "VoteSummary", "read_votes", "sum_up"]

VOTES_FORMAT = "pgc-votes-1"
Choice = Literal["left", "right", "tie"]
_MOST_BYTES = 16 * 1024 * 1024
_TEXTS = ("prompt", "mesh", "left", "right", "choice")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """One choice between two textures of the same prompt, mesh and seed."""

    voter: str
    prompt: str
    mesh: str
    seed: int
    left: str
    """Name of the method that was shown left."""
    right: str
    choice: Choice

    @property
    def chosen(self) -> str | None:
        """The method that was chosen; None: no difference was seen."""
        return {"left": self.left, "right": self.right, "tie": None}[self.choice]

    @property
    def question(self) -> tuple[object, ...]:
        """What was asked, whichever side each method was on."""
        return (self.voter, self.prompt, self.mesh, self.seed, *sorted((self.left, self.right)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two methods against each other."""

    first: str
    second: str
    prefer_first: Proportion
    no_difference: Proportion
    prefer_second: Proportion
    first_of_decided: Proportion


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteSummary:
    """All votes together."""

    files: int
    voters: int
    votes: int
    given_again: int
    """Votes that the same person gave anew; the last one counts."""
    pairs: tuple[Pair, ...]
    methods: Mapping[str, Proportion]
    """How often a method was chosen where it was shown, ties counted as not chosen."""
    left_of_decided: Proportion
    """About a half, unless people click on one side."""

    def as_json(self) -> dict[str, Any]:
        """Returns the summary as plain values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Returns the summary in words."""
        again = f" ({self.given_again} given anew: the last counts)" if self.given_again else ""
        found = [f"{self.votes} votes of {self.voters} people in {self.files} files{again}."]
        for pair in self.pairs:
            found += [
                f"{pair.first} or {pair.second}:",
                f"  {pair.first}: {pair.prefer_first}",
                f"  no difference: {pair.no_difference}",
                f"  {pair.second}: {pair.prefer_second}",
                f"  {pair.first} among those that decided: {pair.first_of_decided}",
            ]
        found += [f"{name}, wherever it was shown: {share}" for name, share in self.methods.items()]
        return [*found, f"The left one among those that decided: {self.left_of_decided}"]


def read_votes(paths: Sequence[Path]) -> list[Vote]:
    """Reads files of votes as the page saves them.

    Raises:
        ConfigError: one is missing or no such file, or two mean different settings by the same name.
    """
    votes: list[Vote] = []
    settings: dict[str, tuple[str, Path]] = {}
    for path in paths:
        content = _content(path)
        for name, digest in content["methods"].items():
            known, where = settings.setdefault(str(name), (str(digest), path))
            if known != digest:
                raise ConfigError(
                    f"{path} and {where} mean different settings by {name!r}; sum up the votes of one comparison."
                )
        voter = str(content["voter"])
        for at, row in enumerate(content["votes"]):
            votes.append(_vote(path, at, voter, row, content["methods"]))
    return votes


def _content(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ConfigError(f"{path} has {path.stat().st_size:,} bytes; votes have at most {_MOST_BYTES:,}.")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read as votes ({error}); name files that the page has saved.") from error
    kinds = {"methods": dict, "voter": str, "votes": list}
    if not isinstance(content, dict) or content.get("format") != VOTES_FORMAT:
        raise ConfigError(f"{path} holds no votes ({VOTES_FORMAT}); name files that the page has saved.")
    for name, kind in kinds.items():
        if not isinstance(content.get(name), kind):
            raise ConfigError(f"{path}: {name} is missing or damaged; save the votes from the page again.")
    return content


def _vote(path: Path, at: int, voter: str, row: Any, methods: Mapping[str, object]) -> Vote:  # noqa: ANN401 - JSON
    whole = isinstance(row, dict) and all(isinstance(row.get(name), str) for name in _TEXTS)
    if not whole or type(row.get("seed")) is not int or row["choice"] not in get_args(Choice):
        raise ConfigError(f"{path}: vote {at + 1} is damaged; save the votes from the page again.")
    strange = [row[side] for side in ("left", "right") if row[side] not in methods]
    if strange or row["left"] == row["right"]:
        raise ConfigError(
            f"{path}: vote {at + 1} is between {row['left']!r} and {row['right']!r}; expected two of its methods."
        )
    return Vote(voter=voter, seed=row["seed"], **{name: row[name] for name in _TEXTS})


def sum_up(votes: Sequence[Vote], files: int = 1) -> VoteSummary:
    """Sums up votes: by pairs of methods, by methods, by sides.

    Raises:
        ConfigError: there are none.
    """
    if not votes:
        raise ConfigError("There are no votes in these files; choose on the page first, and save.")
    last = {vote.question: vote for vote in votes}
    counted = list(last.values())
    decided = [vote for vote in counted if vote.chosen is not None]
    names = sorted({name for vote in counted for name in (vote.left, vote.right)})
    pairs = [_pair(counted, *two) for two in combinations(names, 2) if _of(counted, *two)]
    return VoteSummary(
        files=files,
        voters=len({vote.voter for vote in counted}),
        votes=len(counted),
        given_again=len(votes) - len(counted),
        pairs=tuple(pairs),
        methods={
            name: proportion([vote.chosen == name for vote in counted if name in (vote.left, vote.right)])
            for name in names
        },
        left_of_decided=proportion([vote.choice == "left" for vote in decided]),
    )


def _of(votes: Sequence[Vote], first: str, second: str) -> list[Vote]:
    return [vote for vote in votes if {vote.left, vote.right} == {first, second}]


def _pair(votes: Sequence[Vote], first: str, second: str) -> Pair:
    chosen = [vote.chosen for vote in _of(votes, first, second)]
    return Pair(
        first=first,
        second=second,
        prefer_first=proportion([one == first for one in chosen]),
        no_difference=proportion([one is None for one in chosen]),
        prefer_second=proportion([one == second for one in chosen]),
        first_of_decided=proportion([one == first for one in chosen if one is not None]),
    )
