# SPDX-License-Identifier: GPL-3.0-or-later
"""Menus of the panel: words that the built-in model knows, recent prompts, models, presets."""

from __future__ import annotations

import textwrap
import time

import bpy
from bl_ui.utils import PresetPanel

from ..model.choices import MODEL_NAMES, model_note
from ..model.recent_results import recent_results
from ..model.vocabulary import GROUPS
from ..operators.prompts import PRESET_FOLDER
from ..scene.versions.showing import shown_version
from ..session import event_pump, recent_prompts
from ..translations import tr

__all__ = ["CLASSES", "PGC_PT_presets", "draw_in_object_menu"]

_MOST_STYLES = 12
"""Objects that the menu names as examples of a style."""


class PGC_MT_words(bpy.types.Menu):
    """Words that the built-in model was trained on"""

    bl_idname = "PGC_MT_words"
    bl_label = "Words of the Built-In Model"

    def draw(self, context: bpy.types.Context) -> None:
        row = self.layout.row()
        for title, words in GROUPS.items():
            column = row.column()
            column.label(text=title)
            column.separator()
            for word in words:
                column.operator("pgc.insert_word", text=word, translate=False).word = word


class PGC_MT_recent(bpy.types.Menu):
    """Prompts that were used last"""

    bl_idname = "PGC_MT_recent"
    bl_label = "Recent Prompts"

    def draw(self, context: bpy.types.Context) -> None:
        prompts = recent_prompts.recent()
        if not prompts:
            self.layout.label(text="No prompts yet")
        for index, (prompt, negative) in enumerate(prompts):
            text = prompt if not negative else f"{prompt} — not: {negative}"
            short = textwrap.shorten(text, 70, placeholder=" …") or text[:70]
            self.layout.operator("pgc.use_prompt", text=short, translate=False).index = index
        others = [obj for obj in context.scene.objects if obj != context.object and shown_version(obj) is not None]
        if others:
            self.layout.separator()
            for obj in others[:_MOST_STYLES]:
                text = tr("Same Style as {name}").format(name=obj.name)
                self.layout.operator("pgc.same_style", text=text, icon="BRUSHES_ALL", translate=False).source = obj.name


class PGC_MT_models(bpy.types.Menu):
    """Diffusion models, and whether the server has them"""

    bl_idname = "PGC_MT_models"
    bl_label = "Models"

    def draw(self, context: bpy.types.Context) -> None:
        server = event_pump.current_state().server
        for key, name in MODEL_NAMES.items():
            note, icon = model_note(key, server.model(key))
            row = self.layout.row()
            row.active = icon == "CHECKMARK"
            text = f"{name} ({note})" if note else name
            row.operator("pgc.use_model", text=text, icon=icon, translate=False).model = key
        missing = [key for key in MODEL_NAMES if (info := server.model(key)) is not None and info.state == "missing"]
        if missing:
            self.layout.separator()
        for key in missing:
            text = f"Copy Download Command of {MODEL_NAMES[key]}"
            self.layout.operator("pgc.copy_model_command", text=text, icon="COPYDOWN").model = key


class PGC_MT_results(bpy.types.Menu):
    """Results that the server still has; undo and a new stroke take nothing away from here"""

    bl_idname = "PGC_MT_results"
    bl_label = "Recent Results"

    def draw(self, context: bpy.types.Context) -> None:
        found = recent_results(event_pump.current_state(), time.time())
        if not found:
            self.layout.label(text="No results yet")
        obj = context.object
        takes = obj is not None and obj.type == "MESH" and obj.is_editable
        for result in found:
            row = self.layout.row()
            # A texture needs an object to lie on; a new shape becomes one.
            row.enabled = takes or result.is_shape
            operator = row.operator("pgc.fetch_result", text=result.title, translate=False)
            operator.job, operator.key = result.job, result.key


class PGC_MT_object(bpy.types.Menu):
    """What can be done with the active object's texture. Blender's search finds what stands in a menu"""

    bl_idname = "PGC_MT_object"
    bl_label = "Texture by Prompt"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.operator("pgc.generate", icon="SHADERFX")
        layout.operator("pgc.stop_and_keep", icon="CHECKMARK")
        layout.operator("pgc.cancel_all", icon="X")
        layout.separator()
        layout.operator("pgc.unwrap", icon="UV_DATA")
        layout.operator("pgc.unwrap_on_server")
        layout.separator()
        layout.operator("pgc.version_compare", icon="ARROW_LEFTRIGHT")
        layout.operator("pgc.restore", icon="LOOP_BACK")
        layout.operator("pgc.bake_set", icon="RENDER_STILL")
        layout.separator()
        layout.operator("pgc.show_material_preview", icon="SHADING_TEXTURE")


def draw_in_object_menu(menu: bpy.types.Menu, context: bpy.types.Context) -> None:
    """Draws the way to our menu, in Blender's Object menu."""
    menu.layout.separator()
    menu.layout.menu(PGC_MT_object.bl_idname, icon="SHADERFX")


class PGC_PT_presets(PresetPanel, bpy.types.Panel):
    """Presets of the whole panel."""

    bl_label = "Texture Presets"
    preset_subdir = PRESET_FOLDER
    preset_operator = "script.execute_preset"
    preset_add_operator = "pgc.add_preset"

    def draw(self, context: bpy.types.Context) -> None:
        if bpy.utils.preset_paths(PRESET_FOLDER):
            PresetPanel.draw(self, context)
            return
        # Blender's own would say "* Missing Paths *".
        self.layout.label(text="No presets yet")
        row = self.layout.row(align=True)
        row.prop(context.window_manager, "preset_name", text="")
        row.operator("pgc.add_preset", text="", icon="ADD").name = context.window_manager.preset_name


CLASSES = (PGC_MT_words, PGC_MT_recent, PGC_MT_models, PGC_MT_results, PGC_MT_object, PGC_PT_presets)
