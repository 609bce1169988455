# SPDX-License-Identifier: GPL-3.0-or-later
"""What brushes do to versions, and what can be done about it."""

from __future__ import annotations

import bpy

from ..scene.painting.painted_versions import canvas_version, painted_version
from ..translations import tr
from .text import draw_text

__all__ = ["draw_painted"]


def draw_painted(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draws a box, where the next stroke would change a version, or an earlier one did. Reads no pixels."""
    obj = context.object
    if obj is None or obj.type != "MESH" or not obj.pgc.versions or not obj.is_editable:
        return
    painted = painted_version(obj)
    index = painted if painted >= 0 else canvas_version(obj)
    if index < 0:
        return
    box, name = layout.box(), obj.pgc.versions[index].name
    if painted >= 0:
        draw_text(box, tr("“{name}” was painted on.").format(name=name), context, icon="BRUSH_DATA")
        box.operator("pgc.paint_on_copy", text="Keep as New Version", icon="DUPLICATE").index = index
        box.operator("pgc.restore_version", icon="LOOP_BACK").index = index
    else:
        draw_text(box, tr("Strokes change “{name}”.").format(name=name), context, icon="INFO")
        box.operator("pgc.paint_on_copy", icon="DUPLICATE").index = index
