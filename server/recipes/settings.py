# SPDX-License-Identifier: Apache-2.0
"""Job spec to the settings of a run: prior, preset, and what the job overrides."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch

from blender_addon.protocol.errors import ErrorCode, invalid
from blender_addon.protocol.specs.job import NEW_UVS, GuidanceSpec, LightingSpec, RegulationSpec, TextureJobSpec
from pgc.distillation.build import DistillationConfig
from pgc.distillation.hifa import HiFAConfig
from pgc.distillation.sds import SDSConfig
from pgc.guidance.specs import GuidanceSpec as PriorSpec
from pgc.guidance.specs import OracleSpec, PocketSpec, parse_guidance
from pgc.maps import MapName, need_light
from pgc.optimization.gradient_regulation import BackpropagationConfig, PixelwiseClippingConfig, RegulationConfig
from pgc.runs.lit_settings import MaterialConfig
from pgc.runs.memory.plan import MemoryPlanner
from pgc.runs.presets import RunSettings, lit_prior, preset_settings, with_maps, with_overrides, with_separate_slots

__all__ = ["MODEL_KEYS", "check_supported", "memory_planner", "prior_spec", "run_settings"]

MODEL_KEYS = ("pocket", "sd15", "sd21", "sdxl", "oracle")
"""What `guidance.model` may be: keys, never paths or hub ids."""


def _texture_maps(spec: TextureJobSpec) -> tuple[MapName, ...]:
    """Return the maps of a texture as the library names them; a job for new UVs has none."""
    return tuple(name for name in spec.maps if name != NEW_UVS)


def check_supported(spec: TextureJobSpec) -> None:
    """Raises ProtocolError where a job asks for what the protocol has room for, but this version cannot do yet."""
    lit = need_light(_texture_maps(spec))
    if lit and spec.lighting.kind == "unlit":
        raise invalid(
            "lighting.kind", "Only light shows roughness, metallic and normal; leave 'unlit' or these maps out."
        )
    if not lit and spec.lighting.kind == "environments":
        raise invalid(
            "lighting.kind", "Base color alone is shown without light; leave it out, or ask for roughness too."
        )
    if spec.guidance.revision is not None:
        raise invalid("guidance.revision", "This server has one revision of each model; leave the revision out.")
    if spec.lock_mask and not spec.initial_texture:
        raise invalid("lock_mask", "A lock mask keeps texels of the initial texture; send that too.")
    if (spec.guidance.model == "oracle") != bool(spec.guidance.oracle_texture):
        raise invalid(
            "guidance.oracle_texture", "The oracle needs the texture that it is to know; no other prior does."
        )


def prior_spec(spec: TextureJobSpec) -> PriorSpec:
    """Returns the prior that a job names. Raises ProtocolError for a key that is none of ours."""
    key = spec.guidance.model
    if key not in MODEL_KEYS:
        # Checked here too: anything else that parse_guidance takes is a path or a hub id.
        raise invalid(
            "guidance.model", f"There is no model {key!r}; known are {', '.join(MODEL_KEYS)}.", ErrorCode.MODEL_MISSING
        )
    prior = lit_prior(parse_guidance(key)) if need_light(_texture_maps(spec)) else parse_guidance(key)
    conditions = spec.conditions
    if isinstance(prior, OracleSpec):
        return prior
    scale = conditions.depth_scale if conditions.depth_scale is not None else prior.run.control_scale
    if conditions.depth:
        return replace(prior, run=replace(prior.run, control_scale=scale))
    if isinstance(prior, PocketSpec):
        return replace(prior, run=replace(prior.run, control_scale=0.0))
    return replace(prior, controlnet=None)


def run_settings(spec: TextureJobSpec) -> RunSettings:
    """Returns the preset with what the job overrides. Raises ConfigError for values out of range."""
    prior, given = prior_spec(spec), spec.settings
    texture_size = given.texture_size
    if texture_size is None and spec.initial_texture:
        # As the command line: a run that starts from a texture keeps its size unless told otherwise.
        texture_size = spec.initial_texture[0].array.shape[0]
    settings = with_overrides(
        preset_settings(given.preset, prior),
        steps=given.steps,
        views=given.views,
        resolution=given.resolution,
        texture_size=texture_size,
        seed=given.seed,
    )
    distillation = _distillation(spec.distillation.kind, spec.guidance, settings.optimize.distillation)
    regulation = _regulation(spec.regulation, settings.optimize.regulation)
    optimize = replace(settings.optimize, distillation=distillation, regulation=regulation)
    settings = with_maps(replace(settings, optimize=optimize), prior, _texture_maps(spec))
    if settings.material is not None:
        settings = replace(settings, material=_lit(spec.lighting, settings.material))
    if given.separate_slots:
        settings = with_separate_slots(settings)
    return settings


def memory_planner(spec: TextureJobSpec, device: torch.device) -> MemoryPlanner:
    """Returns the planner of a job's memory on a device. Raises as `prior_spec` and `run_settings`."""
    return MemoryPlanner(spec=prior_spec(spec), settings=run_settings(spec), device=device)


def _lit(given: LightingSpec, preset: MaterialConfig) -> MaterialConfig:
    lighting = preset.lighting
    lighting = replace(
        lighting,
        rotate=lighting.rotate if given.rotate is None else given.rotate,
        exposure=lighting.exposure if given.exposure is None else given.exposure,
    )
    if not given.environments:
        return replace(preset, lighting=lighting)
    # Who names environments means these, and no others beside them.
    return replace(preset, lighting=lighting, environments=given.environments, drawn=0)


def _distillation(
    kind: Literal["preset", "sds", "hifa"], guidance: GuidanceSpec, preset: DistillationConfig
) -> DistillationConfig:
    config = preset
    if kind == "sds" and not isinstance(preset, SDSConfig):
        config = SDSConfig(guidance_scale=preset.guidance_scale, timestep=preset.timestep)
    elif kind == "hifa" and not isinstance(preset, HiFAConfig):
        config = HiFAConfig(guidance_scale=preset.guidance_scale, timestep=preset.timestep)
    scale = guidance.guidance_scale
    return config if scale is None else replace(config, guidance_scale=scale)


def _regulation(given: RegulationSpec, preset: RegulationConfig) -> RegulationConfig:
    if given.kind == "none":
        return BackpropagationConfig(loss_scale=preset.loss_scale)
    if given.kind == "preset" and not isinstance(preset, PixelwiseClippingConfig):
        return preset
    config = preset if isinstance(preset, PixelwiseClippingConfig) else PixelwiseClippingConfig()
    threshold = config.threshold if given.threshold is None else given.threshold
    return replace(config, threshold=threshold, norm=given.norm or config.norm)
