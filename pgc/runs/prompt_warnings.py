# SPDX-License-Identifier: Apache-2.0
"""What an artist should know about a prompt before it is used: words that the prior does not know or does not read."""

from __future__ import annotations

from pgc.cameras.view_names import VIEW_NAMES
from pgc.guidance.base import Guidance, LimitedReader
from pgc.guidance.vocabulary import Vocabulary
from pgc.optimization.config import Prompt
from pgc.view_words import view_words

__all__ = ["prompt_warnings", "reading_warnings"]

_MOST_PHRASES, _MOST_LETTERS = 12, 80
"""Shown of what is left out."""


def prompt_warnings(guidance: Guidance, prompt: Prompt) -> tuple[str, ...]:
    """Returns plain sentences about unknown words, then those of `reading_warnings`. None of it ends a run."""
    return (*_unknown(guidance, prompt), *reading_warnings(guidance, prompt))


def reading_warnings(guidance: Guidance, prompt: Prompt) -> tuple[str, ...]:
    """Returns plain sentences about how a prompt is read: a view that it names itself, and what is left out of a long
    one."""
    return (*_own_view(prompt), *_too_long(guidance, prompt))


def _unknown(guidance: Guidance, prompt: Prompt) -> tuple[str, ...]:
    said = ", ".join(dict.fromkeys((prompt.text, *prompt.per_view.values())))
    unknown = guidance.unknown_words(said)
    if not unknown:
        return ()
    vocabulary = getattr(guidance, "vocabulary", None)
    message = vocabulary.message(said) if isinstance(vocabulary, Vocabulary) else None
    return (message or f"The prior does not know: {', '.join(unknown)}.",)


def _too_long(guidance: Guidance, prompt: Prompt) -> tuple[str, ...]:
    if not isinstance(guidance, LimitedReader):
        return ()
    of_views = dict.fromkeys(prompt.of_view(name) for name in VIEW_NAMES)
    left_out = dict.fromkeys(phrase for text in of_views for phrase in guidance.left_out(text))
    unwanted = guidance.left_out(prompt.negative, negative=True)
    lines = []
    if left_out:
        lines.append(_left_out("The prompt", tuple(left_out)))
    if unwanted:
        lines.append(_left_out("The negative prompt", unwanted))
    return tuple(lines)


def _left_out(what: str, phrases: tuple[str, ...]) -> str:
    shown = [phrase if len(phrase) <= _MOST_LETTERS else f"{phrase[:_MOST_LETTERS]}…" for phrase in phrases]
    quoted = ", ".join(f'"{phrase}"' for phrase in shown[:_MOST_PHRASES])
    if len(phrases) > _MOST_PHRASES:
        quoted += f" and {len(phrases) - _MOST_PHRASES} more"
    return f"{what} is longer than the prior reads. Left out: {quoted}. Put what matters most first, or say less."


def _own_view(prompt: Prompt) -> tuple[str, ...]:
    words = view_words(prompt.text)
    if words is None or not prompt.view_dependent:
        return ()
    return (
        f'The prompt names a view itself ("{words}"), so it is used for all sides as it stands, without view words of '
        "each side.",
    )
