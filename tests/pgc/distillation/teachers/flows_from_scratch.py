# SPDX-License-Identifier: Apache-2.0
"""Score distillation from flow models written once more: straight paths and velocities, networks from diffusers alone.

Nothing here is brought to the family √ᾱ·z + √(1 - ᾱ)·ε, as the package does.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel
from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel
from torch import Tensor

__all__ = ["FlowNetwork", "rfds", "sds"]

SHIFTS = {"sd3": 3.0, "flux": 1.0, "z_image": 6.0}


class FlowNetwork:
    """One view's prior: network and autoencoder, and what it reads with and without the prompt."""

    def __init__(self, folder: Path, name: str) -> None:
        kinds = {"sd3": SD3Transformer2DModel, "z_image": ZImageTransformer2DModel}
        self.name = name
        self.net = kinds.get(name, FluxTransformer2DModel).from_pretrained(folder / "transformer")
        self.vae = AutoencoderKL.from_pretrained(folder / "vae")
        self.read: dict[str, tuple[Tensor, Tensor | None, int | None]] = {}

    def sigma(self, t: int) -> float:
        even = (t + 1) / 1000
        if self.name == "flux_dev":
            # 32 pixels are 8 latent ones along a side, 16 tokens.
            mu = 0.5 + (16 - 256) * (1.15 - 0.5) / (4096 - 256)
            e = float(torch.tensor(mu).exp())
            return e / (e + 1 / even - 1)
        shift = SHIFTS[self.name]
        return shift * even / (1 + (shift - 1) * even)

    @torch.no_grad()
    def velocity(self, x: Tensor, sigma: float, which: str) -> Tensor:
        words, pooled, length = self.read[which]
        at = torch.tensor([sigma])
        if self.name == "sd3":
            return self.net(x, words, pooled, 1000 * at).sample
        if self.name == "z_image":
            return -self.net([x[0][:, None]], 1 - at, [words[0][:length]]).sample[0][None, :, 0]
        tokens = [x[0, :, i : i + 2, j : j + 2].flatten() for i in range(0, 8, 2) for j in range(0, 8, 2)]
        places = torch.tensor([[0.0, i, j] for i in range(4) for j in range(4)])
        told = torch.tensor([3.5]) if self.name == "flux_dev" else None
        said = self.net(
            torch.stack(tokens)[None],
            words,
            pooled,
            at,
            img_ids=places,
            txt_ids=torch.zeros(words.shape[1], 3),
            guidance=told,
        ).sample[0]
        out = torch.zeros_like(x)
        for index, token in enumerate(said):
            i, j = 2 * (index // 4), 2 * (index % 4)
            out[0, :, i : i + 2, j : j + 2] = token.reshape(-1, 2, 2)
        return out

    def guided(self, x: Tensor, sigma: float, scale: float) -> Tensor:
        cond, uncond = self.velocity(x, sigma, "cond"), self.velocity(x, sigma, "uncond")
        return uncond + scale * (cond - uncond)

    def encode(self, x: Tensor) -> Tensor:
        mean = self.vae.encode(2 * x - 1).latent_dist.mean
        return (mean - self.vae.config["shift_factor"]) * self.vae.config["scaling_factor"]


def rfds(net: FlowNetwork, z: Tensor, t: int, noise: Tensor, scale: float = 100.0) -> Tensor:
    sigma = net.sigma(t)
    return net.guided((1 - sigma) * z + sigma * noise, sigma, scale) - (noise - z)


def sds(net: FlowNetwork, z: Tensor, t: int, noise: Tensor, scale: float = 100.0) -> Tensor:
    sigma = net.sigma(t)
    x = (1 - sigma) * z + sigma * noise
    told = x + (1 - sigma) * net.guided(x, sigma, scale)
    return sigma**2 / (sigma**2 + (1 - sigma) ** 2) * (told - noise)
