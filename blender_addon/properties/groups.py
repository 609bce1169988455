# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept in the file (Scene.pgc, Object.pgc) and what only in the session (WindowManager.pgc)."""

from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from ..model import choices, methods
from ..model.migrations import SCHEMA
from ..overrides import OVERRIDABLE
from . import jobs as job_properties
from . import shape as shape_properties
from . import versions as version_properties
from . import window as window_state
from .added_models import AddedModels

__all__ = ["CLASSES", "SCHEMA", "attach", "detach"]


def _strength(name: str, description: str) -> Any:  # noqa: ANN401 - what Blender makes a property of
    """How much something counts that a model may be shown."""
    return FloatProperty(name=f"{name} Strength", description=description, min=0.0, max=2.0, default=0.5)


def _view_prompt(name: str, side: str) -> Any:  # noqa: ANN401
    """What one side is to be."""
    return StringProperty(
        name=name,
        description=f"What the {side} is to be, in place of the prompt; begin with + to add to it",
        maxlen=2000,
    )


class PGC_PG_scene(AddedModels, bpy.types.PropertyGroup):
    """What the next texture is to be."""

    schema: IntProperty()
    prompt: StringProperty(
        name="Prompt", description="What the texture is to be, such as: weathered red bricks", maxlen=2000
    )
    negative: StringProperty(name="Negative Prompt", description="What the texture is not to be", maxlen=2000)
    model: StringProperty(name="Model", description="The diffusion model that guides the texture", default="pocket")
    preset: EnumProperty(
        name="Quality", description="How many steps the texture takes", items=choices.PRESETS, default="standard"
    )
    steps: IntProperty(
        name="Steps", description="Number of steps; 0 leaves it to the quality", min=0, max=100_000, default=0
    )
    seed: IntProperty(name="Seed", description="The same seed gives the same texture again", min=0, default=0)
    lock_seed: BoolProperty(name="Lock Seed", description="Keep the seed. Unlocked, each texture takes the next one")
    variations: IntProperty(
        name="Variations",
        description="How many textures a click makes, each with the next seed. The first is shown, the rest wait as "
        "versions",
        min=1,
        max=8,
        default=1,
    )
    texture_size: EnumProperty(
        name="Texture Size", description="Side of the texture in pixels", items=choices.SIZES, default="512"
    )
    maps: EnumProperty(
        name="Maps",
        description="The maps to make",
        items=choices.MAP_ITEMS,
        options={"ENUM_FLAG"},
        default={"base_color"},
    )
    separate_slots: BoolProperty(
        name="Separate Slots",
        description="The object's material slots are different materials: nothing is blended across their borders",
    )
    loss: EnumProperty(
        name="Loss",
        description="How the model's judgement becomes a pull on the texture",
        items=methods.LOSSES,
        default="preset",
    )
    timesteps: EnumProperty(
        name="Noise",
        description="How much noise the model looks through as the texture grows",
        items=methods.SCHEDULES,
        default="preset",
    )
    noise: EnumProperty(
        name="Noise From", description="Where the noise of a view comes from", items=methods.NOISES, default="preset"
    )
    weighting: EnumProperty(
        name="Weighting",
        description="How much an amount of noise counts",
        items=methods.WEIGHTINGS,
        default="preset",
    )
    regulation: EnumProperty(
        name="Clipping", description="What bounds each pixel's pull", items=methods.REGULATIONS, default="preset"
    )
    use_clip: BoolProperty(name="Use Threshold", description="Choose the longest pull of a pixel")
    clip: FloatProperty(
        name="Threshold",
        description="The longest pull of a pixel; smaller is calmer and slower",
        min=0.001,
        soft_max=1.0,
        max=1000.0,
        default=0.1,
    )
    clip_norm: EnumProperty(
        name="Measured By", description="What of a pixel's pull is measured", items=methods.NORMS, default="preset"
    )
    use_clip_quantile: BoolProperty(name="Use Left Alone", description="Choose how many pixels are left alone")
    clip_quantile: FloatProperty(
        name="Left Alone",
        description="Share of the pixels that are not clipped",
        min=0.001,
        max=1.0,
        default=0.9,
        subtype="FACTOR",
    )
    use_guidance_rescale: BoolProperty(name="Use Rescale", description="Choose how far strong guidance is drawn back")
    guidance_rescale: FloatProperty(
        name="Rescale",
        description="How far the spread of a strongly guided prediction is drawn back; it calms colors",
        min=0.0,
        max=1.0,
        default=0.7,
        subtype="FACTOR",
    )
    use_latent_weight: BoolProperty(name="Use Encoder Weight", description="Choose how much the encoder's way counts")
    latent_weight: FloatProperty(
        name="Encoder Weight",
        description="How much the pull through the encoder counts, beside that of the picture",
        min=0.0,
        soft_max=10.0,
        max=1e6,
        default=0.3,
    )
    use_guidance_scale: BoolProperty(name="Use Guidance", description="Choose how far the prompt pulls")
    guidance_scale: FloatProperty(
        name="Guidance",
        description="How far the prompt pulls; much gives strong colors",
        min=0.0,
        soft_max=100.0,
        max=1000.0,
        default=7.5,
    )
    use_depth: BoolProperty(name="Depth", description="Show the model the shape of the mesh", default=True)
    use_depth_scale: BoolProperty(name="Use Depth Strength", description="Choose how much the shape counts")
    depth_scale: FloatProperty(
        name="Depth Strength", description="How much the shape of the mesh counts", min=0.0, max=2.0, default=1.0
    )
    encoder_gradient: EnumProperty(
        name="Encoder",
        description="How the model's pull comes back through its encoder",
        items=methods.GRADIENTS,
        default="preset",
    )
    texture_field: EnumProperty(
        name="Made of", description="What learns, and becomes the texture", items=methods.FIELDS, default="texels"
    )
    warm_start: EnumProperty(
        name="Warm Start",
        description="Whether views from all round are painted together before the first step",
        items=methods.WARM_STARTS,
        default="preset",
    )
    use_normal: BoolProperty(name="Normals", description="Show the model which way the surface faces")
    normal_scale: _strength("Normals", "How much the normals count")
    use_edges: BoolProperty(name="Edges", description="Show the model the edges of the mesh and of its materials")
    edges_scale: _strength("Edges", "How much the edges count")
    use_tile: BoolProperty(
        name="Texture So Far", description="Show the model the texture as it is, so that it stays close"
    )
    tile_scale: _strength("Texture So Far", "How much the texture as it is counts")
    use_shuffle: BoolProperty(
        name="Mixed Reference", description="Show the model the reference, with its parts mixed up"
    )
    shuffle_scale: _strength("Mixed Reference", "How much the mixed-up reference counts")
    reference: PointerProperty(
        type=bpy.types.Image,
        name="Reference",
        description="A picture whose colors the texture is to have; what is transparent does not count",
    )
    reference_scale: _strength("Reference", "How much the colors of the reference count")
    use_vertex_colors: BoolProperty(
        name="Start with Vertex Colors",
        description="The new texture grows out of the active color attribute, in place of gray",
    )
    front_prompt: _view_prompt("Front", "front")
    side_prompt: _view_prompt("Side", "left and the right")
    back_prompt: _view_prompt("Back", "back")
    overhead_prompt: _view_prompt("Overhead", "top")
    underside_prompt: _view_prompt("Underside", "bottom")
    use_start: BoolProperty(
        name="Start with What Is Shown",
        description="The new texture grows out of the one that the object shows, in place of gray",
    )
    strength: FloatProperty(
        name="Strength",
        description="How much of the texture that it starts from may change; 1 is all",
        min=0.01,
        max=1.0,
        default=0.5,
        subtype="FACTOR",
    )
    soft_edge: IntProperty(
        name="Soft Edge",
        description="Width in pixels of the band along a mask's border in which the new texture comes to meet the old",
        min=0,
        max=256,
        soft_max=64,
        default=8,
    )
    mask_anew: BoolProperty(
        name="Begin Anew",
        description="What the mask lets change begins from gray, in place of what is there",
    )
    shape: PointerProperty(type=shape_properties.PGC_PG_shape, name="Shape", description="What Refine Shape does")
    target: EnumProperty(name="Target", description="What gets the texture", items=choices.TARGETS, default="object")
    uv_map: StringProperty(name="UV Map", description="UV map to texture; empty takes the active one")
    cameras: EnumProperty(
        name="Cameras", description="From where the object is looked at", items=choices.CAMERAS, default="sphere"
    )
    rig: PointerProperty(
        type=bpy.types.Collection,
        name="Rig",
        description="Collection of the cameras to look from; move, add and delete them as you like",
    )


class PGC_PG_window(bpy.types.PropertyGroup):
    """What goes on now, to be read by scripts; never saved. `window` gives the values."""

    schema: IntProperty(default=SCHEMA)
    state: StringProperty(
        get=window_state.job_state, description="idle, uploading, queued, running, applying, held, done or failed"
    )
    message: StringProperty(get=window_state.message, description="What went wrong or well with the newest job")
    fix: StringProperty(get=window_state.fix, description="bl_idname of the operator that mends what went wrong")
    server: StringProperty(get=window_state.server, description="Name of the server, where one is connected")
    job: StringProperty(get=window_state.job, description="The server's name of the newest job")
    step: IntProperty(get=window_state.step)
    steps: IntProperty(get=window_state.steps)
    eta: FloatProperty(get=window_state.eta, description="Seconds left; -1: unknown")


CLASSES = (
    *job_properties.CLASSES,
    *version_properties.CLASSES,
    *shape_properties.CLASSES,
    PGC_PG_scene,
    PGC_PG_window,
)


def attach() -> None:
    """Puts the groups onto scenes, objects and the window manager."""
    bpy.types.Scene.pgc = PointerProperty(type=PGC_PG_scene)
    bpy.types.Object.pgc = PointerProperty(type=version_properties.PGC_PG_object, override=OVERRIDABLE)
    bpy.types.WindowManager.pgc = PointerProperty(type=PGC_PG_window)


def detach() -> None:
    """Takes the groups away from there."""
    del bpy.types.Scene.pgc, bpy.types.Object.pgc, bpy.types.WindowManager.pgc
