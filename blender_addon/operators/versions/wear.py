# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers of wear over a version: another one's maps along edges, in crevices, or where a mask is white."""

from __future__ import annotations

from typing import ClassVar

import bpy
from bpy.props import EnumProperty, IntProperty

from ...scene.errors import SceneError
from ...scene.painting.mask_values import inward_note
from ...scene.painting.wear_layers import add_wear, remove_wear
from .action import INDEX, OnVersions, chosen_version, run_on_versions

__all__ = ["CLASSES"]


class PGC_OT_wear_add(OnVersions, bpy.types.Operator):
    """Lay another version over this one where the mesh wears: it can be hidden, mixed and removed at any time"""

    bl_idname = "pgc.wear_add"
    bl_label = "Add Wear"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    index: IntProperty(name="Version", description=INDEX, default=-1, min=-1, options={"SKIP_SAVE"})
    source: IntProperty(name="Layer", description="Index of the version that is laid over it", min=0)
    place: EnumProperty(
        name="Place",
        description="Where the layer is seen",
        items=(
            ("EDGES", "Worn Edges", "Along edges that stick out"),
            ("CREVICES", "Crevices", "Along edges that lie inside"),
            ("HIDDEN", "Hidden Places", "What the object hides from the sky, where dirt gathers"),
            ("THIN", "Thin Places", "What has its other side close behind it, such as fins and rims"),
            ("UP", "What Faces Up", "Where snow and dust would lie"),
            ("HEIGHT", "Height", "More of it from the lowest point to the highest"),
            ("MASK", "Mask", "Where the mask of the object is white now"),
        ),
    )

    def execute(self, context: bpy.types.Context) -> set[str]:
        return run_on_versions(self, lambda: self._add(context))

    def _add(self, context: bpy.types.Context) -> None:
        obj = context.object
        if self.source >= len(obj.pgc.versions):
            raise SceneError(f"{obj.name} has no version {self.source}; choose one of the list.")
        add_wear(obj, chosen_version(self, context), self.source, self.place)
        note = inward_note(obj, self.place)
        if note:
            self.report({"WARNING"}, note)


class PGC_OT_wear_remove(OnVersions, bpy.types.Operator):
    """Take this layer of wear off the version; the version that it came from stays"""

    bl_idname = "pgc.wear_remove"
    bl_label = "Remove Wear"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    index: IntProperty(name="Version", description=INDEX, default=-1, min=-1, options={"SKIP_SAVE"})
    layer: IntProperty(name="Layer", description="Which one, from 0, the lowest", min=0)

    def execute(self, context: bpy.types.Context) -> set[str]:
        return run_on_versions(self, lambda: self._remove(context))

    def _remove(self, context: bpy.types.Context) -> None:
        obj, index = context.object, chosen_version(self, context)
        if self.layer >= len(obj.pgc.versions[index].wear):
            raise SceneError(f"{obj.pgc.versions[index].name} has no layer {self.layer} of wear.")
        remove_wear(obj, index, self.layer)


CLASSES = (PGC_OT_wear_add, PGC_OT_wear_remove)
