# SPDX-License-Identifier: Apache-2.0
"""Priors of real sizes with random weights, made on the device itself: speed and memory need no download.

The sizes are those of the models' published config.json files; `parameter_counts` is held to the known totals.
Text encoders are left out: they run once a prompt, not once a step. Prompts become fixed random embeddings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from pgc.guidance.base import Conditions, NoisePrediction, PredictionType, PromptEmbedding
from pgc.guidance.control_pictures import depth_image
from pgc.guidance.diffusion.controls import depth_controls
from pgc.guidance.diffusion.latent_diffusion import LatentDiffusion, LatentDiffusionConfig
from pgc.guidance.diffusion.loading import AutoencoderKL, Components, ControlNetModel, UNet2DConditionModel
from pgc.guidance.oracle import scaled_linear_alphas_cumprod

__all__ = [
    "MODEL_SIZES",
    "ModelSize",
    "RandomGuidance",
    "SizeName",
    "parameter_counts",
    "published_networks",
    "random_guidance",
]

SizeName = Literal["tiny", "pocket", "sd15", "sd21", "sdxl"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSize:
    """What makes a model as large as it is."""

    image_size: int
    unet: Mapping[str, Any]
    vae: Mapping[str, Any]
    tokens: int = 77
    pooled: int | None = None


def _blocks(kinds: str) -> dict[str, Any]:
    """Block types from one letter each, finest first: C with cross-attention, D without."""
    down = tuple("CrossAttnDownBlock2D" if kind == "C" else "DownBlock2D" for kind in kinds)
    up = tuple("CrossAttnUpBlock2D" if kind == "C" else "UpBlock2D" for kind in reversed(kinds))
    return {"down_block_types": down, "up_block_types": up}


def _vae(channels: tuple[int, ...], layers: int, sample_size: int, groups: int = 32) -> dict[str, Any]:
    return {
        "block_out_channels": channels,
        "down_block_types": ("DownEncoderBlock2D",) * len(channels),
        "up_block_types": ("UpDecoderBlock2D",) * len(channels),
        "layers_per_block": layers,
        "latent_channels": 4,
        "norm_num_groups": groups,
        "sample_size": sample_size,
    }


MODEL_SIZES: dict[SizeName, ModelSize] = {
    "tiny": ModelSize(
        image_size=32,
        unet={
            **_blocks("CD"), "block_out_channels": (16, 32), "layers_per_block": 1, "cross_attention_dim": 16,
            "attention_head_dim": 4, "norm_num_groups": 8, "sample_size": 4,
        },
        vae=_vae((8, 8, 16, 16), 1, 32, groups=8),
        tokens=8,
    ),
    # The trained prior's size; for where its weights are not at hand.
    "pocket": ModelSize(
        image_size=128,
        unet={
            "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
            "block_out_channels": (64, 128, 192), "layers_per_block": 1, "cross_attention_dim": 128,
            "attention_head_dim": (2, 4, 6), "norm_num_groups": 16, "sample_size": 16, "in_channels": 8,
            "out_channels": 8,
        },
        vae={**_vae((24, 48, 96, 120), 1, 128, groups=8), "latent_channels": 8},
        tokens=24,
    ),
    "sd15": ModelSize(
        image_size=512,
        unet={
            **_blocks("CCCD"), "block_out_channels": (320, 640, 1280, 1280), "layers_per_block": 2,
            "cross_attention_dim": 768, "attention_head_dim": 8, "sample_size": 64,
        },
        vae=_vae((128, 256, 512, 512), 2, 512),
    ),
    "sd21": ModelSize(
        image_size=512,
        unet={
            **_blocks("CCCD"), "block_out_channels": (320, 640, 1280, 1280), "layers_per_block": 2,
            "cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20), "sample_size": 64,
            "use_linear_projection": True,
        },
        vae=_vae((128, 256, 512, 512), 2, 512),
    ),
    "sdxl": ModelSize(
        image_size=1024,
        unet={
            **_blocks("DCC"), "block_out_channels": (320, 640, 1280), "layers_per_block": 2,
            "cross_attention_dim": 2048, "attention_head_dim": (5, 10, 20), "sample_size": 128,
            "transformer_layers_per_block": (1, 2, 10), "use_linear_projection": True,
            "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
            "projection_class_embeddings_input_dim": 2816,
        },
        vae=_vae((128, 256, 512, 512), 2, 1024),
        pooled=1280,
    ),
}  # fmt: skip


def published_networks(
    size: ModelSize, device: torch.device, dtype: torch.dtype, seed: int
) -> tuple[AutoencoderKL, UNet2DConditionModel, ControlNetModel]:
    """Autoencoder, UNet and ControlNet with PyTorch's own initial weights, frozen."""
    before = torch.get_default_dtype()
    torch.manual_seed(seed)
    try:
        # Made in the final precision and place: SDXL in float32 on the host would take 16 GB first.
        torch.set_default_dtype(dtype)
        with device:
            vae = AutoencoderKL(**size.vae)
            unet = UNet2DConditionModel(**size.unet)
            controlnet = ControlNetModel.from_unet(unet)
    finally:
        torch.set_default_dtype(before)
    for network in (vae, unet, controlnet):
        network.eval().requires_grad_(False)
    return vae, unet, controlnet


def parameter_counts(name: SizeName) -> dict[str, int]:
    """Parameters by part, counted without making any."""
    vae, unet, controlnet = published_networks(MODEL_SIZES[name], torch.device("meta"), torch.float32, 0)
    parts = {"vae": vae, "unet": unet, "controlnet": controlnet}
    return {part: sum(p.numel() for p in network.parameters()) for part, network in parts.items()}


class RandomGuidance:
    """`pgc.guidance.base.Guidance` of a given size with random weights, through the code that runs real ones."""

    def __init__(
        self,
        name: SizeName,
        device: torch.device,
        dtype: torch.dtype,
        config: LatentDiffusionConfig,
        *,
        stored: torch.dtype | None = None,
        seed: int = 0,
    ) -> None:
        size = MODEL_SIZES[name]
        vae, unet, controlnet = published_networks(size, device, stored or dtype, seed)
        if stored is not None:
            # A layer's weights are widened while it works: a CPU without bfloat16 arithmetic is 60 times slower in it.
            torch.nn.Module.to(vae, dtype=dtype)
            for network in (unet, controlnet):
                network.enable_layerwise_casting(storage_dtype=stored, compute_dtype=dtype)
                for part in network.modules():
                    # Norms are left out of the casting, and are small.
                    if isinstance(part, torch.nn.GroupNorm | torch.nn.LayerNorm):
                        part.to(dtype)
        self.name = f"random-{name}"
        self.size = size
        self.device = device
        self.dtype = dtype
        self.prediction_type: PredictionType = "epsilon"
        self.alphas_cumprod = scaled_linear_alphas_cumprod().to(device)
        components = Components(
            vae=vae,
            unet=unet,
            text_encoders=(),
            tokenizers=(),
            alphas_cumprod=self.alphas_cumprod,
            prediction_type="epsilon",
        )
        self.model = LatentDiffusion(
            components,
            controls=depth_controls(controlnet, depth_image, config),
            added_conditions=self._added_conditions,
            vae=vae,
            config=config,
            device=device,
        )
        self.image_size = size.image_size

    def encode_prompt(self, prompts: Sequence[str], *, negative: bool = False) -> PromptEmbedding:
        """Random, but the same for the same text."""
        width = int(self.size.unet["cross_attention_dim"])
        states, pooled = [], []
        for prompt in prompts:
            seed = int.from_bytes(hashlib.sha256(prompt.encode()).digest()[:7], "little")
            generator = torch.Generator().manual_seed(seed)
            states.append(torch.randn(self.size.tokens, width, generator=generator))
            pooled.append(torch.randn(self.size.pooled or 1, generator=generator))
        to = {"device": self.device, "dtype": self.dtype}
        return PromptEmbedding(
            hidden_states=torch.stack(states).to(**to),
            pooled=torch.stack(pooled).to(**to) if self.size.pooled else None,
        )

    def unknown_words(self, prompt: str) -> tuple[str, ...]:
        """None."""
        return ()

    def encode_image(self, image: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """See `Guidance.encode_image`."""
        return self.model.encode_image(image, generator=generator)

    def decode_latents(self, latents: Tensor) -> Tensor:
        """See `Guidance.decode_latents`."""
        return self.model.decode_latents(latents)

    def predict_noise(self, noisy_latents: Tensor, timestep: Tensor, conditions: Conditions) -> NoisePrediction:
        """See `Guidance.predict_noise`."""
        return self.model.predict_noise(noisy_latents, timestep, conditions)

    def _added_conditions(self, prompt: PromptEmbedding) -> Mapping[str, Tensor] | None:
        if prompt.pooled is None:
            return None
        side = self.image_size
        time_ids = torch.tensor([[side, side, 0, 0, side, side]], dtype=self.dtype, device=self.device)
        return {"text_embeds": prompt.pooled, "time_ids": time_ids.expand(prompt.batch, -1)}


def random_guidance(
    name: SizeName, device: torch.device, dtype: torch.dtype, config: LatentDiffusionConfig | None = None
) -> RandomGuidance:
    """A prior of a published size with random weights."""
    return RandomGuidance(name, device, dtype, config or LatentDiffusionConfig(image_size=MODEL_SIZES[name].image_size))
