# SPDX-License-Identifier: Apache-2.0
"""From a configuration to its loss, and from a loss's name to its configuration."""

from dataclasses import replace
from typing import Literal, assert_never

from pgc.distillation.base import DistillationLoss
from pgc.distillation.bgt import BGTConfig, BGTLoss
from pgc.distillation.csd import CSDConfig, CSDLoss
from pgc.distillation.hifa import HiFAConfig, HiFALoss
from pgc.distillation.ism import ISMConfig, ISMLoss
from pgc.distillation.noise.sources import SurfaceNoiseConfig
from pgc.distillation.rfds import RFDSConfig, RFDSLoss
from pgc.distillation.sdi import SDIConfig, SDILoss
from pgc.distillation.sds import SDSConfig, SDSLoss
from pgc.distillation.ssd import SSDConfig, SSDLoss
from pgc.distillation.vsd import VSDConfig, VSDLoss
from pgc.errors import ConfigError
from pgc.guidance.base import Guidance, Trainable
from pgc.guidance.oracle import ConvolutionEncoderConfig, OracleGuidance

__all__ = ["DistillationConfig", "DistillationName", "build_distillation", "distillation_named", "has_image_target"]

DistillationConfig = (
    SDSConfig | CSDConfig | SSDConfig | HiFAConfig | BGTConfig | ISMConfig | SDIConfig | VSDConfig | RFDSConfig
)
DistillationName = Literal["sds", "csd", "ssd", "hifa", "bgt", "ism", "sdi", "vsd", "rfds"]


def build_distillation(
    config: DistillationConfig, guidance: Guidance | None = None, *, seed: int = 0
) -> DistillationLoss:
    """Builds the loss that a configuration describes.

    Args:
        config: which loss, and its settings.
        guidance: the prior that it will ask; a loss that learns trains a part of it.
        seed: the run's, for noise that stays on the surface and for what a learning loss starts from.

    Raises:
        ConfigError: the prior cannot serve this loss.
    """
    _check_served(config, guidance)
    config = _with_run_seed(config, seed)
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
        case ISMConfig():
            return ISMLoss(config)
        case SDIConfig():
            return SDILoss(config)
        case RFDSConfig():
            return RFDSLoss(config)
        case VSDConfig():
            return VSDLoss(config, _trainable(guidance), seed=seed)


def _with_run_seed(config: DistillationConfig, seed: int) -> DistillationConfig:
    noise = config.noise
    if isinstance(noise, SurfaceNoiseConfig):
        return replace(config, noise=replace(noise, seed=noise.seed + seed))
    return config


def _trainable(guidance: Guidance | None) -> Trainable:
    if isinstance(guidance, Trainable):
        return guidance
    name = "this run" if guidance is None else guidance.name
    raise ConfigError(
        f"distillation is vsd, which trains a part of the prior's network, but {name} has none; use a diffusion model, "
        "or another loss."
    )


def _check_served(config: DistillationConfig, guidance: Guidance | None) -> None:
    if isinstance(config, RFDSConfig) and guidance is not None and guidance.prediction_type != "velocity":
        raise ConfigError(
            f"distillation is rfds, whose prior says velocities of a straight flow, but {guidance.name} predicts "
            f"{guidance.prediction_type}; use sds, or a flow model (sd35, flux, z-image)."
        )
    if not isinstance(guidance, OracleGuidance) or not isinstance(guidance.config.encoder, ConvolutionEncoderConfig):
        return
    if has_image_target(config):
        raise ConfigError(
            f"distillation is {config.kind}, which compares pictures, but the latents of the oracle's convolution "
            "encoder cannot be decoded; use its identity encoder, or another loss."
        )


def has_image_target(config: DistillationConfig) -> bool:
    """Says whether the loss gives a picture that several updates can go towards, as the loss itself says when built."""
    return isinstance(config, BGTConfig) or (isinstance(config, HiFAConfig) and config.image_weight > 0)


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
        case "ism":
            return ISMConfig
        case "sdi":
            return SDIConfig
        case "vsd":
            return VSDConfig
        case "rfds":
            return RFDSConfig
        case _:
            assert_never(name)


def distillation_named(name: DistillationName, preset: DistillationConfig) -> DistillationConfig:
    """Returns the preset where it is of this loss; else this loss as its paper sets it.

    A scale or timesteps of another loss are not carried over: 100 is for score distillation and spoils a sampling, and
    some losses start from more noise than others ever see.
    """
    kind = _config_type(name)
    return preset if isinstance(preset, kind) else kind()
