# SPDX-License-Identifier: GPL-3.0-or-later
"""Bake all materials of an object into one set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty

from ..model.maps import MAPS
from ..scene.meshes.export import ExportOptions
from ..scene.pictures.bake import BakeOptions, bake_materials
from ..scene.versions.builder import VersionBuilder, VersionFacts
from .poll import passes_unless
from .versions.action import run_on_versions

__all__ = ["CLASSES"]

_SIZES = tuple(
    (str(size), f"{size} px", f"Images of {size} by {size} pixels") for size in (512, 1024, 2048, 4096, 8192)
)

_OCCLUSION_RAYS = 128


class PGC_OT_bake_set(bpy.types.Operator):
    """Bake color, roughness, metallic and normal of all materials on the object into one new version, with Cycles"""

    bl_idname = "pgc.bake_set"
    bl_label = "Bake into One Set"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    size: EnumProperty(name="Size", description="Side of the images", items=_SIZES, default="2048")
    uv_map: StringProperty(name="UV Map", description="Where to bake to; empty takes the active UV map")
    margin: IntProperty(name="Margin", description="Pixels beyond the UV islands", default=16, min=0, max=64)
    samples: IntProperty(
        name="Samples",
        description="1 keeps maps of the same size and UVs as they are; more are for maps finer than the set",
        default=1,
        min=1,
        max=256,
    )
    occlusion: BoolProperty(
        name="Occlusion",
        description="Also how much the object shades itself, by rays; takes longest of all maps",
        default=False,
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        obj = context.object
        return passes_unless(
            cls,
            obj is None or obj.type != "MESH" or obj.mode != "OBJECT" or not obj.is_editable,
            "Select a mesh object that belongs to this file, in Object Mode",
        )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_props_dialog(self)

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "size")
        layout.prop_search(self, "uv_map", context.object.data, "uv_layers")
        layout.prop(self, "margin")
        layout.prop(self, "samples")
        layout.prop(self, "occlusion")

    def execute(self, context: bpy.types.Context) -> set[str]:
        return run_on_versions(self, lambda: self._bake(context))

    def _bake(self, context: bpy.types.Context) -> None:
        obj = context.object
        options = BakeOptions(
            uv_map=self.uv_map,
            size=int(self.size),
            margin=self.margin,
            samples=self.samples,
            occlusion_rays=_OCCLUSION_RAYS if self.occlusion else 0,
        )
        with _progress(context.window_manager) as progress:
            baked = bake_materials(context, obj, options, progress)
        builder = VersionBuilder(obj, VersionFacts(prompt="", name="Baked Set"), ExportOptions(uv_map=baked.uv_map))
        for name, tiles in baked.maps.items():
            for tile, png in tiles.items():
                builder.add_map(name, png, MAPS[name].color_space, tile)
        builder.finish(obj)
        if baked.approximated:
            names = ", ".join(baked.approximated)
            self.report({"WARNING"}, f"No Principled shader in {names}: the viewport color was taken for it")


@contextmanager
def _progress(manager: bpy.types.WindowManager) -> Iterator[Callable[[float], None]]:
    """Shows percents at the mouse, since Blender draws nothing else while Cycles bakes."""
    manager.progress_begin(0.0, 1.0)
    try:
        yield manager.progress_update
    finally:
        manager.progress_end()


CLASSES = (PGC_OT_bake_set,)
