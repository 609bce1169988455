# SPDX-License-Identifier: Apache-2.0
"""From a configuration of random cameras to its sampler, and from a name that a person may choose to one."""

from __future__ import annotations

from typing import Literal, assert_never

from pgc.cameras.sampling import (
    CameraSampler,
    PaperCameraSampler,
    PaperSamplerConfig,
    SphereCameraSampler,
    SphereSamplerConfig,
)
from pgc.cameras.staged import CloseUpCameraSampler, CloseUpSamplerConfig, StagedCameraSampler, StagedSamplerConfig

__all__ = ["CamerasConfig", "RigName", "build_cameras", "cameras_named"]

CamerasConfig = SphereSamplerConfig | PaperSamplerConfig | StagedSamplerConfig | CloseUpSamplerConfig
RigName = Literal["sphere", "paper", "stages", "close-ups"]


def build_cameras(config: CamerasConfig) -> CameraSampler:
    """Builds the sampler that a configuration describes."""
    match config:
        case SphereSamplerConfig():
            return SphereCameraSampler(config)
        case PaperSamplerConfig():
            return PaperCameraSampler(config)
        case StagedSamplerConfig():
            return StagedCameraSampler(config)
        case CloseUpSamplerConfig():
            return CloseUpCameraSampler(config)


def cameras_named(name: RigName, preset: CamerasConfig) -> CamerasConfig:
    """Returns the cameras of this name: "sphere" and "close-ups" with a preset's lens, the paper's with its own."""
    match name:
        case "sphere":
            return preset if isinstance(preset, SphereSamplerConfig) else SphereSamplerConfig()
        case "paper":
            return PaperSamplerConfig()
        case "stages":
            return StagedSamplerConfig()
        case "close-ups":
            around = preset if isinstance(preset, SphereSamplerConfig) else SphereSamplerConfig()
            return CloseUpSamplerConfig(around=around)
        case _:
            assert_never(name)
