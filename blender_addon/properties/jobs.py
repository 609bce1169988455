# SPDX-License-Identifier: GPL-3.0-or-later
"""What an object keeps of jobs that go on, in the .blend: their ids, and how it looked before their previews."""

import bpy
from bpy.props import BoolProperty, CollectionProperty, IntProperty, PointerProperty, StringProperty

from ..overrides import INSERTABLE, OVERRIDABLE

__all__ = ["CLASSES", "PGC_PG_job"]


class PGC_PG_slot(bpy.types.PropertyGroup):
    """A material slot as it was; pointers, so that a rename does no harm."""

    link: StringProperty(override=OVERRIDABLE)
    material: PointerProperty(type=bpy.types.Material, override=OVERRIDABLE)


class PGC_PG_preview(bpy.types.PropertyGroup):
    """All slots of an object before a preview was put on it."""

    key: StringProperty(description="The job whose preview is on the object; empty: none", override=OVERRIDABLE)
    slots: CollectionProperty(type=PGC_PG_slot, override=INSERTABLE)
    faces: StringProperty(
        description="Material indices of the polygons, packed, where faces were moved", override=OVERRIDABLE
    )
    added: IntProperty(description="Number of slots that the preview added", override=OVERRIDABLE)
    material: PointerProperty(type=bpy.types.Material, description="The preview's own material", override=OVERRIDABLE)


class PGC_PG_pending(bpy.types.PropertyGroup):
    """A job that goes on, so that it is found again after Blender was closed; fields as `state.JobRequest`."""

    key: StringProperty(override=OVERRIDABLE)
    job: StringProperty(override=OVERRIDABLE)
    prompt: StringProperty(override=OVERRIDABLE)
    negative: StringProperty(override=OVERRIDABLE)
    seed: IntProperty(override=OVERRIDABLE)
    model: StringProperty(default="pocket", override=OVERRIDABLE)
    preset: StringProperty(default="standard", override=OVERRIDABLE)
    texture_size: IntProperty(override=OVERRIDABLE)
    uv_map: StringProperty(override=OVERRIDABLE)
    target: StringProperty(default="object", override=OVERRIDABLE)
    slot: IntProperty(override=OVERRIDABLE)
    faces: StringProperty(override=OVERRIDABLE)
    settings: StringProperty(default="{}", override=OVERRIDABLE)
    uvs: StringProperty(override=OVERRIDABLE)
    shape: StringProperty(description="Of a new shape: the mesh as it was sent", override=OVERRIDABLE)
    waits: BoolProperty(description="Its result becomes a version that is not shown", override=OVERRIDABLE)
    cancelled: BoolProperty(
        description="Cancel was clicked; only the partial result is still to come", override=OVERRIDABLE
    )


class PGC_PG_job(bpy.types.PropertyGroup):
    """What is kept of the jobs of one object."""

    pending: CollectionProperty(type=PGC_PG_pending, override=INSERTABLE)
    preview: PointerProperty(type=PGC_PG_preview, override=OVERRIDABLE)


CLASSES = (PGC_PG_slot, PGC_PG_preview, PGC_PG_pending, PGC_PG_job)
