# SPDX-License-Identifier: GPL-3.0-or-later
"""What an object keeps of jobs that go on, in the .blend: their ids, and how it looked before their previews."""

import bpy
from bpy.props import BoolProperty, CollectionProperty, IntProperty, PointerProperty, StringProperty

__all__ = ["CLASSES", "PGC_PG_job"]


class PGC_PG_slot(bpy.types.PropertyGroup):
    """A material slot as it was; pointers, so that a rename does no harm."""

    link: StringProperty()
    material: PointerProperty(type=bpy.types.Material)


class PGC_PG_preview(bpy.types.PropertyGroup):
    """All slots of an object before a preview was put on it."""

    key: StringProperty(description="The job whose preview is on the object; empty: none")
    slots: CollectionProperty(type=PGC_PG_slot)
    faces: StringProperty(description="Material indices of the polygons, packed, where faces were moved")
    added: IntProperty(description="Number of slots that the preview added")
    material: PointerProperty(type=bpy.types.Material, description="The preview's own material")


class PGC_PG_pending(bpy.types.PropertyGroup):
    """A job that goes on, so that it is found again after Blender was closed; fields as `state.JobRequest`."""

    key: StringProperty()
    job: StringProperty()
    prompt: StringProperty()
    negative: StringProperty()
    seed: IntProperty()
    model: StringProperty(default="pocket")
    preset: StringProperty(default="standard")
    texture_size: IntProperty()
    uv_map: StringProperty()
    target: StringProperty(default="object")
    slot: IntProperty()
    faces: StringProperty()
    settings: StringProperty(default="{}")
    cancelled: BoolProperty(description="Cancel was clicked; only the partial result is still to come")


class PGC_PG_job(bpy.types.PropertyGroup):
    """Of one object."""

    pending: CollectionProperty(type=PGC_PG_pending)
    preview: PointerProperty(type=PGC_PG_preview)


CLASSES = (PGC_PG_slot, PGC_PG_preview, PGC_PG_pending, PGC_PG_job)
