# SPDX-License-Identifier: GPL-3.0-or-later
"""Buttons that change one choice of the panel and so mend what went wrong."""

from __future__ import annotations

from typing import ClassVar

import bpy
from bpy.props import StringProperty

from ..local_server.program import model_command
from ..model.choices import SIZES
from ..session import event_pump

__all__ = ["CLASSES"]


def _mended(context: bpy.types.Context) -> set[str]:
    """Take the sentence away, and start over where that can be."""
    event_pump.show_problem(None)
    view = event_pump.current_state().newest()
    if view is not None:
        view.problem = None
    if bpy.ops.pgc.generate.poll():
        bpy.ops.pgc.generate()
    return {"FINISHED"}


class PGC_OT_smaller_texture(bpy.types.Operator):
    """Halve the texture size and generate again"""

    bl_idname = "pgc.smaller_texture"
    bl_label = "Use a Smaller Texture"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        settings = context.scene.pgc
        sizes = [size for size, *_ in SIZES]
        index = sizes.index(settings.texture_size)
        if index == 0:
            self.report({"ERROR"}, "The texture is as small as it can be; close other programs on the server")
            return {"CANCELLED"}
        settings.texture_size = sizes[index - 1]
        return _mended(context)


class PGC_OT_base_color_only(bpy.types.Operator):
    """Ask for the base color alone and generate again"""

    bl_idname = "pgc.base_color_only"
    bl_label = "Use Base Color Only"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.scene.pgc.maps = {"base_color"}
        return _mended(context)


class PGC_OT_use_all_around(bpy.types.Operator):
    """Look at the object from everywhere"""

    bl_idname = "pgc.use_all_around"
    bl_label = "Use All Around"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.scene.pgc.cameras = "sphere"
        event_pump.show_problem(None)
        return {"FINISHED"}


class PGC_OT_use_model(bpy.types.Operator):
    """Choose the diffusion model that guides the texture"""

    bl_idname = "pgc.use_model"
    bl_label = "Use Model"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    model: StringProperty(name="Model", description="Key of the model", default="pocket")

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.scene.pgc.model = self.model
        event_pump.show_problem(None)
        view = event_pump.current_state().newest()
        if view is not None and not view.live:
            view.problem = None
        event_pump.redraw()
        return {"FINISHED"}


class PGC_OT_copy_model_command(bpy.types.Operator):
    """Copy the command that downloads this model on the server; run it in a terminal there"""

    bl_idname = "pgc.copy_model_command"
    bl_label = "Copy Download Command"

    model: StringProperty(name="Model", description="Key of the model", default="sdxl")

    def execute(self, context: bpy.types.Context) -> set[str]:
        command = model_command(self.model)
        context.window_manager.clipboard = command
        self.report({"INFO"}, f"Copied, paste it into a terminal: {command}")
        return {"FINISHED"}


CLASSES = (
    PGC_OT_smaller_texture,
    PGC_OT_base_color_only,
    PGC_OT_use_all_around,
    PGC_OT_use_model,
    PGC_OT_copy_model_command,
)
