# SPDX-License-Identifier: Apache-2.0
"""How a gradient on the latents becomes a gradient on the rendered image.

Pixel-wise gradient clipping: Pan et al., "Enhancing High-Resolution 3D Generation through Pixel-wise Gradient
Clipping", ICLR 2024 (arXiv 2310.12474), eq. 10. The gradient is taken on the *composited* render, background
included, and before anything else is back-propagated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.errors import ConfigError

__all__ = [
    "BackpropagationConfig",
    "GradientRegulation",
    "PixelNorm",
    "PixelwiseClipping",
    "PixelwiseClippingConfig",
    "RegulationConfig",
    "RegulationName",
    "Unregulated",
    "backpropagate",
    "build_regulation",
    "clip_gradient_pixelwise",
    "pixel_norm",
]

PixelNorm = Literal["l2", "linf"]


def pixel_norm(grad: Float[Tensor, "b c h w"], norm: PixelNorm = "l2") -> Float[Tensor, "b 1 h w"]:
    """Returns the size of each pixel's gradient over its channels: Euclidean, or the largest absolute channel."""
    if norm == "l2":
        return torch.linalg.vector_norm(grad, dim=1, keepdim=True)
    return grad.abs().amax(dim=1, keepdim=True)


def clip_gradient_pixelwise(
    grad: Float[Tensor, "b c h w"], threshold: float, norm: PixelNorm = "l2"
) -> Float[Tensor, "b c h w"]:
    """Applies PGC-N: scales each pixel's gradient so that its norm is at most `threshold`; its direction stays.

    Args:
        grad: ∂L/∂x of the composited render, any real dtype.
        threshold: c > 0; the paper's default is 0.1. Under loss scaling by S, pass S·c.
        norm: "l2" is the paper's eq. 10; "linf" (largest absolute channel) is what the official code does.

    Returns:
        The clipped gradient. A pixel that holds an infinity or a NaN has no direction, and comes back as zero.

    Raises:
        ConfigError: the threshold is not positive.
    """
    if not threshold > 0:
        raise ConfigError(f"The clipping threshold is {threshold}; it must be above 0 (the paper uses 0.1).")
    finite = torch.isfinite(grad).all(dim=1, keepdim=True)
    safe = torch.where(finite, grad, torch.zeros((), dtype=grad.dtype, device=grad.device))
    if math.isinf(threshold):
        return safe
    # float32 keeps the square of a large half-precision gradient from overflowing.
    size = pixel_norm(safe.float(), norm)
    scale = (threshold / size.clamp_min(torch.finfo(torch.float32).tiny)).clamp_max(1.0)
    return (safe.float() * scale).to(grad.dtype)


def backpropagate(
    image: Float[Tensor, "b c h w"],
    latents: Float[Tensor, "b k m n"],
    latent_gradient: Float[Tensor, "b k m n"],
) -> Float[Tensor, "b c h w"]:
    """Computes (∂z/∂x)ᵀ · ∂L/∂z through the encoder's own graph. `latents` must have been computed from `image`."""
    (gradient,) = torch.autograd.grad(latents, image, grad_outputs=latent_gradient.to(latents.dtype))
    return gradient


@runtime_checkable
class GradientRegulation(Protocol):
    """Carries a gradient from the latents to the image; other ways than clipping have their place here."""

    def propagate(
        self,
        image: Float[Tensor, "b c h w"],
        latents: Float[Tensor, "b k m n"],
        latent_gradient: Float[Tensor, "b k m n"],
    ) -> Float[Tensor, "b c h w"]:
        """Returns ∂L/∂x on the image, regulated. The graph from `image` to `latents` is consumed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelwiseClippingConfig:
    """The settings of PGC-N, which clips each pixel's gradient."""

    threshold: float = 0.1
    """c of eq. 10, in units of the unscaled gradient."""
    norm: PixelNorm = "l2"
    """"l2": the paper; "linf": the official code."""
    loss_scale: float = 1.0
    """S: what the latent gradient is multiplied by before it goes through a half-precision encoder. Clipping
    happens at S·c, and the result is divided by S, so that S changes nothing but underflow."""

    def __post_init__(self) -> None:
        if not self.threshold > 0:
            raise ConfigError(f"regulation.threshold is {self.threshold}; it must be above 0.")
        if self.norm not in ("l2", "linf"):
            raise ConfigError(f"regulation.norm is {self.norm!r}; it must be 'l2' or 'linf'.")
        if not (self.loss_scale > 0 and math.isfinite(self.loss_scale)):
            raise ConfigError(f"regulation.loss_scale is {self.loss_scale}; it must be positive and finite.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BackpropagationConfig:
    """Plain back-propagation through the encoder: what the field did before PGC; kept for comparison."""

    loss_scale: float = 1.0

    def __post_init__(self) -> None:
        if not (self.loss_scale > 0 and math.isfinite(self.loss_scale)):
            raise ConfigError(f"regulation.loss_scale is {self.loss_scale}; it must be positive and finite.")


RegulationConfig = PixelwiseClippingConfig | BackpropagationConfig
RegulationName = Literal["pgc", "none"]


class PixelwiseClipping:
    """Back-propagation through the encoder, then PGC-N."""

    def __init__(self, config: PixelwiseClippingConfig) -> None:
        self.config = config

    def propagate(
        self,
        image: Float[Tensor, "b c h w"],
        latents: Float[Tensor, "b k m n"],
        latent_gradient: Float[Tensor, "b k m n"],
    ) -> Float[Tensor, "b c h w"]:
        """Returns what `GradientRegulation.propagate` says."""
        scale = self.config.loss_scale
        gradient = backpropagate(image, latents, latent_gradient * scale)
        return clip_gradient_pixelwise(gradient, self.config.threshold * scale, self.config.norm) / scale


class Unregulated:
    """Back-propagation through the encoder and nothing else; non-finite pixels are zeroed as everywhere."""

    def __init__(self, config: BackpropagationConfig) -> None:
        self.config = config

    def propagate(
        self,
        image: Float[Tensor, "b c h w"],
        latents: Float[Tensor, "b k m n"],
        latent_gradient: Float[Tensor, "b k m n"],
    ) -> Float[Tensor, "b c h w"]:
        """Returns what `GradientRegulation.propagate` says."""
        scale = self.config.loss_scale
        return clip_gradient_pixelwise(backpropagate(image, latents, latent_gradient * scale), math.inf) / scale


def build_regulation(config: RegulationConfig) -> GradientRegulation:
    """Builds the regulation that a configuration describes."""
    match config:
        case PixelwiseClippingConfig():
            return PixelwiseClipping(config)
        case BackpropagationConfig():
            return Unregulated(config)
