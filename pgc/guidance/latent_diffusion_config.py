# SPDX-License-Identifier: Apache-2.0
"""How a latent diffusion model is run: precision, memory, control. Apart from the model, so that it imports fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from pgc.errors import ConfigError

__all__ = ["LatentDiffusionConfig", "Precision", "resolve_dtype", "weights_dtype"]

Precision = Literal["auto", "float32", "float16", "bfloat16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentDiffusionConfig:
    """How a latent diffusion model is run; nothing here changes which model it is."""

    dtype: Precision = "auto"
    """Of the weights. auto: float16 on CUDA and MPS, float32 on the CPU, where half precision is slow."""
    compute_dtype: Precision = "auto"
    """Of the UNet's and the ControlNet's arithmetic; auto: as the weights. "bfloat16" on float32 weights runs under
    autocast: about a third faster on a CPU with AVX512-BF16, with an error of a few 0.1 % of ε."""
    vae_compute_dtype: Precision = "auto"
    """Likewise for the autoencoder. Its gradient is what texels learn from, so bfloat16 is for those who measured."""
    sequential_guidance: bool = False
    """Two forward passes, without and with the prompt, in place of one of twice the batch: less memory."""
    control_scale: float = 1.0
    """What the ControlNet's residuals are multiplied by."""
    image_size: int | None = None
    """Side of the images that the prior sees, in pixels; None: what it was trained on."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.control_scale <= 2.0:
            raise ConfigError(f"guidance.control_scale is {self.control_scale}; it must lie in [0, 2].")
        if self.image_size is not None and (self.image_size < 8 or self.image_size % 8):
            raise ConfigError(f"guidance.image_size is {self.image_size}; it must be a multiple of 8, 8 or more.")

    def arithmetic(self, weights: torch.dtype) -> tuple[torch.dtype, torch.dtype]:
        """What UNet and autoencoder compute in, on weights of this dtype."""
        return resolve_dtype(self.compute_dtype, weights), resolve_dtype(self.vae_compute_dtype, weights)


def resolve_dtype(precision: Precision, default: torch.dtype) -> torch.dtype:
    """The torch dtype of a setting; `default` for "auto"."""
    match precision:
        case "auto":
            return default
        case "float32":
            return torch.float32
        case "float16":
            return torch.float16
        case "bfloat16":
            return torch.bfloat16


def weights_dtype(precision: Precision, device: torch.device) -> torch.dtype:
    """The dtype of the weights on this device."""
    return resolve_dtype(precision, torch.float32 if device.type == "cpu" else torch.float16)
