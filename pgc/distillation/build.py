# SPDX-License-Identifier: Apache-2.0
"""From a configuration to its loss."""

from pgc.distillation.base import DistillationLoss
from pgc.distillation.hifa import HiFAConfig, HiFALoss
from pgc.distillation.sds import SDSConfig, SDSLoss

__all__ = ["DistillationConfig", "build_distillation"]

DistillationConfig = SDSConfig | HiFAConfig


def build_distillation(config: DistillationConfig) -> DistillationLoss:
    """Builds the loss that a configuration describes."""
    match config:
        case SDSConfig():
            return SDSLoss(config)
        case HiFAConfig():
            return HiFALoss(config)
