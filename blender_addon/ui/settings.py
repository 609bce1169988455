# SPDX-License-Identifier: GPL-3.0-or-later
"""What the next texture is to be."""

from __future__ import annotations

import bpy

from ..model.choices import MODEL_NAMES, cost_text, limit_figures, need_light
from ..model.conditions.starts import BEGINNINGS, begins_as_usual
from ..model.maps import MAPS
from ..model.state import AppState
from ..model.vocabulary import unknown_words
from ..scene.live_preview import covered_material
from ..scene.painting.keep_mask import kept_picture
from ..scene.painting.mask_display import is_painting
from ..scene.versions.showing import shown_version
from ..session.readiness import selected_meshes
from ..translations import tr
from .text import draw_line, draw_text

__all__ = ["draw_prompt", "draw_quality", "draw_settings", "draw_target"]


def draw_prompt(layout: bpy.types.UILayout, context: bpy.types.Context, state: AppState) -> None:
    """Draws the prompt, the negative prompt, and what helps to write them."""
    settings = context.scene.pgc
    column = layout.column(align=True)
    row = column.row(align=True)
    row.prop(settings, "prompt", text="", placeholder="Prompt: red bricks")
    row.menu("PGC_MT_recent", text="", icon="RECOVER_LAST")
    if settings.model == "pocket":
        row.menu("PGC_MT_words", text="", icon="WORDWRAP_ON")
    column.prop(settings, "negative", text="", placeholder="Negative prompt")
    if settings.model == "pocket" and settings.prompt:
        info = state.server.model("pocket")
        strange = unknown_words(settings.prompt, info.vocabulary if info is not None else ())
        text = tr("Unknown: {words}").format(words=", ".join(strange)) if strange else ""
        # It comes and goes as one types, and must not push what is below it under the mouse.
        draw_line(layout, text, context, icon="INFO")
    elif settings.model == "pocket":
        draw_line(layout, "", context)


def draw_target(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draws the choice of what gets the texture."""
    settings, obj = context.scene.pgc, context.object
    layout.prop(settings, "target")
    if obj is None or obj.type != "MESH":
        return
    material = covered_material(obj, obj.active_material_index)
    if settings.target == "slot" and material is not None:
        row = layout.row()
        row.alignment = "RIGHT"
        row.label(text=material.name, icon="MATERIAL", translate=False)
    if settings.target != "objects" and len(obj.data.uv_layers) > 1:
        layout.prop_search(settings, "uv_map", obj.data, "uv_layers", icon="GROUP_UVS")
    if settings.target != "objects" and (obj.pgc.keep_mask is not None or kept_picture(obj) is not None):
        _draw_keep_mask(layout, obj, settings)
    if kept_picture(obj) is not None:
        row = layout.row()
        row.use_property_split = False
        row.prop(
            settings, "use_start", text="Start with What Is Shown" if not settings.use_start else "Start, Strength"
        )
        if settings.use_start:
            row.prop(settings, "strength", text="", slider=True)


def _draw_keep_mask(layout: bpy.types.UILayout, obj: bpy.types.Object, settings: bpy.types.PropertyGroup) -> None:
    if obj.pgc.keep_mask is None:
        layout.template_ID(obj.pgc, "keep_mask", new="pgc.new_keep_mask", text="Mask")
    else:
        # Its name needs the width.
        row = layout.row()
        row.use_property_split = False
        row.template_ID(obj.pgc, "keep_mask", new="pgc.new_keep_mask")
        row = layout.row()
        row.use_property_split = False
        row.prop(obj.pgc, "mask_reading", expand=True)
        painting = is_painting(obj)
        layout.operator(
            "pgc.paint_keep_mask",
            text="Done Painting" if painting else "Paint Mask",
            icon="CHECKMARK" if painting else "BRUSH_DATA",
            depress=painting,
        )
        row = layout.row(align=True)
        for action, text in (("INVERT", "Invert"), ("CLEAR", "Clear"), ("FILL", "Fill")):
            row.operator("pgc.edit_keep_mask", text=text).action = action
        row = layout.row(align=True)
        row.operator("pgc.edit_keep_mask", text="Add Selected Faces", icon="FACESEL").action = "FACES"
        row.operator_menu_enum("pgc.edit_keep_mask", "action", text="", icon="DOWNARROW_HLT")
        row = layout.row()
        row.use_property_split = False
        row.prop(settings, "soft_edge")
        if not settings.use_start:
            row.prop(settings, "mask_anew")


def draw_settings(layout: bpy.types.UILayout, context: bpy.types.Context, state: AppState) -> None:
    """Draws model, quality, size, maps, seed, cameras."""
    settings = context.scene.pgc
    _draw_model(layout, settings, state)
    layout.prop(settings, "texture_size")
    _draw_limits(layout, context, state)
    if set(state.server.textures) != {"base_color"}:
        _draw_maps(layout, settings, state)
    textured = selected_meshes(context) if settings.target == "objects" else [context.object]
    if settings.target != "slot" and any(obj is not None and len(obj.material_slots) > 1 for obj in textured):
        layout.prop(settings, "separate_slots")
    row = layout.row(align=True)
    row.prop(settings, "seed")
    shown = shown_version(context.object)
    if shown is not None:
        row.operator("pgc.next_seed", text=str(shown.seed), icon="HIDE_OFF", translate=False).same = True
    row.operator("pgc.next_seed", text="", icon="TRIA_RIGHT")
    row.prop(settings, "lock_seed", text="", icon="LOCKED" if settings.lock_seed else "UNLOCKED")
    layout.prop(settings, "variations")
    layout.prop(settings, "steps")
    layout.prop(settings, "cameras")
    if settings.cameras == "rig":
        row = layout.row(align=True)
        row.prop(settings, "rig", text="")
        row.operator("pgc.add_rig", text="", icon="ADD")
        row.operator("pgc.remove_rig", text="", icon="REMOVE")


def _draw_limits(layout: bpy.types.UILayout, context: bpy.types.Context, state: AppState) -> None:
    """Draws how large a job may be, where the server has told."""
    if state.server.limits is None:
        return
    triangles, texels, size = limit_figures(state.server.limits)
    parts = [tr("{count} triangles").format(count=triangles)]
    parts += [tr("{count} texels").format(count=texels)] if texels else []
    parts += [tr("{size} of data").format(size=size)] if size else []
    column = layout.column()
    column.active = False
    draw_text(column, tr("The server takes at most {parts}").format(parts=", ".join(parts)), context)


def draw_quality(layout: bpy.types.UILayout, context: bpy.types.Context, state: AppState) -> None:
    """Draws the three presets, and what the chosen one costs."""
    settings = context.scene.pgc
    column = layout.column(align=True)
    row = column.row(align=True)
    row.prop(settings, "preset", expand=True)
    strength = settings.strength if settings.use_start else 1.0
    chosen = {name: getattr(settings, name) for name in BEGINNINGS}
    cost = cost_text(
        state,
        model=settings.model,
        preset=settings.preset,
        size=int(settings.texture_size),
        steps=settings.steps,
        lit=need_light(settings.maps),
        strength=strength if strength < 1.0 or begins_as_usual(chosen) else None,
    )
    line = column.row()
    line.active = False
    line.alignment = "CENTER"
    line.label(text=cost, translate=False)


def _labelled(layout: bpy.types.UILayout, text: str) -> bpy.types.UILayout:
    """What comes right of a label, as rows of properties have it."""
    split = layout.split(factor=0.4)
    name = split.row()
    name.alignment = "RIGHT"
    name.label(text=text)
    return split


def _draw_maps(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup, state: AppState) -> None:
    column = _labelled(layout, "Maps").column(align=True)
    # Every button says its name; a label before each would say it twice.
    column.use_property_split = False
    for map_name in MAPS:
        row = column.row(align=True)
        row.enabled = map_name in state.server.textures
        row.prop_enum(settings, "maps", map_name)


def _draw_model(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup, state: AppState) -> None:
    info = state.server.model(settings.model)
    column = _labelled(layout, "Model").column()
    row = column.row()
    row.alert = info is not None and info.state != "installed"
    row.menu("PGC_MT_models", text=MODEL_NAMES.get(settings.model, settings.model))
    if info is not None and info.state == "missing":
        column.label(text="Not installed on the server", icon="IMPORT")
        column.operator("pgc.copy_model_command", icon="COPYDOWN").model = settings.model
