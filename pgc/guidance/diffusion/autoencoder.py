# SPDX-License-Identifier: Apache-2.0
"""The autoencoder of a latent diffusion model: pictures in [0, 1] to scaled latents, and back."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from jaxtyping import Float
from torch import Tensor

from pgc.guidance.resizing import resize_bilinear

__all__ = ["Autoencoder", "latent_factor"]


def latent_factor(vae: AutoencoderKL) -> int:
    """Returns how many pixels lie along the side of a latent one."""
    return 2 ** (len(vae.config["block_out_channels"]) - 1)


class Autoencoder:
    """Encodes with a gradient, decodes without one."""

    def __init__(self, vae: AutoencoderKL, *, image_size: int, device: torch.device) -> None:
        self.vae = vae
        self.image_size = image_size
        self.device = device
        if device.type == "cpu" and vae.dtype == torch.float32:
            # A tenth faster on the CPU in float32; slower in bfloat16, and on a GPU it is cuDNN's own affair.
            module: Any = vae
            module.to(memory_format=torch.channels_last)

    def encode_image(
        self, image: Float[Tensor, "b 3 h w"], *, generator: torch.Generator | None = None
    ) -> Float[Tensor, "b k m n"]:
        """Encodes as `Guidance.encode_image` says."""
        signal = 2.0 * resize_bilinear(image.to(self.device), self.image_size) - 1.0
        posterior: Any = self.vae.encode(signal.to(self.vae.dtype), return_dict=False)[0]
        latents = posterior.mean.float()
        if generator is not None:
            # Drawn on the CPU in float32, so that every device and precision sees the same noise.
            noise = torch.randn(latents.shape, generator=generator).to(latents)
            latents = latents + posterior.std.float() * noise
        return (latents - self._shift) * self.vae.config["scaling_factor"]

    @torch.no_grad()
    def decode_latents(self, latents: Float[Tensor, "b k m n"]) -> Float[Tensor, "b 3 h w"]:
        """Decodes as `Guidance.decode_latents` says."""
        scaled = latents / self.vae.config["scaling_factor"] + self._shift
        sample: Any = scaled.to(device=self.device, dtype=self.vae.dtype)
        image = self.vae.decode(sample, return_dict=False)[0]
        return (image.float() * 0.5 + 0.5).clamp(0.0, 1.0)

    def widen(self) -> bool:
        """Does what `HalfPrecisionAutoencoder.widen_autoencoder` says."""
        if self.vae.dtype == torch.float32:
            return False
        # torch's own `to`: diffusers' warns of a precision change.
        torch.nn.Module.to(self.vae, dtype=torch.float32)
        return True

    @property
    def _shift(self) -> float:
        """Only newer autoencoders have one."""
        return float(self.vae.config.get("shift_factor") or 0.0)
