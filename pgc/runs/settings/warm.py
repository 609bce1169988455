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
from pgc.guidance.specs import FluxSpec, GuidanceSpec, OracleSpec, PocketSpec, SD3Spec, ZImageSpec
from pgc.maps import complete_maps, need_light
from pgc.optimization.config import OptimizeConfig
from pgc.optimization.warm_start_config import WarmStartConfig
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.lit import MaterialConfig

__all__ = ["starts_warm", "steps_from_texture", "warm_material", "warm_optimize"]

_POCKET_SAMPLER_STEPS = 6
_POCKET_STEPS = 70
"""Of the built-in prior after a warm start: with fewer, dots stay uneven."""
_POCKET_RATES = (0.03, 0.1)
"""Its learning rate then, and what is left of it at the end. At the usual 0.05 such a run ends in coloured blotches."""
_POCKET_NOISE = (0.5, 0.12)
"""Where its timesteps begin and end then."""
_POCKET_AVERAGE = 0.6
_POCKET_LIT_STEPS = 100
"""Where there are maps that only light shows: these have their whole way to go, as after no warm start."""
_POCKET_LIT_RATES = (0.03, 0.3)
"""Base colour goes slowly, so that it stays what was painted."""
_POCKET_LIT_NOISE = (0.7, 0.15)
"""These maps begin undecided, and only much noise decides them: from 0.5, which suits base colour, wet stone stayed
rough. From 0.85, as without a warm start, there were patches of metal on it."""
_STEPS, _LIT_STEPS = 150, 300
"""Of all other priors; an estimate, as no card has run them yet."""


def starts_warm(choices: RunChoices, spec: GuidanceSpec) -> bool:
    """Says whether a run begins with a warm start: as it was chosen; else where there can be one, and no method was
    chosen that is to be seen as it is.

    From gray, Stable Diffusion XL is asked 2,800 times: an hour on the fastest cards at home, a working day on others.

    Not by itself where some of a start texture is to stay: its sampler paints what views of the prior's size show, and
    that is less sharp than what was there.

    Raises:
        ConfigError: a warm start was chosen where there can be none.
    """
    if choices.warm_start:
        if choices.texture_field == "hashgrid":
            raise ConfigError("A warm start paints texels, and the hash grid has none; leave --warm-start or --field.")
        return True
    # The oracle is for measuring distillation.
    new = choices.strength is None or choices.strength >= 1.0
    return choices.warm_start is None and new and _is_plain(choices) and not isinstance(spec, OracleSpec)


def steps_from_texture(steps: int, spec: GuidanceSpec, choices: RunChoices, scale: float) -> int:
    """Returns how many steps a run takes of which `choices.strength` says how much of a texture may change.

    As image-to-image pipelines do, so many fewer as less may change: even little noise replaces all where it is looked
    through often enough. What is there already is no gray, so that big models need no more than after a warm start.

    Args:
        steps: of a run from gray.
        spec: the prior.
        choices: what was chosen.
        scale: of the preset on the number of steps.
    """
    if _is_plain(choices) and not isinstance(spec, PocketSpec | OracleSpec):
        steps = min(steps, round((_LIT_STEPS if _is_lit(choices) else _STEPS) * scale))
    return max(1, round(steps * (choices.strength or 1.0)))


def _is_plain(choices: RunChoices) -> bool:
    """Whether no method was chosen that is to be seen as it is."""
    chosen = (choices.distillation, choices.latent_weight, choices.timesteps, choices.noise)
    return choices.texture_field != "hashgrid" and all(choice is None for choice in chosen)


def _is_lit(choices: RunChoices) -> bool:
    return need_light(complete_maps(choices.maps or ("base_color",)))


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
    distillation, lit = optimize.distillation, _is_lit(choices)
    sampler_steps = _POCKET_SAMPLER_STEPS if isinstance(spec, PocketSpec) else usual.steps
    warm = WarmStartConfig(
        steps=max(1, round(sampler_steps * strength)),
        most_noise=usual.most_noise * strength,
        guidance_scale=_sampling_scale(spec, distillation.guidance_scale),
        focal=sum(lens.focal) / 2,
        distance=sum(lens.distance) / 2,
    )
    if choices.timesteps is None:
        little: TimestepConfig = UniformTimestepConfig(minimum=0.02, maximum=0.3)
        if isinstance(distillation, HiFAConfig):
            start, end = _POCKET_LIT_NOISE if lit else _POCKET_NOISE
            little = AnnealedTimestepConfig(start=start, end=end, power=0.75)
        distillation = replace(distillation, timestep=timesteps_for_strength(little, strength))
    steps = optimize.steps
    if choices.steps is None:
        own = (_POCKET_STEPS, _POCKET_LIT_STEPS) if isinstance(spec, PocketSpec) else (_STEPS, _LIT_STEPS)
        steps = max(1, round(own[lit] * scale * strength))
    if isinstance(spec, PocketSpec):
        rate, final = _POCKET_LIT_RATES if lit else _POCKET_RATES
        optimize = replace(optimize, learning_rate=rate, final_learning_rate=final, average_from=_POCKET_AVERAGE)
    return replace(optimize, warm_start=warm, steps=steps, distillation=distillation)


def warm_material(material: MaterialConfig, before: OptimizeConfig, after: OptimizeConfig) -> MaterialConfig:
    """Lets roughness, metallic and relief go as fast as without a warm start, which paints nothing of them.

    Args:
        material: of a run without one.
        before: the loop's settings without one.
        after: the same with one.
    """
    faster = before.learning_rate / after.learning_rate
    fields = material.fields
    roughness, metallic, slope = (
        replace(one, rate=one.rate * faster) for one in (fields.roughness, fields.metallic, fields.slope)
    )
    return replace(material, fields=replace(fields, roughness=roughness, metallic=metallic, slope=slope))


def _sampling_scale(spec: GuidanceSpec, of_distillation: float) -> float:
    """The scale of guidance for samples. What serves score distillation burns them; the built-in prior has one scale
    for both."""
    match spec:
        case PocketSpec() | OracleSpec():
            return of_distillation
        case FluxSpec():
            # Distilled to need none; dev is told its own beside it.
            return 1.0
        case SD3Spec():
            # This and the next as the models' own pages say.
            return 4.5
        case ZImageSpec():
            return 4.0
        case _:
            return WarmStartConfig().guidance_scale
