# SPDX-License-Identifier: Apache-2.0
"""How a latent diffusion model is run: precision, memory, control. Apart from the model, so that it imports fast."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch

from pgc.errors import ConfigError
from pgc.guidance.control_specs import ControlWindow
from pgc.guidance.diffusion.memory.savings import MemorySavings

__all__ = ["LatentDiffusionConfig", "Precision", "resolve_dtype", "weights_dtypes"]

Precision = Literal["auto", "float32", "float16", "bfloat16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentDiffusionConfig:
    """How a latent diffusion model is run; nothing here changes which model it is."""

    dtype: Precision = "auto"
    """Of UNet, ControlNet and text encoders. auto: float16 on CUDA and MPS, float32 on the CPU. "bfloat16" on a CPU
    with AVX512-BF16 takes about a fifth off the pocket prior's UNet and ControlNet, and changes ε by about 1 % of
    its size; without those instructions it is slower than float32."""
    vae_dtype: Precision = "auto"
    """Of the autoencoder. auto: as `dtype` on CUDA and MPS, float32 on the CPU. "bfloat16" there takes two fifths off
    the pocket prior's encoding and its gradient, and changes that gradient, which texels learn from, by about 2 %."""
    sequential_guidance: bool = False
    """Two forward passes, without and with the prompt, in place of one of twice the batch: less memory."""
    empty_prompt: Literal["own", "encoded"] = "own"
    """What the empty prompt is. own: as the model was trained: zeros for SDXL (and as diffusers has it), the encoded
    empty text for all others. encoded: that for SDXL too, as the official PGC code has it."""
    control_scale: float = 1.0
    """What the ControlNet's residuals are multiplied by."""
    control_window: ControlWindow = field(default_factory=ControlWindow)
    """When that ControlNet acts."""
    image_size: int | None = None
    """Side of the images that the prior sees, in pixels; None: what it was trained on."""
    memory: MemorySavings = field(default_factory=MemorySavings)
    """How it is made to fit; `pgc.runs.memory.plan` chooses it."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.control_scale <= 2.0:
            raise ConfigError(f"guidance.control_scale is {self.control_scale}; it must lie in [0, 2].")
        if self.image_size is not None and (self.image_size < 8 or self.image_size % 8):
            raise ConfigError(f"guidance.image_size is {self.image_size}; it must be a multiple of 8, 8 or more.")


def resolve_dtype(precision: Precision, default: torch.dtype) -> torch.dtype:
    """Returns the torch dtype of a setting; `default` for "auto"."""
    match precision:
        case "auto":
            return default
        case "float32":
            return torch.float32
        case "float16":
            return torch.float16
        case "bfloat16":
            return torch.bfloat16


def weights_dtypes(
    config: LatentDiffusionConfig, device: torch.device, *, half: torch.dtype = torch.float16
) -> tuple[torch.dtype, torch.dtype]:
    """Returns the dtypes of the UNet (with all that feeds it) and of the autoencoder on this device.

    Args:
        config: what was asked for.
        device: where it runs.
        half: what "auto" means on a GPU; flow models were trained in bfloat16, and T5 overflows float16.

    Raises:
        ConfigError: float16 on a CPU.
    """
    on_cpu = device.type == "cpu"
    dtype = resolve_dtype(config.dtype, torch.float32 if on_cpu else half)
    vae_dtype = resolve_dtype(config.vae_dtype, torch.float32 if on_cpu else dtype)
    if on_cpu and torch.float16 in (dtype, vae_dtype):
        raise ConfigError("guidance.dtype is float16, which is slow and inexact on a CPU; use float32 or bfloat16.")
    return dtype, vae_dtype
