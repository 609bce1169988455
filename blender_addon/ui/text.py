# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences in panels, which have no line breaks of their own."""

from __future__ import annotations

from collections.abc import Callable

import blf
import bpy

from ..model.text_wrapping import shortened, wrapped
from ..translations import tr

__all__ = ["draw_line", "draw_text"]

_PIXELS_PER_LETTER = 6.2
"""Of Blender's default font at 72 dpi, on average, where the font itself gives no width."""
_MARGIN, _ICON, _BUTTON = 62.0, 20.0, 26.0
"""Of a region: tabs, borders and a box; of an icon; of a small button beside the text. In pixels at scale 1."""
_LEAST = 90.0


def draw_text(
    layout: bpy.types.UILayout, text: str, context: bpy.types.Context, *, icon: str = "NONE", beside: int = 0
) -> None:
    """Draws a sentence in as many lines as the region's width needs.

    Args:
        beside: number of small buttons in the same row.
    """
    column = layout.column(align=True)
    column.scale_y = 0.8
    for index, line in enumerate(wrapped(tr(text), _width(context, icon, beside), _measure(context))):
        mark = icon if index == 0 else ("BLANK1" if icon != "NONE" else "NONE")
        column.label(text=line, icon=mark, translate=False)


def draw_line(layout: bpy.types.UILayout, text: str, context: bpy.types.Context, *, icon: str = "NONE") -> None:
    """Draws one line, cut off where it is too long: what stands below stays where it is. An empty text takes its room
    too.
    """
    row = layout.row()
    row.scale_y = 0.8
    line = shortened(text, _width(context, icon, 0), _measure(context)) if text else ""
    row.label(text=line, icon=icon if text else "BLANK1", translate=False)


def _width(context: bpy.types.Context, icon: str, beside: int) -> float:
    """Pixels at scale 1."""
    # Without a window there is no scale.
    scale = context.preferences.system.ui_scale or 1.0
    width = context.region.width if context.region is not None else 300
    return max(_LEAST, width / scale - _MARGIN - (_ICON if icon != "NONE" else 0.0) - _BUTTON * beside)


def _measure(context: bpy.types.Context) -> Callable[[str], float]:
    styles = context.preferences.ui_styles
    points = styles[0].widget.points if len(styles) else 11.0

    def measure(text: str) -> float:
        blf.size(0, points)
        return blf.dimensions(0, text)[0] or _PIXELS_PER_LETTER * len(text)

    return measure
