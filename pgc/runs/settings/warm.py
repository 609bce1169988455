# SPDX-License-Identifier: Apache-2.0
"""Runs that begin with a warm start: who gets one, and what is left for distillation then."""

from __future__ import annotations

from dataclasses import replace

from pgc.cameras.named import CamerasConfig
from pgc.cameras.sampling import SphereSamplerConfig
from pgc.cameras.staged import CloseUpSamplerConfig
from pgc.distillation.hifa import HiFAConfig
from pgc.distillation.timestep import (
    AnnealedTimestepConfig,
    TimestepConfig,
    UniformTimestepConfig,
    timesteps_for_strength,
)
from pgc.errors import ConfigError
from pgc.guidance.specs import GuidanceSpec, OracleSpec, PocketSpec
from pgc.maps import complete_maps, need_light
from pgc.optimization.config import OptimizeConfig
from pgc.optimization.warm_start_config import WarmStartConfig
from pgc.runs.settings.choices import RunChoices

__all__ = ["starts_warm", "warm_optimize"]

_POCKET_SAMPLER_STEPS = 6
_POCKET_STEPS = 70
"""Of the built-in prior after a warm start: with fewer, dots stay uneven."""
_POCKET_RATES = (0.03, 0.1)
"""Its learning rate then, and what is left of it at the end. At the usual 0.05 such a run ends in coloured blotches."""
_POCKET_AVERAGE = 0.6
_STEPS = 150
"""Of all other priors; an estimate, as no card has run them yet."""


def starts_warm(choices: RunChoices, spec: GuidanceSpec) -> bool:
    """Says whether a run begins with a warm start: as it was chosen; else where it was shown to serve, and no method
    was chosen that is to be seen as it is.

    Not by itself where some of a start texture is to stay: its sampler paints what views of the prior's size show, and
    that is less sharp than what was there.

    Raises:
        ConfigError: a warm start was chosen where there can be none.
    """
    lit = need_light(complete_maps(choices.maps or ("base_color",)))
    if choices.warm_start:
        if choices.texture_field == "hashgrid":
            raise ConfigError("A warm start paints texels, and the hash grid has none; leave --warm-start or --field.")
        if lit:
            raise ConfigError("A warm start paints base colour alone; leave --warm-start or the other maps away.")
        return True
    chosen = (choices.warm_start, choices.distillation, choices.timesteps, choices.noise)
    plain = choices.texture_field != "hashgrid" and not lit and all(choice is None for choice in chosen)
    return isinstance(spec, PocketSpec) and plain and (choices.strength is None or choices.strength >= 1.0)


def warm_optimize(
    optimize: OptimizeConfig, spec: GuidanceSpec, choices: RunChoices, cameras: CamerasConfig, scale: float
) -> OptimizeConfig:
    """Returns the loop's settings with a warm start, and as much distillation behind it as its picture needs.

    Args:
        optimize: without one, but with the chosen method.
        spec: the prior.
        choices: what was chosen; its numbers stay.
        cameras: of the run; the warm start has their lens.
        scale: of the preset on the number of steps.
    """
    strength = 1.0 if choices.strength is None else choices.strength
    usual, around = WarmStartConfig(), cameras.around if isinstance(cameras, CloseUpSamplerConfig) else cameras
    lens = around if isinstance(around, SphereSamplerConfig) else SphereSamplerConfig()
    distillation, of_prior = optimize.distillation, isinstance(spec, PocketSpec | OracleSpec)
    sampler_steps = _POCKET_SAMPLER_STEPS if isinstance(spec, PocketSpec) else usual.steps
    warm = WarmStartConfig(
        steps=max(1, round(sampler_steps * strength)),
        most_noise=usual.most_noise * strength,
        # The built-in prior distils with the scale that it samples with; what serves SDS burns samples.
        guidance_scale=distillation.guidance_scale if of_prior else usual.guidance_scale,
        focal=sum(lens.focal) / 2,
        distance=sum(lens.distance) / 2,
    )
    if choices.timesteps is None:
        little: TimestepConfig = UniformTimestepConfig(minimum=0.02, maximum=0.3)
        if isinstance(distillation, HiFAConfig):
            little = AnnealedTimestepConfig(start=0.5, end=0.12, power=0.75)
        distillation = replace(distillation, timestep=timesteps_for_strength(little, strength))
    steps = optimize.steps
    if choices.steps is None:
        steps = _POCKET_STEPS if isinstance(spec, PocketSpec) else min(_STEPS, steps)
        steps = max(1, round(steps * scale * strength))
    if isinstance(spec, PocketSpec):
        optimize = replace(
            optimize, learning_rate=_POCKET_RATES[0], final_learning_rate=_POCKET_RATES[1], average_from=_POCKET_AVERAGE
        )
    return replace(optimize, warm_start=warm, steps=steps, distillation=distillation)
