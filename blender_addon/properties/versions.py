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

from ..overrides import INSERTABLE, OVERRIDABLE
from . import jobs as job_properties
from . import version_clicks

__all__ = ["CLASSES", "PGC_PG_object", "PGC_PG_version"]


class PGC_PG_map(bpy.types.PropertyGroup):
    """One map of a version; its `name` is the map's, such as base_color."""

    image: PointerProperty(type=bpy.types.Image, override=OVERRIDABLE)


class PGC_PG_covered_slot(bpy.types.PropertyGroup):
    """What a material slot shows when no version covers it."""

    link: StringProperty(override=OVERRIDABLE)
    material: PointerProperty(type=bpy.types.Material, override=OVERRIDABLE)
    kind: EnumProperty(
        items=(
            ("OWN", "Own", "The artist's"),
            ("BASE", "Base", "Added, because there was none"),
            ("LAYER", "Layer", "Added for faces that a version covers"),
        ),
        override=OVERRIDABLE,
    )


class PGC_PG_wear(bpy.types.PropertyGroup):
    """A layer of wear over a version: its maps, and where and how strongly they are seen."""

    name: StringProperty(name="Name", description="Name of this layer", override=OVERRIDABLE)
    maps: CollectionProperty(type=PGC_PG_map, override=INSERTABLE)
    uv_map: StringProperty(override=OVERRIDABLE)
    mask: PointerProperty(type=bpy.types.Image, override=OVERRIDABLE)
    mask_uv_map: StringProperty(override=OVERRIDABLE)
    strength: FloatProperty(
        name="Strength",
        description="How much of this layer is seen where its mask is white",
        min=0.0,
        max=1.0,
        default=1.0,
        subtype="FACTOR",
        update=version_clicks.on_wear,
        override=OVERRIDABLE,
    )
    hidden: BoolProperty(
        name="Hide", description="Leave this layer out", update=version_clicks.on_wear, override=OVERRIDABLE
    )


class PGC_PG_version(bpy.types.PropertyGroup):
    """A result of an object. Never changed but for its name, star, note and layers of wear, where it was not made to be
    painted on.
    """

    name: StringProperty(
        name="Name", description="Name of this version; double-click it to change it", override=OVERRIDABLE
    )
    key: StringProperty(description="Unique; the same in copies of the object", override=OVERRIDABLE)
    maps: CollectionProperty(type=PGC_PG_map, override=INSERTABLE)
    wear: CollectionProperty(type=PGC_PG_wear, override=INSERTABLE)
    material: PointerProperty(type=bpy.types.Material, override=OVERRIDABLE)
    thumbnail: PointerProperty(type=bpy.types.Image, override=OVERRIDABLE)
    prompt: StringProperty(override=OVERRIDABLE)
    negative: StringProperty(override=OVERRIDABLE)
    seed: IntProperty(override=OVERRIDABLE)
    job: StringProperty(override=OVERRIDABLE)
    created: StringProperty(description="When it was finished, ISO 8601, UTC", override=OVERRIDABLE)
    seconds: FloatProperty(description="How long it took; 0: unknown", override=OVERRIDABLE)
    settings: StringProperty(description="The panel's choices, as JSON", default="{}", override=OVERRIDABLE)
    partial: BoolProperty(description="The job was cancelled before its end", override=OVERRIDABLE)
    starred: BoolProperty(
        name="Star",
        description="One of the good ones: Purge leaves it, and the list can show these alone",
        override=OVERRIDABLE,
    )
    note: StringProperty(name="Note", description="What you want to remember of this version", override=OVERRIDABLE)
    painted: BoolProperty(description="The artist paints on it; else no brush changes it", override=OVERRIDABLE)
    uv_map: StringProperty(override=OVERRIDABLE)
    uvs: StringProperty(description="The UVs that it was made for, packed; empty: unknown", override=OVERRIDABLE)
    target: StringProperty(default="object", override=OVERRIDABLE)
    slot: IntProperty(override=OVERRIDABLE)
    faces: StringProperty(description="The targeted polygons, packed", override=OVERRIDABLE)


class PGC_PG_paint(bpy.types.PropertyGroup):
    """How Texture Paint was set before the mask was painted; `mode` is empty where nothing is to be put back."""

    mode: StringProperty(override=OVERRIDABLE)
    canvas: PointerProperty(type=bpy.types.Image, override=OVERRIDABLE)
    color: FloatVectorProperty(size=3, override=OVERRIDABLE)
    secondary: FloatVectorProperty(size=3, override=OVERRIDABLE)


class PGC_PG_object(bpy.types.PropertyGroup):
    """The versions of an object, which of them it shows, and what they cover."""

    schema: IntProperty(description="Schema that wrote this; 0: nothing was written yet", override=OVERRIDABLE)
    versions: CollectionProperty(type=PGC_PG_version, override=INSERTABLE)
    active_version: IntProperty(
        name="Version",
        description="Click a version to show it on the object",
        default=-1,
        update=version_clicks.on_click,
        options=set(),
        override=OVERRIDABLE,
    )
    layers: StringProperty(
        description="Keys of the versions that are shown, from the lowest to the uppermost", override=OVERRIDABLE
    )
    compared: StringProperty(description="The layers that Compare shows next", override=OVERRIDABLE)
    covered: CollectionProperty(type=PGC_PG_covered_slot, override=INSERTABLE)
    covered_faces: StringProperty(
        description="Material indices of the polygons without versions, packed; empty: as is", override=OVERRIDABLE
    )
    job: PointerProperty(type=job_properties.PGC_PG_job, override=OVERRIDABLE)
    keep_mask: PointerProperty(
        type=bpy.types.Image,
        name="Keep Mask",
        description="Says by its white parts what of the object's texture stays, or what changes",
        override=OVERRIDABLE,
    )
    mask_reading: EnumProperty(
        name="Mask",
        items=(
            ("KEEP", "Keep Painted", "White parts keep the texture that the object shows, all else gets the new one"),
            ("CHANGE", "Change Painted", "White parts get the new texture, all else stays as it is"),
        ),
        description="What the white of the mask means",
        override=OVERRIDABLE,
    )
    paint_before: PointerProperty(type=PGC_PG_paint, override=OVERRIDABLE)


CLASSES = (PGC_PG_map, PGC_PG_covered_slot, PGC_PG_wear, PGC_PG_version, PGC_PG_paint, PGC_PG_object)
