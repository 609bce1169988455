# SPDX-License-Identifier: Apache-2.0
"""From what a person chose of the method to the loop's settings: which loss, and what regulates its gradient."""

from __future__ import annotations

from dataclasses import fields, replace

from pgc.distillation.build import DistillationConfig, build_distillation, distillation_named
from pgc.errors import ConfigError
from pgc.gradient_regulation.build import RegulationConfig, regulation_named
from pgc.optimization.config import OptimizeConfig
from pgc.runs.settings.choices import RunChoices

__all__ = ["chosen_method"]


def chosen_method(choices: RunChoices, preset: OptimizeConfig) -> OptimizeConfig:
    """Returns the preset's settings with the chosen loss and regulation.

    Raises:
        ConfigError: a choice belongs to another loss or regulation than the one that runs.
    """
    distillation = _distillation(choices, preset.distillation)
    updates = preset.updates
    if updates > 1 and not build_distillation(distillation).has_image_target:
        # Several updates a step go towards one picture; this loss has none, and nobody asked for several.
        updates = 1
    return replace(
        preset, distillation=distillation, regulation=_regulation(choices, preset.regulation), updates=updates
    )


def _distillation(choices: RunChoices, preset: DistillationConfig) -> DistillationConfig:
    config = preset if choices.distillation is None else distillation_named(choices.distillation, preset)
    scale = choices.guidance_scale
    return config if scale is None else replace(config, guidance_scale=scale)


def _regulation(choices: RunChoices, preset: RegulationConfig) -> RegulationConfig:
    name = choices.regulation
    config = preset if name is None else regulation_named(name)
    if type(config) is type(preset) and name not in ("global", "sigmoid", "soft"):
        config = preset
    wishes = {"threshold": ("--clip", choices.clip_threshold), "norm": ("--clip-norm", choices.clip_norm)}
    known = {item.name for item in fields(config)}
    for setting, (option, value) in wishes.items():
        if value is None:
            continue
        if setting not in known:
            raise ConfigError(
                f"{option} is {value}, but the regulation {name or type(config).__name__!r} has no {setting}; "
                "leave one of the two away."
            )
        config = replace(config, **{setting: value})
    return config
