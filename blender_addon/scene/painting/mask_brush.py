# SPDX-License-Identifier: GPL-3.0-or-later
"""Texture Paint's canvas and colours while a mask is painted. Blender's undo brings back the mode and the materials of
an object, but not the tools: without this, undoing the end of painting would show the mask and paint on a version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy

from .mask_display import is_painting

__all__ = ["MaskBrush"]

_WHITE, _BLACK = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
Color = tuple[float, float, float]


@dataclass(frozen=True)
class _Tools:
    """How Texture Paint is set. canvas: `session_uid` of the image, 0 without one; colours None without a brush."""

    mode: str
    canvas: int
    color: Color | None
    secondary: Color | None


class MaskBrush:
    """Holds how the tools were, outside of the .blend and so of undo. `follow` may be called at any time, and is called
    after every undo, before the artist can paint."""

    def __init__(self) -> None:
        self._before: _Tools | None = None

    def forget(self) -> None:
        """Forgets the tools from before, since another file was opened: they are that file's."""
        self._before = None

    def begin(self, obj: bpy.types.Object) -> None:
        """Takes the tools over for the mask, since the object is in Texture Paint for it from here on."""
        record = obj.pgc.paint_before
        if not record.mode:
            # Else the mode was left in another way than by the button.
            tools = self._before or _tools()
            record.mode, record.canvas = tools.mode, _image(tools.canvas)
            if tools.color is not None and tools.secondary is not None:
                record.color, record.secondary = tools.color, tools.secondary
        self.follow(obj)

    def end(self, obj: bpy.types.Object) -> None:
        """Gives the tools back, since the mask is painted no longer."""
        self.follow(obj)
        obj.pgc.paint_before.mode, obj.pgc.paint_before.canvas = "", None
        self.follow(obj)

    def follow(self, obj: bpy.types.Object | None) -> None:
        """Makes the mask the canvas while the active object's mask is painted; else the tools are as they were
        before.
        """
        if obj is not None and obj.type == "MESH" and is_painting(obj):
            if self._before is None:
                self._before = _recorded(obj.pgc.paint_before)
                _set_colors(_WHITE, _BLACK)
            paint = bpy.context.scene.tool_settings.image_paint
            if paint.mode != "IMAGE":
                paint.mode = "IMAGE"
            if paint.canvas != obj.pgc.keep_mask:
                paint.canvas = obj.pgc.keep_mask
        elif self._before is not None:
            before, self._before = self._before, None
            _put_back(before)


def _tools() -> _Tools:
    paint, owner = bpy.context.scene.tool_settings.image_paint, _color_owner()
    canvas = paint.canvas.session_uid if paint.canvas is not None else 0
    if owner is None:
        return _Tools(paint.mode, canvas, None, None)
    return _Tools(paint.mode, canvas, tuple(owner.color), tuple(owner.secondary_color))


def _recorded(record: bpy.types.PropertyGroup) -> _Tools:
    """What the object itself remembers: the tools may be another file's, or an undo's."""
    canvas = record.canvas.session_uid if record.canvas is not None else 0
    return _Tools(record.mode, canvas, tuple(record.color), tuple(record.secondary))


def _put_back(before: _Tools) -> None:
    paint, owner = bpy.context.scene.tool_settings.image_paint, _color_owner()
    paint.canvas, paint.mode = _image(before.canvas), before.mode
    mine = owner is not None and {tuple(owner.color), tuple(owner.secondary_color)} == {_WHITE, _BLACK}
    # Other colours are the artist's choice since.
    if mine and before.color is not None and before.secondary is not None:
        _set_colors(before.color, before.secondary)


def _set_colors(color: Color, secondary: Color) -> None:
    """Blender's X key swaps them: with white and black, black takes the mask away."""
    owner = _color_owner()
    if owner is not None:
        owner.color, owner.secondary_color = color, secondary


def _color_owner() -> Any:  # noqa: ANN401 - of two types
    """What has the brush's colour: settings that all brushes share, or the brush; None: there is no brush."""
    tools = bpy.context.scene.tool_settings
    # From 5.0 on each mode has its own.
    shared = getattr(tools.image_paint, "unified_paint_settings", None) or tools.unified_paint_settings
    return shared if shared.use_unified_color else tools.image_paint.brush


def _image(uid: int) -> bpy.types.Image | None:
    return next((image for image in bpy.data.images if uid and image.session_uid == uid), None)
