# SPDX-License-Identifier: GPL-3.0-or-later
"""Words and earlier prompts at hand, and presets of settings."""

from __future__ import annotations

from typing import ClassVar

import bpy
from bl_operators.presets import AddPresetBase
from bpy.props import IntProperty, StringProperty

from ..model.methods import METHOD_SETTINGS
from ..session import recent_prompts

__all__ = ["CLASSES", "PRESET_FOLDER", "PGC_MT_presets"]

PRESET_FOLDER = "pgc_texture"


class PGC_OT_insert_word(bpy.types.Operator):
    """Add this word to the prompt"""

    bl_idname = "pgc.insert_word"
    bl_label = "Insert Word"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    word: StringProperty(name="Word", description="What to add")

    def execute(self, context: bpy.types.Context) -> set[str]:
        settings = context.scene.pgc
        settings.prompt = f"{settings.prompt.rstrip()} {self.word}".lstrip()
        return {"FINISHED"}


class PGC_OT_use_prompt(bpy.types.Operator):
    """Take this prompt, with the negative prompt that went with it"""

    bl_idname = "pgc.use_prompt"
    bl_label = "Use Prompt"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    index: IntProperty(name="Index", description="Place in the list of recent prompts", min=0)

    def execute(self, context: bpy.types.Context) -> set[str]:
        prompts = recent_prompts.recent()
        if self.index >= len(prompts):
            return {"CANCELLED"}
        context.scene.pgc.prompt, context.scene.pgc.negative = prompts[self.index]
        return {"FINISHED"}


class PGC_MT_presets(bpy.types.Menu):
    """Presets of prompt, quality, size and the rest; yours are kept with Blender's own"""

    bl_idname = "PGC_MT_presets"
    bl_label = "Texture Presets"
    preset_subdir = PRESET_FOLDER
    preset_operator = "script.execute_preset"
    draw = bpy.types.Menu.draw_preset


class PGC_OT_add_preset(AddPresetBase, bpy.types.Operator):
    """Keep the settings of this panel under a name, or remove the active preset"""

    bl_idname = "pgc.add_preset"
    bl_label = "Add Texture Preset"
    preset_menu = "PGC_MT_presets"
    preset_subdir = PRESET_FOLDER
    preset_defines: ClassVar[list[str]] = ["settings = bpy.context.scene.pgc"]
    preset_values: ClassVar[list[str]] = [
        f"settings.{name}"
        for name in (
            "prompt",
            "negative",
            "model",
            "preset",
            "steps",
            "texture_size",
            "maps",
            "separate_slots",
            "target",
            "cameras",
            *METHOD_SETTINGS,
        )
    ]


CLASSES = (PGC_OT_insert_word, PGC_OT_use_prompt, PGC_MT_presets, PGC_OT_add_preset)
