# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects by what stays: undo kills every Python reference, and an artist may rename; `session_uid` survives both."""

from __future__ import annotations

import bpy

__all__ = ["find_object"]


def find_object(uid: int, name: str = "") -> bpy.types.Object | None:
    """Returns the object with a `session_uid`; `name` is where it was last, and makes the usual case quick."""
    guess = bpy.data.objects.get(name) if name else None
    if guess is not None and guess.session_uid == uid:
        return guess
    return next((obj for obj in bpy.data.objects if obj.session_uid == uid), None)
