# SPDX-License-Identifier: Apache-2.0
"""From a configuration to its loss, and from a loss's name to its configuration."""

from typing import Literal, assert_never

from pgc.distillation.base import DistillationLoss
from pgc.distillation.bgt import BGTConfig, BGTLoss
from pgc.distillation.csd import CSDConfig, CSDLoss
from pgc.distillation.hifa import HiFAConfig, HiFALoss
from pgc.distillation.sds import SDSConfig, SDSLoss
from pgc.distillation.ssd import SSDConfig, SSDLoss

__all__ = ["DistillationConfig", "DistillationName", "build_distillation", "distillation_named"]

DistillationConfig = SDSConfig | CSDConfig | SSDConfig | HiFAConfig | BGTConfig
DistillationName = Literal["sds", "csd", "ssd", "hifa", "bgt"]


def build_distillation(config: DistillationConfig) -> DistillationLoss:
    """Builds the loss that a configuration describes."""
    match config:
        case SDSConfig():
            return SDSLoss(config)
        case CSDConfig():
            return CSDLoss(config)
        case SSDConfig():
            return SSDLoss(config)
        case HiFAConfig():
            return HiFALoss(config)
        case BGTConfig():
            return BGTLoss(config)


def _config_type(name: DistillationName) -> type[DistillationConfig]:
    match name:
        case "sds":
            return SDSConfig
        case "csd":
            return CSDConfig
        case "ssd":
            return SSDConfig
        case "hifa":
            return HiFAConfig
        case "bgt":
            return BGTConfig
        case _:
            assert_never(name)


def distillation_named(name: DistillationName, preset: DistillationConfig) -> DistillationConfig:
    """Returns the preset where it is of this loss; else this loss as its paper sets it.

    A scale or timesteps of another loss are not carried over: 100 is for score distillation and spoils a sampling, and
    some losses start from more noise than others ever see.
    """
    kind = _config_type(name)
    return preset if isinstance(preset, kind) else kind()
