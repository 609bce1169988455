# SPDX-License-Identifier: Apache-2.0
"""Between the pictures and the prior's latents: there with the encoder, back with its gradient.

The encoder's graph is the largest thing that a step holds (6 GB a view for Stable Diffusion XL at 1024 pixels), and
the prior is asked while it is held. View by view, no graph is held meanwhile: each picture is encoded again, alone,
when its gradient is known (Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016). That costs one more
pass of the encoder, a sixth of a step, and changes nothing but the order of the arithmetic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.errors import ConfigError
from pgc.gradient_regulation.linear_approximation import LinearMap, fit_linear_encoder, linear_gradient
from pgc.guidance.base import Guidance
from pgc.optimization.config import EncoderGradientConfig, LinearGradientConfig
from pgc.randomness import generator_for

__all__ = [
    "EncodedViews",
    "ViewEncoder",
    "as_latents",
    "backpropagate",
    "fit_linear_map",
    "latent_shape",
    "view_encoder",
]

_AT_ONCE = 4


def backpropagate(
    image: Float[Tensor, "b c h w"], latents: Float[Tensor, "b k m n"], latent_gradient: Float[Tensor, "b k m n"]
) -> Float[Tensor, "b c h w"]:
    """Computes (∂z/∂x)ᵀ · ∂L/∂z through the encoder's own graph. `latents` must have been computed from `image`."""
    (gradient,) = torch.autograd.grad(latents, image, grad_outputs=latent_gradient.to(latents.dtype))
    return gradient


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncodedViews:
    """Pictures, cut off from the texture, and their latents."""

    image: Float[Tensor, "b c h w"]
    latents: Float[Tensor, "b k m n"]
    """On a graph back to `image`, where that is held."""
    noise_seed: int = 0
    """Of the sample, where the posterior was sampled."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ViewEncoder:
    """Encodes a step's pictures, and carries the gradient on their latents back."""

    guidance: Guidance
    loss_scale: float
    """See `EncoderGradientConfig.loss_scale`."""
    needs_gradient: bool
    """Whether a gradient on the latents will be carried back."""
    view_by_view: bool = False
    """Hold no graph while the prior is asked, and never more than one view's."""
    linear: LinearMap | None = None
    """In place of the encoder's own gradient."""
    posterior: Literal["mean", "sample"] = "mean"
    """See `EncoderGradientConfig.posterior`."""
    first_view: int = 0
    """Number of the first picture among the step's views, where others encode those before it."""

    def encode(self, image: Float[Tensor, "b 3 h w"], *, noise_seed: int = 0) -> EncodedViews:
        """Returns the latents of pictures; no gradient goes on to what they were made of.

        Where the posterior is sampled, `noise_seed` says which sample: one a view, whether encoded together or not.
        """
        if not self.view_by_view and self.linear is None:
            leaf = image.detach().requires_grad_(self.needs_gradient)
            return EncodedViews(image=leaf, latents=self._all_encoded(leaf, noise_seed), noise_seed=noise_seed)
        leaf = image.detach()
        with torch.no_grad():
            latents = self._all_encoded(leaf, noise_seed)
        return EncodedViews(image=leaf, latents=latents, noise_seed=noise_seed)

    def propagate(self, encoded: EncodedViews, latent_gradient: Float[Tensor, "b k m n"]) -> Float[Tensor, "b 3 h w"]:
        """Returns ∂L/∂x as the encoder gives it, infinities and NaNs included; what `encode` held is consumed."""
        if not self.needs_gradient:
            return torch.zeros_like(encoded.image)
        if self.linear is not None:
            height, width = encoded.image.shape[-2:]
            return linear_gradient(latent_gradient.to(encoded.image), self.linear, (height, width))
        if not self.view_by_view:
            return self._propagate(encoded, latent_gradient)
        gradients: list[Tensor] = []
        for index, (view, wanted) in enumerate(zip(encoded.image.split(1), latent_gradient.split(1), strict=True)):
            leaf = view.detach().requires_grad_(True)
            again = EncodedViews(image=leaf, latents=self._encoded(leaf, index, encoded.noise_seed))
            gradients.append(self._propagate(again, wanted))
        return torch.cat(gradients)

    def _all_encoded(self, images: Tensor, noise_seed: int) -> Tensor:
        if self.posterior == "mean" and not self.view_by_view:
            return self.guidance.encode_image(images)
        return torch.cat([self._encoded(view, index, noise_seed) for index, view in enumerate(images.split(1))])

    def _encoded(self, view: Tensor, index: int, noise_seed: int) -> Tensor:
        if self.posterior == "mean":
            return self.guidance.encode_image(view)
        return self.guidance.encode_image(
            view, generator=generator_for(noise_seed, self.first_view + index, "posterior")
        )

    def _propagate(self, encoded: EncodedViews, latent_gradient: Tensor) -> Tensor:
        scale = self.loss_scale
        return backpropagate(encoded.image, encoded.latents, latent_gradient * scale) / scale


def latent_shape(guidance: Guidance) -> tuple[int, int, int]:
    """Returns channels, height and width of a prior's latents: of an empty picture, which is encoded for it."""
    with torch.no_grad():
        side = guidance.image_size
        empty = torch.zeros((1, 3, side, side), device=guidance.device)
        channels, height, width = guidance.encode_image(empty).shape[1:]
    return channels, height, width


def as_latents(image: Float[Tensor, "b k h w"], guidance: Guidance, shape: tuple[int, int, int]) -> EncodedViews:
    """Takes pictures for latents: from [0, 1] to [-1, 1], each latent pixel the mean of what it covers. `shape`: that
    of the prior's latents (`latent_shape`).

    Raises:
        ConfigError: the prior's latents have another number of channels.
    """
    channels, height, width = shape
    if channels != image.shape[1]:
        raise ConfigError(
            f"Normals and outline are {image.shape[1]} channels, and the latents of {guidance.name} have {channels}; "
            "leave the latent phase out."
        )
    leaf = image.detach().requires_grad_(True)
    return EncodedViews(image=leaf, latents=2.0 * torch.nn.functional.adaptive_avg_pool2d(leaf, (height, width)) - 1.0)


def view_encoder(
    guidance: Guidance, config: EncoderGradientConfig | LinearGradientConfig, *, needs_gradient: bool
) -> ViewEncoder:
    """Builds the encoder that a configuration describes; a linear map is fitted now."""
    match config:
        case EncoderGradientConfig():
            return ViewEncoder(
                guidance=guidance,
                loss_scale=config.loss_scale,
                needs_gradient=needs_gradient,
                posterior=config.posterior,
            )
        case LinearGradientConfig():
            linear = fit_linear_map(guidance, config.images)
            return ViewEncoder(guidance=guidance, loss_scale=1.0, needs_gradient=needs_gradient, linear=linear)


@torch.no_grad()
def fit_linear_map(guidance: Guidance, count: int, seed: int = 0) -> LinearMap:
    """Fits a teacher's encoder on smooth random pictures, which have every colour and few edges."""
    size = guidance.image_size
    small = torch.rand((count, 3, 4, 4), generator=torch.Generator().manual_seed(seed))
    images = torch.nn.functional.interpolate(small, size=(size, size), mode="bicubic").clamp(0.0, 1.0)
    encoded = [guidance.encode_image(some.to(guidance.device)).cpu() for some in images.split(_AT_ONCE)]
    return fit_linear_encoder(images, torch.cat(encoded))
