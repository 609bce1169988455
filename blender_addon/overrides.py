# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes properties work on library overrides: Blender lets an override change only what was declared so."""

from __future__ import annotations

from typing import Any

__all__ = ["INSERTABLE", "OVERRIDABLE", "clear_items", "remove_item"]

OVERRIDABLE = {"LIBRARY_OVERRIDABLE"}
"""For a property's `override`: an override may set it, and the file keeps that."""
INSERTABLE = {"LIBRARY_OVERRIDABLE", "USE_INSERTION"}
"""The same for a collection: an override may also add items. Those of the library file stay for ever."""


def remove_item(collection: Any, index: int) -> bool:  # noqa: ANN401 - a bpy collection
    """Takes an item out of a collection property; returns False where it belongs to the library file, which
    keeps it.
    """
    try:
        collection.remove(index)
    except TypeError:
        # bpy says so of an item that an override has from its library, and has no way to ask before.
        return False
    return True


def clear_items(collection: Any) -> None:  # noqa: ANN401 - a bpy collection
    """Takes all items out but those of the library file."""
    for index in reversed(range(len(collection))):
        if not remove_item(collection, index):
            return
