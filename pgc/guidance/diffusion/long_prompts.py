# SPDX-License-Identifier: Apache-2.0
"""Prompts longer than a text encoder reads at once.

Two ways out. Encoders of an open vocabulary read the whole text in several windows, whose vectors stand side by side
(as AUTOMATIC1111's and ComfyUI's interfaces do). One that knows a single window leaves out whole phrases. What says
from where the thing is seen is kept in both, since with it all sides would be asked for as one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pgc.view_words import view_words

__all__ = ["FittedPrompt", "fits_tokenizers", "fitted_prompt", "prompt_windows"]

Fits = Callable[[str], bool]
_AFTER_PHRASE = re.compile(r"(?<=[,;:\n])\s*|(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class FittedPrompt:
    """A prompt that fits, and the phrases (or, of a single long one, the words) that were left out of it, in order."""

    text: str
    left_out: tuple[str, ...] = ()


def fits_tokenizers(tokenizers: Sequence[Any]) -> Fits:  # the tokenizers have no common base class
    """Makes the test whether a text fits into one window of each: all its tokens, with those of start and end."""

    def fits(text: str) -> bool:
        """Says whether a text fits into one window of each tokenizer."""
        return all(
            len(tokenizer(text, truncation=False, verbose=False).input_ids) <= tokenizer.model_max_length
            for tokenizer in tokenizers
        )

    return fits


def fitted_prompt(text: str, fits: Fits, keep: Sequence[str] = (), ending: str = "") -> FittedPrompt:
    """Returns the prompt, shortened until it and `ending` fit, with `ending` behind it.

    Phrases are left out from the last to the second, those aside that name a view or hold one of `keep`. If the first
    alone is too long, its last words go; then all but the ending.
    """
    if fits(text + ending):
        return FittedPrompt(text + ending)
    phrases = [phrase for part in _AFTER_PHRASE.split(text) if (phrase := part.strip(" ,;:\n"))]
    held = [_is_held(phrase, keep) for phrase in phrases]
    order = [index for index in range(len(phrases) - 1, 0, -1) if not held[index]]

    def without(count: int) -> str:
        """Returns the prompt without the first `count` phrases that may go."""
        gone = set(order[:count])
        return ", ".join(phrase for index, phrase in enumerate(phrases) if index not in gone) + ending

    count = _least(len(order), lambda number: fits(without(number)))
    if fits(without(count)):
        return FittedPrompt(without(count), tuple(phrases[index] for index in sorted(order[:count])))
    return _cut_words(phrases, held, fits, ending)


def _cut_words(phrases: list[str], held: list[bool], fits: Fits, ending: str) -> FittedPrompt:
    """The first words of the first phrase, and of the held ones (from the last on) as many as fit."""
    words = phrases[0].split() if not held[0] else []
    behind = [phrase for phrase, is_held in zip(phrases, held, strict=True) if is_held]

    def text(number_of_words: int, number_behind: int) -> str:
        """Returns the prompt with so many of its words, and so many of the phrases behind them."""
        first = " ".join(words[:number_of_words])
        return ", ".join([part for part in (first, *behind[len(behind) - number_behind :]) if part]) + ending

    kept_behind = len(behind) - _least(len(behind), lambda gone: fits(text(0, len(behind) - gone)))
    kept_words = len(words) - _least(len(words), lambda gone: fits(text(len(words) - gone, kept_behind)))
    missing = [" ".join(words[kept_words:])] if kept_words < len(words) else []
    others = [phrase for phrase, is_held in zip(phrases[1:], held[1:], strict=True) if not is_held]
    return FittedPrompt(text(kept_words, kept_behind), (*missing, *others, *behind[: len(behind) - kept_behind]))


def _is_held(phrase: str, keep: Sequence[str]) -> bool:
    return view_words(phrase) is not None or any(words.lower() in phrase.lower() for words in keep)


def _least(most: int, good: Callable[[int], bool]) -> int:
    """The smallest number from 0 to `most` that is good; `most` where none is. Good ones are at the upper end."""
    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        if good(middle):
            high = middle
        else:
            low = middle + 1
    return low


def prompt_windows(text: str, fits: Fits) -> tuple[str, ...]:
    """Splits the text into as many windows as it takes, cut between phrases, else between words, else anywhere. One at
    least."""
    if fits(text):
        return (text,)
    windows, pending = list[str](), ""
    for piece in _pieces(text, fits):
        if pending and not fits(pending + piece):
            windows.append(pending)
            pending = piece.lstrip()
        else:
            pending += piece
    return (*windows, pending) if pending.strip() or not windows else tuple(windows)


def _pieces(text: str, fits: Fits) -> list[str]:
    """Parts that each fit and make up the text."""
    pieces = list[str]()
    for part in re.findall(r"[^,;:\n]*[,;:\n]\s*|[^,;:\n]+$", text):
        words = [part] if fits(part) else re.findall(r"\s*\S+\s*$|\s*\S+", part)
        for word in words:
            pieces += _halves(word, fits)
    return pieces


def _halves(word: str, fits: Fits) -> list[str]:
    if len(word) < 2 or fits(word):
        return [word]
    middle = len(word) // 2
    return [*_halves(word[:middle], fits), *_halves(word[middle:], fits)]
