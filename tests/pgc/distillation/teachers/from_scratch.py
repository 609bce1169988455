# SPDX-License-Identifier: Apache-2.0
"""Every loss written once more, from the papers' formulas alone: networks from diffusers, nothing of pgc.

Numbers of the schedule are float64 of NumPy; each view is a batch of one, each half of the guidance a call of its own.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

__all__ = ["Network", "bgt", "clipped", "csd", "hifa", "ism", "sdi", "sds", "ssd", "vsd"]

BETAS = np.linspace(math.sqrt(0.00085), math.sqrt(0.012), 1000) ** 2
ABAR = np.cumprod(1.0 - BETAS)


def abar(t: int) -> float:
    return 1.0 if t == 0 else float(ABAR[t])


class Network:
    """One view's prior: its UNet and its autoencoder, and what it reads with and without the prompt."""

    def __init__(self, folder: Path, *, v_prediction: bool) -> None:
        self.unet = UNet2DConditionModel.from_pretrained(folder / "unet")
        self.vae = AutoencoderKL.from_pretrained(folder / "vae")
        self.v_prediction = v_prediction
        self.read: dict[str, tuple[Tensor, Tensor | None]] = {}

    @torch.no_grad()
    def noise(self, z: Tensor, t: int, which: str) -> Tensor:
        words, pooled = self.read[which]
        extra = None
        if pooled is not None:
            extra = {"text_embeds": pooled, "time_ids": torch.tensor([[32.0, 32, 0, 0, 32, 32]])}
        out = self.unet(z, torch.tensor([t]), encoder_hidden_states=words, added_cond_kwargs=extra).sample
        if self.v_prediction:
            return math.sqrt(abar(t)) * out + math.sqrt(1 - abar(t)) * z
        return out

    def guided(self, z: Tensor, t: int, scale: float) -> Tensor:
        cond, uncond = self.noise(z, t, "cond"), self.noise(z, t, "uncond")
        return uncond + scale * (cond - uncond)

    def encode(self, x: Tensor) -> Tensor:
        return self.vae.encode(2 * x - 1).latent_dist.mean * self.vae.config["scaling_factor"]

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        return (self.vae.decode(z / self.vae.config["scaling_factor"]).sample / 2 + 0.5).clamp(0, 1)


def noised(z: Tensor, noise: Tensor, t: int) -> Tensor:
    return math.sqrt(abar(t)) * z + math.sqrt(1 - abar(t)) * noise


def clean(z: Tensor, noise: Tensor, t: int) -> Tensor:
    return (z - math.sqrt(1 - abar(t)) * noise) / math.sqrt(abar(t))


def moved(z: Tensor, noise: Tensor, start: int, end: int) -> Tensor:
    return noised(clean(z, noise, start), noise, end)


# Each: (network, z of one view, t, drawn noise) -> ∂L/∂z, the picture to go towards, and the weight of that.
Found = tuple[Tensor, Tensor | None, float]


def sds(net: Network, z: Tensor, t: int, noise: Tensor, scale: float = 100.0, rescale: float = 0.0) -> Found:
    guided, cond = net.guided(noised(z, noise, t), t, scale), net.noise(noised(z, noise, t), t, "cond")
    guided = (1 - rescale) * guided + rescale * guided * cond.std() / guided.std()
    return (1 - abar(t)) * (guided - noise), None, 0.0


def csd(net: Network, z: Tensor, t: int, noise: Tensor) -> Found:
    zt = noised(z, noise, t)
    return (1 - abar(t)) * (net.noise(zt, t, "cond") - net.noise(zt, t, "uncond")), None, 0.0


def ssd(net: Network, z: Tensor, t: int, noise: Tensor) -> Found:
    h, _, _ = csd(net, z, t, noise)
    if t > 100:
        return h, None, 0.0
    cond = net.noise(noised(z, noise, t), t, "cond").flatten()
    unit = noise.flatten() / noise.flatten().norm()
    rest = (cond - (cond @ unit) * unit).reshape(z.shape)
    return h.norm() * rest / rest.norm(), None, 0.0


def hifa(net: Network, z: Tensor, t: int, noise: Tensor) -> Found:
    zt = noised(z, noise, t)
    target = clean(zt, net.guided(zt, t, 7.5), t)
    return (1 - abar(t)) * (z - target), net.decode(target), 1.0


def bgt(net: Network, z: Tensor, t: int, noise: Tensor) -> Found:
    sample, at = noised(z, noise, t), t
    while at > 0:
        to = max(at - 250, 0)
        sample, at = moved(sample, net.guided(sample, at, 7.5), at, to), to
    picture = net.decode(sample)
    weight = 1 - abar(t)
    # ∂/∂z of w (mean (z - ẑ)² + 0.1 mean (x - x̂)²), times half of the latents' number.
    return weight * (z - sample), picture, weight * 0.1 * z.numel() / picture.numel()


def ism(net: Network, z: Tensor, t: int, noise: Tensor) -> Found:
    del noise
    s = max(t - 80, 0)
    sample, at = z, 0
    while at < s:
        to = min(at + 200, s)
        sample, at = moved(sample, net.noise(sample, max(at, 1), "uncond"), at, to), to
    before = net.noise(sample, max(s, 1), "uncond")
    zt = moved(sample, before, s, t)
    return math.sqrt((1 - abar(t)) / abar(t)) * (net.guided(zt, t, 7.5) - before), None, 0.0


def sdi(net: Network, z: Tensor, t: int, noise: Tensor) -> Found:
    sample = z
    times = [t * i // 10 for i in range(11)]
    for at, to in itertools.pairwise(times):
        sample = moved(sample, net.guided(sample, max(at, 1), -7.5), at, to)
    kappa = (sample - math.sqrt(abar(t)) * z) / math.sqrt(1 - abar(t))
    kappa = math.sqrt(1 - 0.3**2) * kappa + 0.3 * noise
    return (1 - abar(t)) * (net.guided(noised(z, kappa, t), t, 7.5) - kappa), None, 0.0


def vsd(net: Network, z: Tensor, t: int, noise: Tensor, adapted: Callable[[Tensor, int], Tensor]) -> Found:
    zt = noised(z, noise, t)
    return (1 - abar(t)) * (net.guided(zt, t, 7.5) - adapted(zt, t)), None, 0.0


def with_adapters(net: Network, weights: Mapping[str, Tensor], camera: Tensor) -> None:
    """Puts W + B A in the place of W, and the camera's two layers behind the embedding of the timestep."""
    parameters = dict(net.unet.named_parameters())
    with torch.no_grad():
        for name, down in weights.items():
            if ".lora_A." in name:
                layer = name.split(".lora_A.")[0]
                up = weights[name.replace(".lora_A.", ".lora_B.")]
                parameters[f"{layer}.weight"] += up @ down
    hidden = torch.nn.functional.silu(weights["camera.0.weight"] @ camera.flatten() + weights["camera.0.bias"])
    told = weights["camera.2.weight"] @ hidden + weights["camera.2.bias"]
    net.unet.time_embedding.register_forward_hook(lambda module, inputs, output: output + told)


def clipped(gradient: Tensor, threshold: float) -> Tensor:
    """PGC-N of Pan et al., 2024, eq. 10, pixel by pixel."""
    found = gradient.clone()
    for row in range(gradient.shape[2]):
        for column in range(gradient.shape[3]):
            norm = float(gradient[0, :, row, column].norm())
            if norm > threshold:
                found[0, :, row, column] *= threshold / norm
    return found
