# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's preferences as others read them. Nothing else of the add-on is imported, so that anything may ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from .client import default_connection_file

__all__ = ["addon_preferences", "connection_file"]


def addon_preferences() -> Any:  # noqa: ANN401 - a class of Blender's making, see preferences.py
    """Returns the preferences; None while the extension is registered, but not enabled by Blender."""
    addon = bpy.context.preferences.addons.get(__package__)
    return addon.preferences if addon is not None else None


def connection_file() -> Path:
    """Returns the chosen connection file."""
    preferences = addon_preferences()
    chosen = preferences.connection if preferences is not None else ""
    return Path(bpy.path.abspath(chosen)) if chosen else default_connection_file()
