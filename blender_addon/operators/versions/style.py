# SPDX-License-Identifier: GPL-3.0-or-later
"""One style over many objects: the next texture is made as another object's was."""

from __future__ import annotations

from typing import ClassVar

import bpy
from bpy.props import StringProperty

from ...model.choices import need_light
from ...model.state import Problem
from ...scene.errors import SceneError
from ...scene.versions.showing import map_image, shown_version
from ...session import event_pump
from .reuse import fill_settings, unless_it_fails

__all__ = ["CLASSES"]

_OF_THE_PLACE = (
    *("target", "cameras", "uv_map", "texture_size", "separate_slots"),
    *("use_start", "strength", "soft_edge", "mask_anew", "use_vertex_colors"),
)
"""Choices that are about an object, and not about a style."""


class PGC_OT_same_style(bpy.types.Operator):
    """Make the next texture in the style of what another object shows: by its prompt, choices and seed, and with its
    colors as the reference"""

    bl_idname = "pgc.same_style"
    bl_label = "Use Same Style"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    source: StringProperty(name="Object", description="Name of the object whose texture is the example")

    def execute(self, context: bpy.types.Context) -> set[str]:
        settings = context.scene.pgc
        version = shown_version(bpy.data.objects.get(self.source))
        if version is None:
            self.report({"ERROR"}, f"{self.source} shows no texture of a prompt; choose an object that does")
            return {"CANCELLED"}
        own = {name: getattr(settings, name) for name in _OF_THE_PLACE}
        try:
            with unless_it_fails(settings):
                fill_settings(settings, version)
        except SceneError as error:
            event_pump.show_problem(Problem(error.text, error.fix or ""))
            self.report({"ERROR"}, error.text)
            return {"CANCELLED"}
        finally:
            for name, value in own.items():
                setattr(settings, name, value)
        settings.seed = version.seed
        picture = map_image(version, "base_color")
        if settings.reference is None and not need_light(settings.maps):
            # A reference is for base color alone; a whole material follows by its prompt and seed.
            settings.reference = picture
            settings.reference_scale = settings.reference_scale or 0.5
        return {"FINISHED"}


CLASSES = (PGC_OT_same_style,)
