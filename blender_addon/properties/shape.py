# SPDX-License-Identifier: GPL-3.0-or-later
"""What the next shape, or the next new object, is to be, beside the panel's prompt, model and seed."""

import math

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
)

from ..model.conditions.shapes import GEOMETRIES, LOSSES, STARTS, VIEWERS
from .jobs import PGC_PG_pending

__all__ = ["CLASSES", "PGC_PG_shape"]


class PGC_PG_shape(bpy.types.PropertyGroup):
    """Choices of Refine Shape, and the new objects that go on: no object has their notes."""

    pending: CollectionProperty(type=PGC_PG_pending)

    loss: EnumProperty(name="Judged by", description="The pictures that the model judges", items=LOSSES, default="rgb")
    geometry: EnumProperty(name="Geometry", description="What may change", items=GEOMETRIES, default="offsets")
    subdivide: IntProperty(
        name="Subdivide",
        description="How often each triangle becomes four before the run, for detail to stand on",
        min=0,
        max=4,
        default=0,
    )
    cubes: IntProperty(
        name="Cubes", description="Cubes along a side of the grid: how fine its shape can be", min=8, max=96, default=32
    )
    steps: IntProperty(
        name="Steps", description="Number of steps; 0 leaves it to the quality", min=0, max=100_000, default=0
    )
    strength: FloatProperty(
        name="Strength", description="How far a step may move the shape; 1 is usual", min=0.05, max=5.0, default=1.0
    )
    hold: BoolProperty(
        name="Hold", description="Show the model the mesh as it is now in each step, so that the shape stays near it"
    )
    picture: PointerProperty(
        name="Picture",
        description="One object from its front, with a transparent background or before one plain color",
        type=bpy.types.Image,
    )
    viewer: EnumProperty(name="Model", description="Who judges the other sides", items=VIEWERS, default="zero123")
    start: EnumProperty(name="Start", description="What the new object begins as", items=STARTS, default="dmtet")
    elevation: FloatProperty(
        name="Camera Height",
        description="How high above the object the picture's camera stood; 0: level with it",
        subtype="ANGLE",
        min=math.radians(-80.0),
        max=math.radians(80.0),
        default=0.0,
    )


CLASSES = (PGC_PG_shape,)
