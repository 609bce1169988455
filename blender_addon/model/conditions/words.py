# SPDX-License-Identifier: GPL-3.0-or-later
"""Words that a model is taught by files of textual inversion, as the panel offers them; without Blender."""

from __future__ import annotations

from pathlib import PurePath

from ...protocol.specs.models import READERS

__all__ = ["WORD_ROWS", "WORD_SETTINGS", "shown_word_rows", "takes_words", "wished_words", "word_names"]

WORD_ROWS = 2
"""How many the panel has."""


def word_names(row: int) -> tuple[str, str]:
    """Returns the settings of a row, counted from 1: its file and its word."""
    return f"embedding_{row}", f"embedding_{row}_word"


WORD_SETTINGS = tuple(name for row in range(1, WORD_ROWS + 1) for name in word_names(row))


def takes_words(model: str) -> bool:
    """Says whether a model can be taught words: those that read with CLIP's text encoders alone."""
    return model in READERS


def shown_word_rows(settings: object) -> tuple[int, ...]:
    """Returns the rows that are drawn: those with a file, and the first empty one."""
    filled = [row for row in range(1, WORD_ROWS + 1) if getattr(settings, word_names(row)[0])]
    empty = [row for row in range(1, WORD_ROWS + 1) if row not in filled]
    return tuple(sorted([*filled, *empty[:1]]))


def wished_words(settings: object, model: str) -> tuple[tuple[str, str], ...]:
    """Returns paths as they were typed, and their words: where none was typed, the file's name without its ending.
    None for a model that cannot be taught any."""
    if not takes_words(model):
        return ()
    rows = [word_names(row) for row in range(1, WORD_ROWS + 1)]
    wished = [(str(getattr(settings, file)), str(getattr(settings, word)).strip()) for file, word in rows]
    return tuple((path, word or _stem(path)) for path, word in wished if path.strip())


def _stem(path: str) -> str:
    # Typed on any system: Windows' own separator is none elsewhere.
    return PurePath(path.strip().replace("\\", "/")).stem
