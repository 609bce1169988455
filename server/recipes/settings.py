# SPDX-License-Identifier: Apache-2.0
"""Job spec to the settings of a run: prior, preset, and what the job overrides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import torch

from blender_addon.protocol.errors import ErrorCode, invalid
from blender_addon.protocol.specs.camera import CameraSamplerSpec
from blender_addon.protocol.specs.job import NEW_SHAPE, NEW_UVS, TextureJobSpec
from blender_addon.protocol.specs.method import ConditionsSpec
from pgc.guidance.base import Guidance
from pgc.guidance.control_specs import ControlWindow, ControlWish
from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.guidance.specs import GuidanceSpec, parse_guidance
from pgc.maps import MapName
from pgc.runs.memory.plan import MemoryPlanner
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.presets import RunSettings, resolve

__all__ = ["MODEL_KEYS", "NAMED", "Load", "PriorSpec", "memory_planner", "named_prior", "resolved"]

PriorSpec = GuidanceSpec | Zero123Spec
"""What a job's prior is loaded from: one of textures, or one that sees a picture."""
Load = Callable[[PriorSpec, torch.device], Guidance]
"""Loads a prior, or has it already."""

NAMED = "named:"
"""Before the name of what the server's owner has named, where the library has a path: reports tell that."""
MODEL_KEYS = ("pocket", "sd15", "sd21", "sdxl", "sd35", "flux", "z-image", "oracle")
"""What `guidance.model` may be: keys, never paths or hub ids."""


def _texture_maps(spec: TextureJobSpec) -> tuple[MapName, ...]:
    """Return the maps of a texture as the library names them; a job for new UVs or a new shape has none."""
    return tuple(name for name in spec.maps if name != NEW_UVS and name != NEW_SHAPE)


def _choices(spec: TextureJobSpec) -> RunChoices:
    """Returns what the job chooses, as the library names it."""
    given, light, loss, regulation = spec.settings, spec.lighting, spec.distillation, spec.regulation
    texture_size = given.texture_size
    if texture_size is None and spec.initial_texture:
        # As the command line: a run that starts from a texture keeps its size unless told otherwise.
        texture_size = spec.initial_texture[0].array.shape[0]
    same: dict[str, Any] = {item.name: getattr(given, item.name) for item in fields(given)}
    same["texture_size"] = texture_size
    return RunChoices(
        **same,
        maps=_texture_maps(spec),
        guidance_scale=spec.guidance.guidance_scale,
        distillation=None if loss.kind == "preset" else loss.kind,
        guidance_rescale=loss.guidance_rescale,
        timesteps=None if loss.timesteps == "preset" else loss.timesteps,
        noise=None if loss.noise == "preset" else loss.noise,
        weighting=None if loss.weighting == "preset" else loss.weighting,
        encoder_gradient=None if loss.encoder_gradient == "preset" else loss.encoder_gradient,
        latent_weight=loss.latent_weight,
        regulation=None if regulation.kind == "preset" else regulation.kind,
        clip_threshold=regulation.threshold,
        clip_norm=regulation.norm,
        clip_quantile=regulation.quantile,
        depth=spec.conditions.depth if not spec.conditions.controls else None,
        depth_scale=spec.conditions.depth_scale,
        reference_scale=_pull(spec.conditions),
        rig=spec.cameras.sampler if isinstance(spec.cameras, CameraSamplerSpec) else None,
        controls=_controls(spec.conditions),
        control_models={one.kind: f"{NAMED}{one.model}" for one in spec.conditions.controls if one.model} or None,
        rotate_light=light.rotate,
        exposure=light.exposure,
        environments=light.environments or None,
    )


def _pull(given: ConditionsSpec) -> float | None:
    """How much a reference's colours pull: not where an IP-Adapter looks at it (`server.recipes.added`)."""
    return None if given.reference is None or given.reference.adapter else given.reference.scale


def _controls(given: ConditionsSpec) -> tuple[str, ...] | None:
    wishes = [
        ControlWish(kind=one.kind, scale=one.scale, window=ControlWindow(start=one.start, end=one.end, over=one.over))
        for one in given.controls
    ]
    return tuple(str(wish) for wish in wishes) or None


def named_prior(spec: TextureJobSpec) -> GuidanceSpec:
    """Returns the prior that a job names.

    Raises:
        ProtocolError: it is none of ours.
    """
    key = spec.guidance.model
    if key not in MODEL_KEYS:
        # Checked here too: anything else that parse_guidance takes is a path or a hub id.
        raise invalid(
            "guidance.model", f"There is no model {key!r}; known are {', '.join(MODEL_KEYS)}.", ErrorCode.MODEL_MISSING
        )
    return parse_guidance(key)


def resolved(spec: TextureJobSpec) -> tuple[GuidanceSpec, RunSettings]:
    """Returns the prior that a job names, and the preset with what the job overrides.

    Raises:
        ProtocolError: the model is none of ours.
        ConfigError: a value is out of range.
    """
    prior = named_prior(spec)
    return resolve(_choices(spec), prior)


def memory_planner(spec: TextureJobSpec, device: torch.device) -> MemoryPlanner:
    """Returns the planner of a job's memory on a device. Raises as `resolved`."""
    prior, settings = resolved(spec)
    return MemoryPlanner(spec=prior, settings=settings, device=device)
