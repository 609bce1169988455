# SPDX-License-Identifier: GPL-3.0-or-later
"""The subpanels of new shapes and new objects: closed at first, since the panel is for textures."""

from __future__ import annotations

import bpy

from ..model.state import AppState
from ..protocol.specs.job import NEW_SHAPE, PICTURE_MODEL
from ..scene.pictures.picture_files import size_objection
from ..session.readiness import NO_MESH, NO_PROMPT, reason_against_pictured, reason_against_shape
from ..translations import tr
from .text import draw_text

__all__ = ["draw_new_object", "draw_shape"]


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


def draw_new_object(layout: bpy.types.UILayout, context: bpy.types.Context, state: AppState) -> None:
    """Draws the header of New Object and, where it is open, what it may come from: the prompt, or a picture."""
    header, body = layout.panel("pgc_new_object", default_closed=True)
    header.label(text="New Object")
    if body is None:
        return
    wish = context.scene.pgc.shape
    if state.server.ready and NEW_SHAPE not in state.server.maps:
        draw_text(body, "This server makes no shapes; it is of an older version.", context, icon="ERROR")
    body.operator("pgc.imagine", icon="OUTLINER_OB_META")
    body.template_ID(wish, "picture", open="image.open")
    if wish.picture is not None:
        _draw_picture(body, context, state)
    row = body.row()
    row.operator("pgc.imagine_picture", icon="IMAGE_DATA")
    reason = reason_against_pictured(context, state)
    if reason in (NO_MESH, NO_PROMPT):
        draw_text(body, f"{tr(reason)}.", context, icon="INFO")


def _draw_picture(body: bpy.types.UILayout, context: bpy.types.Context, state: AppState) -> None:
    """What is asked of the object in a picture, and what is wrong with that before anything is sent."""
    wish = context.scene.pgc.shape
    objection = size_objection(wish.picture)
    if objection:
        draw_text(body, objection, context, icon="ERROR")
    column = body.column()
    column.use_property_split = True
    column.prop(wish, "viewer")
    column.prop(wish, "start")
    column.prop(wish, "elevation")
    column.prop(wish, "steps")
    info = state.server.model(PICTURE_MODEL)
    if wish.viewer == PICTURE_MODEL and info is not None and info.state == "missing":
        body.label(text="Not installed on the server", icon="IMPORT")
        body.operator("pgc.copy_model_command", icon="COPYDOWN").model = PICTURE_MODEL
