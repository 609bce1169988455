# SPDX-License-Identifier: Apache-2.0
"""The autoencoder of a latent diffusion model: pictures in [0, 1] to scaled latents, and back."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from jaxtyping import Float
from torch import Tensor

from pgc.guidance.diffusion.memory.lean_encoder import encode_lean
from pgc.guidance.resizing import resize_bilinear

__all__ = ["Autoencoder", "latent_factor"]


def latent_factor(vae: AutoencoderKL) -> int:
    """Returns how many pixels lie along the side of a latent one."""
    return 2 ** (len(vae.config["block_out_channels"]) - 1)


class Autoencoder:
    """Encodes with a gradient, decodes without one."""

    def __init__(
        self, vae: AutoencoderKL, *, image_size: int, device: torch.device, is_lean: bool | None = None
    ) -> None:
        """`is_lean`: hold a third of the memory for the gradient (`diffusion.memory.lean_encoder`). None: on a
        card, where it costs nothing that can be noticed; on the CPU, whose memory is large, it costs time."""
        self.vae = vae
        self.image_size = image_size
        self.device = device
        self.is_lean = device.type != "cpu" if is_lean is None else is_lean
        if device.type == "cpu" and vae.dtype == torch.float32:
            # A tenth faster on the CPU in float32; slower in bfloat16, and on a GPU it is cuDNN's own affair.
            module: Any = vae
            module.to(memory_format=torch.channels_last)

    def encode_image(
        self, image: Float[Tensor, "b 3 h w"], *, generator: torch.Generator | None = None
    ) -> Float[Tensor, "b k m n"]:
        """Encodes as `Guidance.encode_image` says."""
        signal = 2.0 * resize_bilinear(image.to(self.device), self.image_size) - 1.0
        posterior = self._posterior(signal.to(self.vae.dtype))
        latents = posterior.mean.float()
        if generator is not None:
            # Drawn on the CPU in float32, so that every device and precision sees the same noise.
            noise = torch.randn(latents.shape, generator=generator).to(latents)
            latents = latents + posterior.std.float() * noise
        return (latents - self._shift) * self.vae.config["scaling_factor"]

    def _posterior(self, signal: Tensor) -> Any:  # noqa: ANN401 - diffusers' distribution is untyped
        if self.is_lean and torch.is_grad_enabled() and signal.requires_grad:
            return DiagonalGaussianDistribution(encode_lean(self.vae, signal))
        found: Any = self.vae.encode(signal, return_dict=False)
        return found[0]

    @torch.no_grad()
    def decode_latents(self, latents: Float[Tensor, "b k m n"]) -> Float[Tensor, "b 3 h w"]:
        """Decodes as `Guidance.decode_latents` says; one view at a time where it is lean: the decoder holds most."""
        if self.is_lean and len(latents) > 1:
            return torch.cat([self.decode_latents(one) for one in latents.split(1)])
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
