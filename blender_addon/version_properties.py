# SPDX-License-Identifier: GPL-3.0-or-later
"""What an object keeps of its textures in the .blend: every version, and what was there before them.

All pictures and materials are pointers. A pointer counts as a user, so that a save keeps what it points to, an append
brings it along and a copy of the object shares it; no fake users are needed.
"""

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    FloatVectorProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from . import job_properties, version_clicks

__all__ = ["CLASSES", "PGC_PG_object", "PGC_PG_version"]


class PGC_PG_map(bpy.types.PropertyGroup):
    """One map of a version; its `name` is the map's, such as base_color."""

    image: PointerProperty(type=bpy.types.Image)


class PGC_PG_covered_slot(bpy.types.PropertyGroup):
    """What a material slot shows when no version covers it."""

    link: StringProperty()
    material: PointerProperty(type=bpy.types.Material)
    kind: EnumProperty(
        items=(
            ("OWN", "Own", "The artist's"),
            ("BASE", "Base", "Added, because there was none"),
            ("LAYER", "Layer", "Added for faces that a version covers"),
        )
    )


class PGC_PG_version(bpy.types.PropertyGroup):
    """A result of an object. Never changed but for its name."""

    name: StringProperty(name="Name", description="Name of this version; double-click it to change it")
    key: StringProperty(description="Unique; the same in copies of the object")
    maps: CollectionProperty(type=PGC_PG_map)
    material: PointerProperty(type=bpy.types.Material)
    thumbnail: PointerProperty(type=bpy.types.Image)
    prompt: StringProperty()
    negative: StringProperty()
    seed: IntProperty()
    job: StringProperty()
    created: StringProperty(description="When it was finished, ISO 8601, UTC")
    seconds: FloatProperty(description="How long it took; 0: unknown")
    settings: StringProperty(description="The panel's choices, as JSON", default="{}")
    partial: BoolProperty(description="The job was cancelled before its end")
    uv_map: StringProperty()
    target: StringProperty(default="object")
    slot: IntProperty()
    faces: StringProperty(description="The targeted polygons, packed")


class PGC_PG_paint(bpy.types.PropertyGroup):
    """How Texture Paint was set before the mask was painted; `mode` is empty where nothing is to be put back."""

    mode: StringProperty()
    canvas: PointerProperty(type=bpy.types.Image)
    color: FloatVectorProperty(size=3)
    secondary: FloatVectorProperty(size=3)


class PGC_PG_object(bpy.types.PropertyGroup):
    """The versions of an object, which of them it shows, and what they cover."""

    schema: IntProperty(description="Schema that wrote this; 0: nothing was written yet")
    versions: CollectionProperty(type=PGC_PG_version)
    active_version: IntProperty(
        name="Version",
        description="Click a version to show it on the object",
        default=-1,
        update=version_clicks.on_click,
        options=set(),
    )
    layers: StringProperty(description="Keys of the versions that are shown, from the lowest to the uppermost")
    compared: StringProperty(description="The layers that Compare shows next")
    covered: CollectionProperty(type=PGC_PG_covered_slot)
    covered_faces: StringProperty(description="Material indices of the polygons without versions, packed; empty: as is")
    job: PointerProperty(type=job_properties.PGC_PG_job)
    keep_mask: PointerProperty(
        type=bpy.types.Image,
        name="Keep Mask",
        description="White parts keep the texture that the object shows, black ones get the new texture",
    )
    paint_before: PointerProperty(type=PGC_PG_paint)


CLASSES = (PGC_PG_map, PGC_PG_covered_slot, PGC_PG_version, PGC_PG_paint, PGC_PG_object)
