# SPDX-License-Identifier: GPL-3.0-or-later
"""The mask of what stays: made and painted on the object itself."""

from __future__ import annotations

from typing import Any, ClassVar

import bpy

from ..scene.errors import SceneError
from ..scene.painting.keep_mask import kept_picture, new_mask
from ..scene.painting.mask_display import follow_painting, is_painting, show_mask
from ..scene.painting.mask_edit import edit_mask
from ..scene.painting.mask_values import inward_note
from ..session import event_pump
from .poll import passes_unless

__all__ = ["CLASSES"]


class PGC_OT_new_keep_mask(bpy.types.Operator):
    """Make a black mask for this object and paint on it"""

    bl_idname = "pgc.new_keep_mask"
    bl_label = "New Mask"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return _can_paint(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        obj = context.object
        picture = kept_picture(obj)
        side = max(picture.size) if picture is not None else 0
        obj.pgc.keep_mask = new_mask(obj, side or int(context.scene.pgc.texture_size))
        _begin(context)
        return {"FINISHED"}


class PGC_OT_paint_keep_mask(bpy.types.Operator):
    """Paint on the mask with white, or be done with it. The X key swaps white and black"""

    bl_idname = "pgc.paint_keep_mask"
    bl_label = "Paint Mask"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return _has_mask(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        if is_painting(context.object):
            _end(context)
        else:
            _begin(context)
        return {"FINISHED"}


class PGC_OT_edit_keep_mask(bpy.types.Operator):
    """Change the whole mask"""

    bl_idname = "pgc.edit_keep_mask"
    bl_label = "Edit Mask"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    action: bpy.props.EnumProperty(
        name="Action",
        description="What happens to the whole mask",
        items=(
            ("INVERT", "Invert", "Swap white and black"),
            ("CLEAR", "Clear", "Make the mask black"),
            ("FILL", "Fill", "Make the mask white"),
            ("GROW", "Grow", "Move the border of the white outward"),
            ("SHRINK", "Shrink", "Move the border of the white inward"),
            ("FACES", "Add Selected Faces", "Make the selected faces white, in the UV map that is textured"),
            ("GROUP", "Add Vertex Group", "Make the active vertex group white, as much as it weighs"),
            ("SLOT", "Add Material Slot", "Make the faces of the active material slot white"),
            ("UP", "Add What Faces Up", "Make white what snow and dust would lie on"),
            ("EDGES", "Add Worn Edges", "Make the edges that stick out white, where use wears a surface off"),
            ("CREVICES", "Add Crevices", "Make the edges that lie inside white, where dirt and rust stay"),
            ("HIDDEN", "Add Hidden Places", "Make white what the object hides from the sky, where dirt gathers"),
            ("THIN", "Add Thin Places", "Make white what has its other side close behind it, such as fins and rims"),
            ("HEIGHT", "Add Height", "Make the object whiter from its lowest point to its highest"),
        ),
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return _has_mask(cls, context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        obj = context.object
        try:
            edit_mask(obj, self.action, context.scene.pgc.uv_map)
        except SceneError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        note = inward_note(obj, self.action)
        if note:
            self.report({"WARNING"}, note)
        event_pump.job_desk().brush.follow(obj)
        follow_painting(obj)
        return {"FINISHED"}


def _has_mask(cls: Any, context: bpy.types.Context) -> bool:  # noqa: ANN401 - an operator's class
    return _can_paint(cls, context) and passes_unless(
        cls, context.object.pgc.keep_mask is None, "Make a mask first, or choose an image"
    )


def _can_paint(cls: Any, context: bpy.types.Context) -> bool:  # noqa: ANN401 - an operator's class
    obj = context.object
    return (
        passes_unless(
            cls, obj is None or obj.type != "MESH" or not obj.data.uv_layers, "Select a mesh object with a UV map"
        )
        and passes_unless(
            cls,
            not obj.is_editable or not obj.visible_get(),
            "The object is hidden or linked from another file",
        )
        # Blender has no Texture Paint on a linked mesh.
        and passes_unless(
            cls,
            not obj.data.is_editable,
            "The mesh is linked from another file: Make Mesh Single-User first, or choose an image",
        )
    )


def _begin(context: bpy.types.Context) -> None:
    """Texture Paint on the mask with white; how it was before is kept for the end."""
    obj = context.object
    uv_map = context.scene.pgc.uv_map
    if uv_map in obj.data.uv_layers:
        # Strokes land in the active one.
        obj.data.uv_layers.active = obj.data.uv_layers[uv_map]
    bpy.ops.object.mode_set(mode="TEXTURE_PAINT")
    event_pump.job_desk().brush.begin(obj)
    show_mask(obj)


def _end(context: bpy.types.Context) -> None:
    event_pump.job_desk().brush.end(context.object)
    follow_painting(context.object)
    bpy.ops.object.mode_set(mode="OBJECT")


CLASSES = (PGC_OT_new_keep_mask, PGC_OT_paint_keep_mask, PGC_OT_edit_keep_mask)
