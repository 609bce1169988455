# SPDX-License-Identifier: Apache-2.0
"""Which flow model to use, as plain data. The other kinds of prior, and how all are loaded: `pgc.guidance.specs`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from pgc.errors import ConfigError
from pgc.guidance.diffusion.added.specs import AddedFiles
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig

__all__ = ["FlowSpec", "FluxSpec", "SD3Spec", "ZImageSpec"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowSpec:
    """What all flow models have in common; use one of its kinds."""

    source: str
    """Hub id, or folder in the diffusers format."""
    run: LatentDiffusionConfig = field(default_factory=LatentDiffusionConfig)
    """Its `control_scale` has nothing to act on: there is no ControlNet for these here."""
    added: AddedFiles = field(default_factory=AddedFiles)
    """LoRA files alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SD3Spec(FlowSpec):
    """Stable Diffusion 3 or 3.5."""

    source: str = "stabilityai/stable-diffusion-3.5-medium"
    t5: bool = True
    """Without T5, 9.5 GB less, and prompts end where CLIP stops reading."""
    t5_length: int = 256
    """Tokens of a prompt that T5 reads; it was trained with up to 256."""

    def __post_init__(self) -> None:
        _check_length("t5_length", self.t5_length)


@dataclass(frozen=True, slots=True, kw_only=True)
class FluxSpec(FlowSpec):
    """FLUX.1 schnell, or dev, whose licence is non-commercial."""

    source: str = "black-forest-labs/FLUX.1-schnell"
    t5_length: int = 256
    """schnell was trained with 256, dev with 512."""
    embedded_guidance: float = 3.5
    """What dev is told of guidance, beside that of the loss; schnell takes none."""

    def __post_init__(self) -> None:
        _check_length("t5_length", self.t5_length)
        if not (self.embedded_guidance >= 0 and math.isfinite(self.embedded_guidance)):
            raise ConfigError(f"guidance.embedded_guidance is {self.embedded_guidance}; it must be 0 or more.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ZImageSpec(FlowSpec):
    """Z-Image, or its distilled Turbo."""

    source: str = "Tongyi-MAI/Z-Image"
    text_length: int = 512
    """Tokens of a prompt that its language model reads, those of the chat around it counted."""

    def __post_init__(self) -> None:
        _check_length("text_length", self.text_length)


def _check_length(name: str, value: int) -> None:
    if not 16 <= value <= 512:
        raise ConfigError(f"guidance.{name} is {value}; it must lie in 16 to 512 tokens.")
