# SPDX-License-Identifier: GPL-3.0-or-later
"""The subpanel of new shapes: closed at first, since the panel is for textures."""

from __future__ import annotations

import bpy

from ..model.state import AppState
from ..protocol.specs.job import NEW_SHAPE
from ..session.readiness import reason_against_shape
from .text import draw_text

__all__ = ["draw_shape"]


def draw_shape(layout: bpy.types.UILayout, context: bpy.types.Context, state: AppState) -> None:
    """Draws the header of Refine Shape and, where it is open, its choices and the button."""
    header, body = layout.panel("pgc_shape", default_closed=True)
    header.label(text="Refine Shape")
    if body is None:
        return
    settings, wish = context.scene.pgc, context.scene.pgc.shape
    column = body.column()
    column.use_property_split = True
    column.prop(wish, "geometry")
    column.prop(wish, "cubes" if wish.geometry == "dmtet" else "subdivide")
    column.prop(wish, "loss")
    column.prop(wish, "strength")
    column.prop(wish, "steps")
    column.prop(wish, "hold")
    if wish.loss != "rgb" and settings.model == "pocket":
        draw_text(body, "The built-in model knows no pictures of normals.", context, icon="ERROR")
    if state.server.ready and NEW_SHAPE not in state.server.maps:
        draw_text(body, "This server makes no shapes; it is of an older version.", context, icon="ERROR")
    row = body.row()
    row.scale_y = 1.3
    row.operator("pgc.refine_shape", icon="MOD_REMESH")
    reason = reason_against_shape(context, state)
    if not reason:
        draw_text(body, "A new object comes beside this one, which stays as it is.", context, icon="INFO")
    body.operator("pgc.imagine", icon="OUTLINER_OB_META")
