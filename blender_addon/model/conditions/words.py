# SPDX-License-Identifier: GPL-3.0-or-later
"""Words that a model is taught by files of textual inversion, as the panel offers them; without Blender."""

from __future__ import annotations

from pathlib import PurePath

from ...protocol.specs.models import READERS

__all__ = ["WORD_FILES", "WORD_ROWS", "WORD_SETTINGS", "takes_words", "wished_words", "word_names", "word_of"]

WORD_ROWS = 2
"""How many the panel has."""


def word_names(row: int) -> tuple[str, str]:
    """Returns the settings of a row, counted from 1: its file and its word."""
    return f"embedding_{row}", f"embedding_{row}_word"


WORD_FILES = tuple(word_names(row)[0] for row in range(1, WORD_ROWS + 1))
WORD_SETTINGS = tuple(name for row in range(1, WORD_ROWS + 1) for name in word_names(row))


def takes_words(model: str) -> bool:
    """Says whether a model can be taught words: those that read with CLIP's text encoders alone."""
    return model in READERS


def wished_words(settings: object, model: str) -> tuple[tuple[str, str], ...]:
    """Returns paths as they were typed, and their words; none for a model that cannot be taught any."""
    if not takes_words(model):
        return ()
    wished = [(str(getattr(settings, word_names(row)[0])), word_of(settings, row)) for row in range(1, WORD_ROWS + 1)]
    return tuple((path, word) for path, word in wished if path.strip())


def word_of(settings: object, row: int) -> str:
    """Returns a row's word: where none was typed, its file's name without its ending."""
    file, word = (str(getattr(settings, name)).strip() for name in word_names(row))
    # Typed on any system: Windows' own separator is none elsewhere.
    return word or PurePath(file.replace("\\", "/")).stem
