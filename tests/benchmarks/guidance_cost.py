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

from pgc.guidance.diffusion.loading import AutoencoderKL, ControlNetModel, UNet2DConditionModel

__all__ = ["GuidanceCost", "PublicModel", "count_flops"]

PublicModel = Literal["sd15", "sdxl"]

_VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
}
_SD15_UNET: dict[str, Any] = {
    "sample_size": 64,
    "block_out_channels": (320, 640, 1280, 1280),
    "down_block_types": (*("CrossAttnDownBlock2D",) * 3, "DownBlock2D"),
    "up_block_types": ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
_SDXL_UNET: dict[str, Any] = {
    "sample_size": 128,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 2,
    "transformer_layers_per_block": (1, 2, 10),
    "cross_attention_dim": 2048,
    "attention_head_dim": (5, 10, 20),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
_TOKENS = 77
_POOLED = 1280


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
    """Counts at the model's native size: 512 pixels for Stable Diffusion 1.5, 1024 for XL."""
    xl = model == "sdxl"
    with torch.device("meta"):
        unet: Any = UNet2DConditionModel(**(_SDXL_UNET if xl else _SD15_UNET))
        controlnet: Any = ControlNetModel.from_unet(unet, load_weights_from_unet=False)
        vae: Any = AutoencoderKL(**_VAE)
        for network in (unet, controlnet, vae):
            network.eval().requires_grad_(False)
        side = int(unet.config["sample_size"])
        latents, timestep = torch.zeros(1, 4, side, side), torch.zeros(1, dtype=torch.long)
        common = {
            "encoder_hidden_states": torch.zeros(1, _TOKENS, int(unet.config["cross_attention_dim"])),
            "added_cond_kwargs": {"text_embeds": torch.zeros(1, _POOLED), "time_ids": torch.zeros(1, 6)}
            if xl
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
