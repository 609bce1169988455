# SPDX-License-Identifier: GPL-3.0-or-later
"""LoRA files that the panel offers to add to a model; without Blender."""

from __future__ import annotations

from collections.abc import Sequence

from ...protocol.specs.models import WITHOUT_LORAS

__all__ = ["LORA_FILES", "LORA_ROWS", "LORA_SETTINGS", "lora_names", "shown_rows", "takes_loras", "wished_loras"]

LORA_ROWS = 3
"""How many the panel has."""


def lora_names(row: int) -> tuple[str, str]:
    """Returns the settings of a row, counted from 1: its file and its strength."""
    return f"lora_{row}", f"lora_{row}_scale"


LORA_FILES = tuple(lora_names(row)[0] for row in range(1, LORA_ROWS + 1))
LORA_SETTINGS = tuple(name for row in range(1, LORA_ROWS + 1) for name in lora_names(row))


def takes_loras(model: str) -> bool:
    """Says whether a model takes such files: all do but the built-in one."""
    return model not in WITHOUT_LORAS


def shown_rows(settings: object, files: Sequence[str]) -> tuple[int, ...]:
    """Returns the rows that are drawn, counted from 1: those with a file, and the first empty one.

    Args:
        files: of all rows, the settings that name one.
    """
    rows = range(1, len(files) + 1)
    filled = [row for row in rows if getattr(settings, files[row - 1])]
    empty = [row for row in rows if row not in filled]
    return tuple(sorted([*filled, *empty[:1]]))


def wished_loras(settings: object, model: str) -> tuple[tuple[str, float], ...]:
    """Returns paths as they were typed, and strengths; none for a model that takes none, none with a strength of 0."""
    if not takes_loras(model):
        return ()
    rows = [lora_names(row) for row in range(1, LORA_ROWS + 1)]
    wished = [(str(getattr(settings, file)), float(getattr(settings, scale))) for file, scale in rows]
    return tuple((path, scale) for path, scale in wished if path.strip() and scale)
