# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel in the 3D view's sidebar, and the same in the material tab."""

from __future__ import annotations

import textwrap

import bpy

from ..model.conditions.shapes import NOWHERE
from ..model.state import AppState, Phase
from ..session import event_pump
from ..session.readiness import NO_MESH, NO_MESHES, NO_PROMPT, NO_REAL_MESH, reason_against
from ..translations import tr
from .advanced import draw_advanced
from .menus import PGC_PT_presets
from .painted import draw_painted
from .problem import draw_problem
from .progress import draw_progress, draw_waiting
from .server_line import draw_server_line
from .settings import draw_prompt, draw_quality, draw_settings, draw_target
from .shape import draw_new_object, draw_shape
from .text import draw_text
from .uvs import draw_uv_check
from .versions import draw_versions

__all__ = ["CLASSES"]

_LONGEST = 220
"""Characters of a note under the button."""


class _TexturePanel:
    """Prompt, Generate Texture, progress, settings, versions."""

    bl_label = "PGC Texture"

    def draw_header_preset(self, context: bpy.types.Context) -> None:
        PGC_PT_presets.draw_panel_header(self.layout)

    def draw(self, context: bpy.types.Context) -> None:
        layout, state = self.layout, event_pump.current_state()
        layout.use_property_decorate = False
        draw_server_line(layout, state, context)
        draw_prompt(layout, context, state)
        draw_quality(layout, context, state)
        column = layout.column()
        column.use_property_split = True
        draw_target(column, context)
        _draw_action(layout, context, state)
        draw_painted(layout, context)
        header, body = layout.panel("pgc_settings", default_closed=True)
        header.label(text="Settings")
        if body is not None:
            body.use_property_split = True
            draw_settings(body, context, state)
            header, advanced = body.panel("pgc_advanced", default_closed=True)
            header.label(text="Advanced")
            if advanced is not None:
                draw_advanced(advanced, context)
        draw_shape(layout, context, state)
        draw_new_object(layout, context, state)
        _draw_versions(layout, context)
        if state.server.jobs:
            layout.menu("PGC_MT_results", icon="RECOVER_LAST")


class PGC_PT_texture(_TexturePanel, bpy.types.Panel):
    """In the 3D view's sidebar."""

    bl_idname = "PGC_PT_texture"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Texture"


class PGC_PT_material(_TexturePanel, bpy.types.Panel):
    """In the material tab."""

    bl_idname = "PGC_PT_material"
    bl_space_type = "PROPERTIES"
    bl_region_type = "WINDOW"
    bl_context = "material"
    bl_options = {"DEFAULT_CLOSED"}  # noqa: RUF012 - bpy wants a set

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return context.object is not None and context.object.type == "MESH"


def _draw_action(layout: bpy.types.UILayout, context: bpy.types.Context, state: AppState) -> None:
    """Generate, or the progress of the active object's job; other objects' jobs below in a line each."""
    obj = context.object
    own = state.all_live_for(obj.session_uid) if obj is not None else []
    if own:
        draw_progress(layout, own[0], context)
    for view in own[1:]:
        if view.phase is Phase.HELD:
            draw_progress(layout, view, context)
        else:
            draw_waiting(layout, view, own=True)
    if not own or own[0].unwrap is None:
        _draw_generate(layout, context, state, again=bool(own))
    others = [view for view in state.live() if view not in own]
    for view in others:
        if view.phase is Phase.HELD:
            draw_progress(layout, view, context)
        else:
            draw_waiting(layout, view, own=False)
    if len(own) + len(others) > 1:
        layout.operator("pgc.cancel_all", icon="X")
    _draw_outcome(layout, context, state)


def _draw_generate(layout: bpy.types.UILayout, context: bpy.types.Context, state: AppState, *, again: bool) -> None:
    """The button, and why there can be no texture now. again: one is being made already, and this one waits for it."""
    button = layout.row()
    button.scale_y = 1.3 if again else 1.8
    if again:
        button.operator("pgc.generate", text="Queue Another", icon="ADD")
    else:
        button.operator("pgc.generate", icon="SHADERFX")
    reason = reason_against(context, state)
    if reason in (NO_MESH, NO_MESHES, NO_PROMPT, NO_REAL_MESH):
        # What is wrong with the server stands at the top, with the button that mends it.
        draw_text(layout, f"{tr(reason)}.", context, icon="INFO")
    if reason == NO_REAL_MESH:
        layout.operator("pgc.make_real", icon="MESH_DATA")
    draw_uv_check(layout, context)


def _draw_outcome(layout: bpy.types.UILayout, context: bpy.types.Context, state: AppState) -> None:
    """What the last click or the last job of this object came to."""
    if state.problem is not None:
        draw_problem(layout, state.problem, context, dismiss="")
    obj = context.object
    newest, imagined = state.newest(), state.latest_for(NOWHERE)
    own = newest if obj is None else state.latest_for(obj.session_uid)
    last = imagined if newest is imagined else own
    # Neither hides that the other failed.
    for view in (own,) if own is imagined else (own, imagined):
        if view is not None and view.problem is not None:
            draw_problem(layout, view.problem, context, dismiss=view.key)
    if last is not None and last.problem is None and not last.live:
        for text in (last.note if last.note != "Finished." else "", last.warning):
            if text:
                # A list of all that a model knows would push the versions out of sight; the Words menu has it.
                draw_text(layout, textwrap.shorten(text, _LONGEST, placeholder=" …"), context, icon="INFO")
    space = context.space_data
    solid = space is not None and space.type == "VIEW_3D" and _hides_textures(space.shading)
    textured = last is not None and last.problem is None and last.phase in _VISIBLE and last.paints
    if solid and textured:
        box = layout.box()
        draw_text(box, "Solid shading does not show textures.", context, icon="SHADING_SOLID")
        box.operator("pgc.show_material_preview", icon="SHADING_TEXTURE")


def _hides_textures(shading: bpy.types.View3DShading) -> bool:
    return shading.type == "WIREFRAME" or (shading.type == "SOLID" and shading.color_type != "TEXTURE")


_VISIBLE = (Phase.RUNNING, Phase.RECEIVING, Phase.APPLYING, Phase.FINISHED)


def _draw_versions(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    obj = context.object
    if obj is None or obj.type != "MESH" or not obj.pgc.versions:
        return
    header, body = layout.panel("pgc_versions")
    header.label(text="Versions")
    if body is None:
        return
    draw_versions(body, obj, context)


CLASSES = (PGC_PT_texture, PGC_PT_material)
