# SPDX-License-Identifier: Apache-2.0
"""From what a person chose of the method to the loop's settings: which loss, and what regulates its gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TypeVar

from pgc.distillation.build import DistillationConfig, distillation_named, has_image_target
from pgc.distillation.hifa import HiFAConfig
from pgc.distillation.noise.sources import noise_named
from pgc.distillation.timestep import timesteps_for_strength, timesteps_named
from pgc.distillation.weighting import WeightingConfig
from pgc.errors import ConfigError
from pgc.gradient_regulation.build import RegulationConfig, regulation_named
from pgc.gradient_regulation.pixelwise_clipping import PixelwiseClippingConfig
from pgc.maps import complete_maps, need_light
from pgc.optimization.config import EncoderGradientConfig, LinearGradientConfig, OptimizeConfig
from pgc.runs.settings.choices import RunChoices

__all__ = ["chosen_method"]


def chosen_method(choices: RunChoices, preset: OptimizeConfig) -> OptimizeConfig:
    """Returns the preset's settings with the chosen loss and regulation.

    Raises:
        ConfigError: a choice belongs to another loss or regulation than the one that runs.
    """
    distillation = _distillation(choices, preset.distillation)
    updates = preset.updates
    if updates > 1 and not has_image_target(distillation):
        # Several updates a step go towards one picture; this loss has none, and nobody asked for several.
        updates = 1
    through = preset.encoder_gradient
    if choices.encoder_gradient is not None:
        through = LinearGradientConfig() if choices.encoder_gradient == "linear" else EncoderGradientConfig()
    # An IP-Adapter takes the scale for itself, and so does the view.
    by = "ip-adapter" if choices.ip_adapter is not None else choices.reference_by
    pull = None if by in ("ip-adapter", "view") else choices.reference_scale
    front = choices.reference_scale if by == "view" else None
    if (pull or front) and need_light(complete_maps(choices.maps or ("base_color",))):
        raise ConfigError("A reference is for base colour alone: light would tint its colours. Leave other maps away.")
    likeness = preset.likeness_scale if pull is None else pull
    preset = replace(preset, likeness_scale=likeness, front_scale=preset.front_scale if front is None else front)
    return replace(
        preset,
        distillation=distillation,
        regulation=_regulation(choices, preset.regulation),
        encoder_gradient=through,
        updates=updates,
    )


def _distillation(choices: RunChoices, preset: DistillationConfig) -> DistillationConfig:
    name = choices.distillation
    config = preset if name is None else distillation_named(name, preset)
    timesteps = None if choices.timesteps is None else timesteps_named(choices.timesteps)
    wishes = {
        "guidance_scale": ("--guidance-scale", choices.guidance_scale),
        "guidance_rescale": ("--guidance-rescale", choices.guidance_rescale),
        "timestep": ("--timesteps", timesteps),
        "noise": ("--noise", None if choices.noise is None else noise_named(choices.noise)),
        "weighting": ("--weighting", None if choices.weighting is None else WeightingConfig(kind=choices.weighting)),
        "latent_weight": ("--latent-weight", choices.latent_weight),
    }
    found = _with(config, f"loss {type(config).__name__.removesuffix('Config')}", wishes)
    ways = {"--weighting": choices.weighting, "--encoder-gradient": choices.encoder_gradient}
    for option, value in ways.items():
        if value is not None and isinstance(found, HiFAConfig) and found.latent_weight == 0:
            raise ConfigError(
                f"{option} is given ({value}), but it is about the gradient through the encoder, which this run does "
                "not use; give --latent-weight as well, or leave it away."
            )
    if choices.strength is None:
        return found
    return replace(found, timestep=timesteps_for_strength(found.timestep, choices.strength))


def _regulation(choices: RunChoices, preset: RegulationConfig) -> RegulationConfig:
    name = choices.regulation
    config = preset if name is None else regulation_named(name)
    if isinstance(config, PixelwiseClippingConfig) and isinstance(preset, PixelwiseClippingConfig):
        # The preset's threshold goes with its loss.
        config = preset
    wishes = {
        "threshold": ("--clip", choices.clip_threshold),
        "norm": ("--clip-norm", choices.clip_norm),
        "quantile": ("--clip-quantile", choices.clip_quantile),
    }
    return _with(config, f"regulation {name or type(config).__name__.removesuffix('Config')}", wishes)


_Config = TypeVar("_Config", bound="DistillationConfig | RegulationConfig")


def _with(config: _Config, what: str, wishes: Mapping[str, tuple[str, object]]) -> _Config:
    """Returns the configuration with what was wished for: by setting, the option's name and its value."""
    known = {item.name for item in fields(config)}
    wanted = {setting: wish for setting, wish in wishes.items() if wish[1] is not None}
    for setting, (option, value) in wanted.items():
        if setting not in known:
            raise ConfigError(
                f"{option} is given ({value}), but the {what} has no such setting; leave one of the two away."
            )
    return replace(config, **{setting: value for setting, (_, value) in wanted.items()})
