# SPDX-License-Identifier: Apache-2.0
"""What a prior costs, by counting: the networks of Stable Diffusion without their weights, on torch's meta device.

For saying how much of a step the rest may take, on a machine that cannot run the prior itself. A multiplication and
an addition count as two; element-wise work, normalisation and activation functions are not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.benchmarks.random_models import MODEL_SIZES, published_networks

__all__ = ["GuidanceCost", "PublicModel", "count_flops"]

PublicModel = Literal["sd15", "sd21", "sdxl"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GuidanceCost:
    """Floating-point operations for one view."""

    unet: int
    """One forward pass."""
    controlnet: int
    """One forward pass."""
    vae_encode: int
    """Image to latents."""
    vae_backward: int
    """Gradient on the latents to gradient on the image; none on the weights."""

    @property
    def step(self) -> int:
        """The operations for a view in a step of score distillation with classifier-free guidance and depth control."""
        return 2 * (self.unet + self.controlnet) + self.vae_encode + self.vae_backward


def count_flops(model: PublicModel) -> GuidanceCost:
    """Counts at the model's native size: 512 pixels for Stable Diffusion 1.5 and 2.1, 1024 for XL."""
    size = MODEL_SIZES[model]
    networks: tuple[Any, ...] = published_networks(size, torch.device("meta"), torch.float32, 0)
    vae, unet, controlnet = networks
    with torch.device("meta"):
        side = int(unet.config["sample_size"])
        latents, timestep = torch.zeros(1, 4, side, side), torch.zeros(1, dtype=torch.long)
        common = {
            "encoder_hidden_states": torch.zeros(1, size.tokens, int(unet.config["cross_attention_dim"])),
            "added_cond_kwargs": {"text_embeds": torch.zeros(1, size.pooled), "time_ids": torch.zeros(1, 6)}
            if size.pooled
            else None,
            "return_dict": False,
        }
        image = torch.zeros(1, 3, 8 * side, 8 * side)
        with torch.no_grad():
            with FlopCounterMode(display=False) as unet_counter:
                unet(latents, timestep, **common)
            with FlopCounterMode(display=False) as controlnet_counter:
                controlnet(latents, timestep, controlnet_cond=image, **common)
        image.requires_grad_(True)
        with FlopCounterMode(display=False) as encode_counter:
            encoded = vae.encode(image, return_dict=False)[0].mean
        with FlopCounterMode(display=False) as backward_counter:
            torch.autograd.grad(encoded, image, torch.zeros_like(encoded))
    return GuidanceCost(
        unet=unet_counter.get_total_flops(),
        controlnet=controlnet_counter.get_total_flops(),
        vae_encode=encode_counter.get_total_flops(),
        vae_backward=backward_counter.get_total_flops(),
    )
