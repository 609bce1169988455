# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept in the file (Scene.pgc, Object.pgc) and what only in the session (WindowManager.pgc)."""

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

__all__ = ["CLASSES", "SCHEMA", "attach", "detach"]

SCHEMA = 1


class PGC_PG_version(bpy.types.PropertyGroup):
    """A result of an object: pointers, so that a save keeps the pictures."""

    image: PointerProperty(type=bpy.types.Image)
    material: PointerProperty(type=bpy.types.Material)
    prompt: StringProperty()
    seed: IntProperty()
    job: StringProperty()


class PGC_PG_object(bpy.types.PropertyGroup):
    """The versions of an object."""

    schema: IntProperty(default=SCHEMA)
    versions: CollectionProperty(type=PGC_PG_version)
    active_version: IntProperty(default=-1)
    previous: StringProperty(description="What the object showed before its first version, as JSON")


class PGC_PG_scene(bpy.types.PropertyGroup):
    """What the next texture is to be."""

    schema: IntProperty(default=SCHEMA)
    prompt: StringProperty(name="Prompt", description="What the texture is to be, such as: red bricks")
    negative: StringProperty(name="Negative Prompt", description="What it is not to be")
    preset: EnumProperty(
        name="Quality",
        description="How many steps the texture takes",
        items=(
            ("draft", "Draft", "Half the steps of Standard: for trying prompts"),
            ("standard", "Standard", "The usual number of steps"),
            ("fine", "Final", "Twice the steps of Standard"),
        ),
        default="standard",
    )
    seed: IntProperty(name="Seed", description="The same seed gives the same texture again", min=0, default=0)
    lock_seed: BoolProperty(name="Lock Seed", description="Keep the seed; else each texture takes the next one")
    texture_size: EnumProperty(
        name="Texture Size",
        description="Side of the texture in pixels",
        items=tuple((str(size), str(size), f"{size} x {size} pixels") for size in (256, 512, 1024, 2048, 4096)),
        default="512",
    )
    target: EnumProperty(
        name="Target",
        description="What gets the texture",
        items=(
            ("object", "Whole Object", "All faces"),
            ("slot", "Material Slot", "The faces of the active material slot"),
            ("selected_faces", "Selected Faces", "The faces that are selected in Edit Mode"),
        ),
        default="object",
    )
    steps: IntProperty(name="Steps", description="0: as the quality says", min=0, max=100000, default=0)


class PGC_PG_window(bpy.types.PropertyGroup):
    """What goes on now; never saved."""

    state: StringProperty(default="idle", description="idle, connecting, uploading, queued, running, done, failed")
    message: StringProperty()
    fix: StringProperty(description="bl_idname of the operator that mends what went wrong")
    server: StringProperty()
    job: StringProperty()
    object_name: StringProperty()
    step: IntProperty()
    steps: IntProperty()
    eta: FloatProperty(default=-1.0)
    preview: PointerProperty(type=bpy.types.Image)


CLASSES = (PGC_PG_version, PGC_PG_object, PGC_PG_scene, PGC_PG_window)


def attach() -> None:
    """Put the groups where they belong."""
    bpy.types.Scene.pgc = PointerProperty(type=PGC_PG_scene)
    bpy.types.Object.pgc = PointerProperty(type=PGC_PG_object)
    bpy.types.WindowManager.pgc = PointerProperty(type=PGC_PG_window)


def detach() -> None:
    """Take them away."""
    del bpy.types.Scene.pgc, bpy.types.Object.pgc, bpy.types.WindowManager.pgc
