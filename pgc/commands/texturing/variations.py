# SPDX-License-Identifier: Apache-2.0
"""Several seeds or prompts in one command: which runs these are, and the folder of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pgc.errors import ConfigError
from pgc.runs.arguments import TextureArguments

__all__ = ["Variation", "Wanted", "variations_of"]

MOST = 256
_MOST_DIGITS = 1000
"""Python reads no number of more than 4300."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What stands on the command line: seeds with commas between, how many from one seed on, a file of prompts."""

    seeds: str | None = None
    count: int | None = None
    prompts: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """One run of several, and the name of its folder; "": the only run, in the folder itself."""

    name: str
    given: TextureArguments


def variations_of(given: TextureArguments, wanted: Wanted) -> list[Variation]:
    """Returns every prompt with every seed, prompts first; what is given alone where nothing else is wanted.

    Raises:
        ConfigError: seeds are no numbers or there twice, nothing or too much is wanted, or both ways of one thing.
    """
    seeds, prompts = _seeds(given, wanted), _prompts(given, wanted)
    if len(seeds) * len(prompts) > MOST:
        raise ConfigError(f"Got {len(seeds) * len(prompts)} variations; expected {MOST} at most.")
    found: list[Variation] = []
    for number, prompt in enumerate(prompts, start=1):
        for seed in seeds:
            parts = [f"prompt-{number}" if wanted.prompts is not None else "", "" if seed is None else f"seed-{seed}"]
            one = replace(given, prompt=prompt, seed=given.seed if seed is None else seed)
            found.append(Variation(name="-".join(part for part in parts if part), given=one))
    return found


def _seeds(given: TextureArguments, wanted: Wanted) -> Sequence[int | None]:
    if wanted.seeds is None and wanted.count is None:
        return (None,)
    if wanted.seeds is None:
        first = given.seed or 0
        if not 2 <= (wanted.count or 0) <= MOST:
            raise ConfigError(f"--variations is {wanted.count}; expected 2 to {MOST}.")
        return range(first, first + (wanted.count or 0))
    if wanted.count is not None or given.seed is not None:
        raise ConfigError("--seeds names every seed; leave --seed and --variations out.")
    words = [word.strip() for word in wanted.seeds.split(",")]
    if not all(word.isascii() and word.isdigit() and len(word) <= _MOST_DIGITS for word in words):
        raise ConfigError(f"--seeds is {wanted.seeds!r}; expected numbers with commas between, such as 1,2,3.")
    seeds = [int(word) for word in words]
    if len(set(seeds)) < len(seeds):
        raise ConfigError(f"--seeds is {wanted.seeds!r}; name each seed once.")
    return seeds


def _prompts(given: TextureArguments, wanted: Wanted) -> Sequence[str | None]:
    if wanted.prompts is None:
        return (given.prompt,)
    if given.prompt is not None:
        raise ConfigError("--prompts is a file with a prompt a line; leave --prompt out.")
    try:
        lines = wanted.prompts.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{wanted.prompts} cannot be read as text ({error}); give a file with a prompt a line."
        ) from error
    prompts = [line.strip() for line in lines if line.strip()]
    if not prompts:
        raise ConfigError(f"{wanted.prompts} has no prompt in it; write one a line.")
    return prompts
