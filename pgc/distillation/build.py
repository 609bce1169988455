# SPDX-License-Identifier: Apache-2.0
"""From a configuration to its loss, and from a loss's name to its configuration."""

from typing import Literal, assert_never

from pgc.distillation.base import DistillationLoss
from pgc.distillation.hifa import HiFAConfig, HiFALoss
from pgc.distillation.sds import SDSConfig, SDSLoss

__all__ = ["DistillationConfig", "DistillationName", "build_distillation", "distillation_named"]

DistillationConfig = SDSConfig | HiFAConfig
DistillationName = Literal["sds", "hifa"]


def build_distillation(config: DistillationConfig) -> DistillationLoss:
    """Builds the loss that a configuration describes."""
    match config:
        case SDSConfig():
            return SDSLoss(config)
        case HiFAConfig():
            return HiFALoss(config)


def distillation_named(name: DistillationName, preset: DistillationConfig) -> DistillationConfig:
    """Returns the preset where it is of this loss; else this loss with the preset's guidance scale and timesteps."""
    match name:
        case "sds":
            kind = SDSConfig
        case "hifa":
            kind = HiFAConfig
        case _:
            assert_never(name)
    if isinstance(preset, kind):
        return preset
    return kind(guidance_scale=preset.guidance_scale, timestep=preset.timestep)
