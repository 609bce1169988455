# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences in panels, which have no line breaks of their own."""

from __future__ import annotations

import textwrap

import bpy

from ..translations import tr

__all__ = ["draw_text"]

_PIXELS_PER_LETTER = 6.2
"""Of Blender's default font at 72 dpi, on average; a little more than that, so that lines are not cut off."""
_MARGIN = 56


def draw_text(layout: bpy.types.UILayout, text: str, context: bpy.types.Context, *, icon: str = "NONE") -> None:
    """A sentence in as many lines as the region's width needs."""
    # Without a window there is no scale.
    scale = context.preferences.system.ui_scale or 1.0
    width = context.region.width if context.region is not None else 300
    letters = max(20, int((width / scale - _MARGIN) / _PIXELS_PER_LETTER))
    column = layout.column(align=True)
    column.scale_y = 0.8
    for index, line in enumerate(textwrap.wrap(tr(text), letters) or [""]):
        mark = icon if index == 0 else ("BLANK1" if icon != "NONE" else "NONE")
        column.label(text=line, icon=mark, translate=False)
