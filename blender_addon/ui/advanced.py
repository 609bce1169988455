# SPDX-License-Identifier: GPL-3.0-or-later
"""The method: how the model's judgement becomes a texture, what it is shown, and what the texture grows out of."""

from __future__ import annotations

import bpy

from ..model.choices import need_light
from ..model.conditions.controls import CONTROLS, shown_by
from ..model.conditions.loras import LORA_FILES, lora_names, shown_rows, takes_loras
from ..model.conditions.named import ADAPTER, control_name, named_models, takes_named
from ..model.conditions.starts import grid_objection
from ..model.conditions.views import VIEW_SETTINGS
from ..model.conditions.words import WORD_FILES, takes_words, word_names, word_of
from ..model.methods import draws_noise, has_norm, has_norm_limit, has_rescale, has_weighting
from ..scene.meshes.colors import has_colors
from ..session.event_pump import current_state
from .text import draw_text

__all__ = ["draw_advanced"]

_TITLES = {"normal": "Normals", "edges": "Edges", "tile": "Texture So Far", "shuffle": "Mixed Reference"}


def draw_advanced(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """Draws loss, noise and its weight, clipping, guidance; a reference, what the model is shown, and starts."""
    settings = context.scene.pgc
    layout.prop(settings, "loss")
    layout.prop(settings, "timesteps")
    row = layout.row()
    row.enabled = draws_noise(settings.loss)
    row.prop(settings, "noise")
    if settings.loss == "hifa":
        _with_switch(layout, settings, "Encoder Weight", "use_latent_weight", "latent_weight")
    weight = settings.latent_weight if settings.use_latent_weight else None
    weighs = layout.column()
    weighs.enabled = has_weighting(settings.loss, settings.model, weight)
    weighs.prop(settings, "weighting")
    weighs.prop(settings, "encoder_gradient")
    layout.prop(settings, "regulation")
    row = _with_switch(layout, settings, "Threshold", "use_clip", "clip")
    row.enabled = has_norm_limit(settings.regulation)
    if settings.regulation == "adaptive":
        _with_switch(layout, settings, "Left Alone", "use_clip_quantile", "clip_quantile")
    row = layout.row()
    row.enabled = has_norm(settings.regulation)
    row.prop(settings, "clip_norm")
    _with_switch(layout, settings, "Guidance", "use_guidance_scale", "guidance_scale")
    row = _with_switch(layout, settings, "Rescale", "use_guidance_rescale", "guidance_rescale")
    row.enabled = has_rescale(settings.loss)
    _draw_files(layout, settings)
    _draw_reference(layout, context)
    _draw_shown(layout, context)
    _draw_start(layout, context)
    header, views = layout.panel("pgc_view_prompts", default_closed=True)
    header.label(text="Prompts of Views")
    if views is not None:
        for name in VIEW_SETTINGS:
            views.prop(settings, name)


def _draw_files(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup) -> None:
    """Files that are added to the model, a row more than there are."""
    for row in shown_rows(settings, LORA_FILES) if takes_loras(settings.model) else ():
        file, scale = lora_names(row)
        layout.prop(settings, file)
        if getattr(settings, file):
            layout.prop(settings, scale, text="Strength", slider=True)
    for row in shown_rows(settings, WORD_FILES) if takes_words(settings.model) else ():
        file, word = word_names(row)
        layout.prop(settings, file)
        if getattr(settings, file):
            layout.prop(settings, word, placeholder=word_of(settings, row))


def _draw_named(layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup, kind: str, name: str) -> None:
    """One of the server's own models: where it has such, or one was named."""
    if takes_named(settings.model) and (getattr(settings, name) or named_models(current_state().server.models, kind)):
        # What it is for stands in the row above.
        layout.prop(settings, name, text="IP-Adapter" if kind == ADAPTER else "ControlNet")


def _draw_reference(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """A picture of the file or from the disk, and how much its colors count."""
    settings = context.scene.pgc
    if settings.reference is None:
        layout.template_ID(settings, "reference", open="image.open", text="Reference")
        return
    row = layout.row()
    # Its name needs the width.
    row.use_property_split = False
    row.template_ID(settings, "reference", open="image.open")
    layout.prop(settings, "reference_scale", text="Reference", slider=True)
    _draw_named(layout, settings, ADAPTER, "reference_adapter")
    looks = takes_named(settings.model) and settings.reference_adapter.strip()
    if need_light(settings.maps) and not looks:
        draw_text(layout, "A reference is for base color only", context, icon="ERROR")


def _draw_shown(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """What the model has eyes for; what it has not is hidden, and said."""
    settings, there = context.scene.pgc, shown_by(context.scene.pgc.model)
    if "depth" in there:
        layout.prop(settings, "use_depth")
        row = _with_switch(layout, settings, "Depth Strength", "use_depth_scale", "depth_scale")
        row.enabled = settings.use_depth
        if settings.use_depth:
            _draw_named(layout, settings, "depth", control_name("depth"))
    for kind in CONTROLS:
        if kind in there:
            row = _with_switch(layout, settings, _TITLES[kind], f"use_{kind}", f"{kind}_scale")
            row.enabled = kind != "shuffle" or settings.reference is not None
            if getattr(settings, f"use_{kind}"):
                _draw_named(layout, settings, kind, control_name(kind))
    if not set(CONTROLS) & set(there):
        _draw_reason(layout, "This model is shown depth only" if there else "This model is shown nothing", context)


def _draw_start(layout: bpy.types.UILayout, context: bpy.types.Context) -> None:
    """What the texture grows out of, and what it is made of as it does."""
    settings, obj = context.scene.pgc, context.object
    if has_colors(obj) or settings.use_vertex_colors:
        row = layout.row()
        row.use_property_split = False
        row.enabled = not settings.use_start
        row.prop(settings, "use_vertex_colors")
        if settings.use_vertex_colors and not settings.use_start:
            layout.prop(settings, "strength", slider=True)
    masked = obj is not None and obj.type == "MESH" and obj.pgc.keep_mask is not None
    begins = settings.use_start or settings.use_vertex_colors or masked
    reason = grid_objection(maps=settings.maps, target=settings.target, begins=begins)
    row = layout.row()
    row.enabled = not reason
    row.prop(settings, "texture_field")
    if reason and settings.texture_field == "hashgrid":
        _draw_reason(layout, reason, context)
    row = layout.row()
    row.enabled = not need_light(settings.maps) and (bool(reason) or settings.texture_field != "hashgrid")
    row.prop(settings, "warm_start")


def _draw_reason(layout: bpy.types.UILayout, text: str, context: bpy.types.Context) -> None:
    column = layout.column()
    column.active = False
    draw_text(column, text, context)


def _with_switch(
    layout: bpy.types.UILayout, settings: bpy.types.PropertyGroup, heading: str, switch: str, value: str
) -> bpy.types.UILayout:
    """A number with a check box before it: unchecked, the model's own stands."""
    row = layout.row(heading=heading)
    row.prop(settings, switch, text="")
    number = row.row()
    number.enabled = getattr(settings, switch)
    number.prop(settings, value, text="")
    return row
