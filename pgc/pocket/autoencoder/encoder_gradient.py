# SPDX-License-Identifier: Apache-2.0
"""The way back through an encoder: how large its gradient is at each pixel, and how heavy the tail of that is.

Score distillation takes a gradient on the latents to the picture. Where a few pixels get a hundred times what others
get, the texture learns those pixels' noise. So two things are measured, and held down in training: the mean square of
the gradient's norm at a pixel, and the tail, which is the ratio of its mean fourth power to the square of that. A norm
that is the same everywhere has the tail 1; with one in a hundred pixels ten times above the rest it is 25.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["GradientNorms", "encoder_gradient_norms", "norms_of", "pixel_norms"]

Encode = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class GradientNorms:
    """Figures of the norm at a pixel, over many pictures; quantiles as multiples of the median."""

    mean_square: float
    tail: float
    median: float
    p99: float
    p999: float
    largest: float


def pixel_norms(
    encode: Encode, images: Float[Tensor, "b c h w"], generator: torch.Generator, differentiable: bool = False
) -> Float[Tensor, "b h w"]:
    """Computes the norm at each pixel of the gradient that white noise on the latents of ``encode`` gives the picture.

    Latents are taken at unit deviation, so that encoders of any scale compare. ``differentiable`` keeps the graph.
    """
    leaf = images.detach().requires_grad_(True)
    latents = encode(leaf).float()
    noise = torch.randn(latents.shape, generator=generator) / latents.detach().std().clamp_min(1e-6)
    (gradient,) = torch.autograd.grad((latents * noise).sum(), leaf, create_graph=differentiable)
    return gradient.float().square().sum(1).add(1e-12).sqrt()


def norms_of(norms: Float[Tensor, "b h w"]) -> GradientNorms:
    """Returns the figures of norms."""
    flat = norms.detach().flatten()
    square = flat.square()
    median = flat.median()
    level = max(1, round(0.001 * len(flat)))
    top = flat.topk(max(level, round(0.01 * len(flat)))).values / median
    return GradientNorms(
        mean_square=float(square.mean()),
        tail=float(square.square().mean() / square.mean().square()),
        median=float(median),
        p99=float(top[-1]),
        p999=float(top[level - 1]),
        largest=float(top[0]),
    )


def encoder_gradient_norms(
    encode: Encode, images: Float[Tensor, "b c h w"], seed: int, draws: int = 4
) -> GradientNorms:
    """Computes ``norms_of`` over several draws of noise, picture by picture."""
    generator = torch.Generator().manual_seed(seed)
    parts = [pixel_norms(encode, image[None], generator) for _ in range(draws) for image in images]
    return norms_of(torch.cat(parts))
