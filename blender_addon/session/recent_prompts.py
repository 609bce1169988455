# SPDX-License-Identifier: GPL-3.0-or-later
"""The prompts that were used last, kept in the preferences: they outlive a file."""

from __future__ import annotations

import bpy

from ..stored_preferences import addon_preferences

__all__ = ["recent", "remember"]

_MOST = 20


def remember(prompt: str, negative: str) -> None:
    """Puts a prompt to the front; an earlier use of it goes."""
    preferences = addon_preferences()
    if preferences is None:
        return
    kept = [(prompt, negative), *(pair for pair in recent() if pair[0] != prompt)][:_MOST]
    preferences.recent.clear()
    for text, against in kept:
        entry = preferences.recent.add()
        entry.name, entry.negative = text, against
    # So that Blender saves them with the rest.
    bpy.context.preferences.is_dirty = True


def recent() -> list[tuple[str, str]]:
    """Returns the recent pairs (prompt, negative), newest first."""
    preferences = addon_preferences()
    return [] if preferences is None else [(entry.name, entry.negative) for entry in preferences.recent]
