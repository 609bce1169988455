# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the active object's UVs, in a few words, and what can be done about it."""

from __future__ import annotations

import bpy

from ..session.uv_checks import checks
from .text import draw_text

__all__ = ["draw_uv_check"]


def draw_uv_check(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draws a box, where a texture in these UVs could not be right everywhere. Measures nothing."""
    obj = context.object
    if obj is None or obj.type != "MESH":
        return
    if not obj.data.uv_layers:
        # Geometry Nodes may make some.
        if len(obj.data.polygons) and not any(modifier.type == "NODES" for modifier in obj.modifiers):
            box = layout.box()
            draw_text(box, "The mesh has no UVs", context, icon="ERROR")
            row = box.row(align=True)
            row.operator("pgc.unwrap", icon="UV")
            row.operator("pgc.unwrap_on_server", text="By xatlas")
        return
    check = checks().objection(obj)
    if check is None:
        return
    box = layout.box()
    draw_text(box, check.judgement.few_words, context, icon="ERROR")
    row = box.row(align=True)
    row.operator("pgc.unwrap", icon="UV")
    row.operator("pgc.unwrap_on_server", text="By xatlas")
    box.operator("pgc.texture_anyway")
    box.operator("pgc.show_texel_density", icon="TEXTURE")
