# SPDX-License-Identifier: Apache-2.0
"""What the autoencoder is trained for: pictures that come back, latents that bear noise, shift and scaling, and an
encoder whose gradient has no heavy tail.

That latents should move with the picture, and scale with it, is the idea of EQ-VAE (Kouzelis et al., 2025); here shifts
are of parts of a latent cell, since those are what a turning camera makes.
"""

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from jaxtyping import Float
from torch import Tensor

from pgc.pocket.autoencoder.encoder_gradient import pixel_norms

__all__ = [
    "GradientPenalty",
    "LossConfig",
    "Moved",
    "autoencoder_loss",
    "encode_mean",
    "gradient_penalty",
    "moved_pair",
]

Images = Float[Tensor, "b c h w"]


@dataclass(frozen=True)
class LossConfig:
    """Weights and shares of the parts. All of the robust parts at 0 is the second edition's loss."""

    edges: float = 1.0
    kl: float = 2e-6
    noisy: float = 0.5
    """Share of steps with noise on the latents ..."""
    noise: float = 0.25
    """... whose deviation is drawn up to this, in deviations of the latents."""
    moved: float = 0.4
    """Share of steps at which the latents are shifted or scaled, and the picture should be."""
    tail: float = 0.02
    mean_square: float = 0.01
    gradient_every: int = 4
    """Steps from one look at the encoder's gradient to the next; each costs about three others."""


@dataclass(frozen=True)
class Moved:
    """A shift in latent cells and a scaling, the same for latents and picture."""

    shift: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0


def _autocast(enabled: bool) -> torch.autocast:
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled)


def encode_mean(vae: AutoencoderKL, images: Images, bfloat16: bool = False) -> Float[Tensor, "b k m n"]:
    """Returns the means of the posteriors."""
    with _autocast(bfloat16):
        mean: Tensor = vae.encode(cast(torch.FloatTensor, images), return_dict=False)[0].mean
    return mean.float()


def _resampled(field: Float[Tensor, "b c h w"], moved: Moved, cell: float) -> Float[Tensor, "b c m n"]:
    """``field`` scaled, then shifted by ``moved.shift`` cells of ``cell`` pixels each; edges are repeated."""
    if moved.scale != 1.0:
        field = F.interpolate(field, scale_factor=moved.scale, mode="bilinear", align_corners=False, antialias=True)
    if moved.shift == (0.0, 0.0):
        return field
    height, width = field.shape[-2:]
    rows = (torch.arange(height) - moved.shift[0] * cell + 0.5) / height * 2.0 - 1.0
    columns = (torch.arange(width) - moved.shift[1] * cell + 0.5) / width * 2.0 - 1.0
    grid = torch.stack(torch.meshgrid(rows, columns, indexing="ij")[::-1], -1)
    grid = grid.to(field.dtype).expand(len(field), -1, -1, -1)
    return F.grid_sample(field, grid, mode="bilinear", padding_mode="border", align_corners=False)


def moved_pair(
    latents: Float[Tensor, "b k m n"], images: Images, moved: Moved
) -> tuple[Float[Tensor, "b k p q"], Float[Tensor, "b c r s"]]:
    """Moves latents and picture alike.

    Raises:
        ValueError: scaled, the latents would not have whole cells, so they would show less than the picture.
    """
    cell = images.shape[-1] / latents.shape[-1]
    if any(float(side * moved.scale) % 1.0 for side in latents.shape[-2:]):
        raise ValueError(
            f"Got latents of {tuple(latents.shape[-2:])} cells to scale by {moved.scale}; use a multiple of 4."
        )
    return _resampled(latents, moved, 1.0), _resampled(images, moved, cell)


def draw_moved(generator: torch.Generator) -> Moved:
    """Draws a shift by less than half a cell each way half of the time, else a scaling to a half or three quarters."""
    first, second, kind = (float(value) for value in torch.rand(3, generator=generator))
    if kind < 0.5:
        return Moved(shift=(first - 0.5, second - 0.5))
    return Moved(scale=0.5 if kind < 0.75 else 0.75)


def _reconstruction(decoded: Images, images: Images, edges: float) -> tuple[Tensor, float]:
    error = decoded - images
    down = (error[:, :, 1:] - error[:, :, :-1]).abs().mean()
    across = (error[..., 1:] - error[..., :-1]).abs().mean()
    squared = error.square().mean()
    return error.abs().mean() + squared + edges * (down + across), float(squared.detach())


def autoencoder_loss(
    vae: AutoencoderKL, images: Images, config: LossConfig, generator: torch.Generator, bfloat16: bool = False
) -> tuple[Tensor, float | None]:
    """Computes (loss, mean squared error of an unchanged picture or None) of pictures in [-1, 1]; ``generator``
    draws."""
    noisy, moves, level = (float(value) for value in torch.rand(3, generator=generator))
    with _autocast(bfloat16):
        posterior = vae.encode(cast(torch.FloatTensor, images), return_dict=False)[0]
    mean, logvar = posterior.mean.float(), posterior.logvar.float()
    latents = mean + (0.5 * logvar).exp() * torch.randn(mean.shape, generator=generator)
    plain = noisy >= config.noisy and moves >= config.moved
    target = images
    if noisy < config.noisy:
        deviation = config.noise * level * mean.detach().std()
        latents = latents + deviation * torch.randn(mean.shape, generator=generator)
    if moves < config.moved:
        latents, target = moved_pair(latents, images, draw_moved(generator))
    with _autocast(bfloat16):
        decoded = vae.decode(cast(torch.FloatTensor, latents), return_dict=False)[0].float()
    loss, squared = _reconstruction(decoded, target, config.edges)
    kl = 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar).mean()
    return loss + 192.0 * config.kl * kl * mean[0].numel() / images[0].numel(), squared if plain else None


@dataclass(frozen=True)
class GradientPenalty:
    """What the encoder's gradient costs, and the two figures that it is made of."""

    loss: Tensor
    tail: float
    mean_square: float


def gradient_penalty(
    vae: AutoencoderKL, images: Images, config: LossConfig, generator: torch.Generator
) -> GradientPenalty:
    """Computes what the encoder's gradient costs at a pixel: its tail, and a little its size."""
    norms = pixel_norms(lambda x: encode_mean(vae, x), images, generator, differentiable=True)
    square = norms.square()
    mean_square = square.mean()
    tail = square.square().mean() / mean_square.square()
    loss = config.tail * (tail.log() + 0.1 * tail) + config.mean_square * mean_square.log()
    return GradientPenalty(loss, float(tail.detach()), float(mean_square.detach()))
