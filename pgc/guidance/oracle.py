# SPDX-License-Identifier: Apache-2.0
"""Guidance whose score is that of a known image: it measures everything around a diffusion prior without one.

For a distribution that holds one image only, with latents z*, the exact noise prediction is
ε̂ = (z_t - √ᾱ·z*) / √(1 - ᾱ): the optimum of the denoising loss of Ho et al. (DDPM, 2020, eq. 14).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from pgc.errors import ConfigError, GuidanceError
from pgc.guidance.base import (
    Conditions,
    NoisePrediction,
    PredictionType,
    PromptEmbedding,
    epsilon_from_prediction,
)
from pgc.guidance.resizing import resize_bilinear

__all__ = [
    "ConvolutionEncoderConfig",
    "IdentityEncoderConfig",
    "OracleConfig",
    "OracleGuidance",
    "OracleNoise",
    "scaled_linear_alphas_cumprod",
]

_KERNEL = 4
_NEGATIVE_SLOPE = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleNoise:
    """A fresh smooth disturbance of the target for every view and step, as a real prior would have it."""

    std: float = 0.15
    """In units of the image's [0, 1], at the grid points."""
    grid: int = 12
    """Side of the grid of independent values, which is interpolated bicubically to the render's size."""

    def __post_init__(self) -> None:
        if not (self.std > 0 and math.isfinite(self.std)):
            raise ConfigError(f"oracle.noise.std is {self.std}; it must be positive. For no noise, set noise to none.")
        if self.grid < 1:
            raise ConfigError(f"oracle.noise.grid is {self.grid}; it must be 1 or more.")


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityEncoderConfig:
    """Latents are the image itself: z = 2x - 1 at `image_size`. The well-behaved case."""

    kind: Literal["identity"] = "identity"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvolutionEncoderConfig:
    """A fixed random strided network whose ∂z/∂x is ugly on purpose.

    Every pixel goes in with a gain of its own, log-normal, so that a few of them get gradients two orders of
    magnitude above the median: the trouble that pixel-wise clipping is for. Leaky units make it nonlinear.
    """

    kind: Literal["convolution"] = "convolution"
    seed: int = 0
    channels: int = 8
    """Of the latents."""
    downsampling: int = 4
    """The image's side over the latents' side; a power of two."""
    log_gain_std: float = 1.2
    """Standard deviation of the logarithm of the gain; 0 makes all pixels equal."""

    def __post_init__(self) -> None:
        if self.channels < 1:
            raise ConfigError(f"oracle.encoder.channels is {self.channels}; it must be 1 or more.")
        if self.downsampling < 2 or self.downsampling & (self.downsampling - 1):
            raise ConfigError(f"oracle.encoder.downsampling is {self.downsampling}; it must be 2, 4, 8, …")
        if not 0.0 <= self.log_gain_std <= 4.0:
            raise ConfigError(f"oracle.encoder.log_gain_std is {self.log_gain_std}; it must lie in [0, 4].")


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleConfig:
    """What the oracle knows and how it blurs it."""

    image_size: int = 128
    encoder: IdentityEncoderConfig | ConvolutionEncoderConfig = field(default_factory=IdentityEncoderConfig)
    noise: OracleNoise | None = None

    def __post_init__(self) -> None:
        factor = self.encoder.downsampling if isinstance(self.encoder, ConvolutionEncoderConfig) else 1
        if self.image_size < 1 or self.image_size % factor:
            raise ConfigError(f"oracle.image_size is {self.image_size}; it must be a positive multiple of {factor}.")


def scaled_linear_alphas_cumprod(
    steps: int = 1000, beta_start: float = 0.00085, beta_end: float = 0.012
) -> Float[Tensor, " t"]:
    """Returns ᾱ_t of Stable Diffusion's schedule: √β rises linearly (Rombach et al., 2022); float32 on the CPU."""
    betas = torch.linspace(beta_start**0.5, beta_end**0.5, steps, dtype=torch.float64).square()
    return torch.cumprod(1.0 - betas, dim=0).float()


class _ConvolutionEncoder:
    """See `ConvolutionEncoderConfig`."""

    def __init__(self, config: ConvolutionEncoderConfig, image_size: int, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(config.seed)
        log_gain = torch.randn((1, 1, image_size, image_size), generator=generator) * config.log_gain_std
        gain = log_gain.exp()
        # A mean square of one keeps the latents near unit variance, whatever the spread.
        self.gain = (gain / gain.square().mean().sqrt()).to(device)
        widths = [3] + [config.channels] * int(math.log2(config.downsampling))
        self.weights = [
            # He et al., 2015: variance is kept through a leaky unit.
            (
                torch.randn((after, before, _KERNEL, _KERNEL), generator=generator)
                * math.sqrt(2.0 / (1.0 + _NEGATIVE_SLOPE**2) / (before * _KERNEL**2))
            ).to(device)
            for before, after in itertools.pairwise(widths)
        ]

    def __call__(self, signal: Tensor) -> Tensor:
        hidden = signal * self.gain
        for weight in self.weights:
            hidden = F.leaky_relu(F.conv2d(hidden, weight, stride=2, padding=1), _NEGATIVE_SLOPE)
        return hidden


class OracleGuidance:
    """`pgc.guidance.base.Guidance` by formula. Both halves of a prediction are equal, so any guidance scale fits."""

    def __init__(self, config: OracleConfig, device: torch.device) -> None:
        self.config = config
        self.name = "oracle"
        self.image_size = config.image_size
        self.device = device
        self.dtype = torch.float32
        self.prediction_type: PredictionType = "sample"
        self.alphas_cumprod = scaled_linear_alphas_cumprod().to(device)
        self._encoder = (
            _ConvolutionEncoder(config.encoder, config.image_size, device)
            if isinstance(config.encoder, ConvolutionEncoderConfig)
            else None
        )

    def encode_prompt(self, prompts: Sequence[str], *, negative: bool = False) -> PromptEmbedding:
        """Returns, since the oracle does not read, zeros of the right number of rows."""
        return PromptEmbedding(hidden_states=torch.zeros((len(prompts), 1, 1), device=self.device))

    def unknown_words(self, prompt: str) -> tuple[str, ...]:
        """Returns none: what the prompt says does not matter."""
        return ()

    def encode_image(
        self, image: Float[Tensor, "b 3 h w"], *, generator: torch.Generator | None = None
    ) -> Float[Tensor, "b k m n"]:
        """Encodes as `Guidance.encode_image` says; the posterior has no spread, so a generator changes nothing."""
        signal = 2.0 * resize_bilinear(image, self.image_size) - 1.0
        return signal if self._encoder is None else self._encoder(signal)

    def decode_latents(self, latents: Float[Tensor, "b k m n"]) -> Float[Tensor, "b 3 h w"]:
        """Decodes as `Guidance.decode_latents` says.

        Raises:
            GuidanceError: the encoder is the random convolution, which has no inverse.
        """
        if self._encoder is not None:
            raise GuidanceError(
                "Latents of the oracle's convolution encoder cannot be decoded; use the identity encoder for pictures."
            )
        return (latents.detach() * 0.5 + 0.5).clamp(0.0, 1.0)

    @torch.no_grad()
    def predict_noise(
        self, noisy_latents: Float[Tensor, "b k m n"], timestep: Int[Tensor, " b"], conditions: Conditions
    ) -> NoisePrediction:
        """Predicts as `Guidance.predict_noise` says; needs `conditions.truth_image`, and a generator if there is
        noise."""
        reference = conditions.truth_image
        if reference is None:
            raise GuidanceError(
                "The oracle got no truth_image; give the run a known material to render as its reference."
            )
        if reference.shape[0] != noisy_latents.shape[0]:
            raise GuidanceError(
                f"The oracle got {reference.shape[0]} reference images for {noisy_latents.shape[0]} latents; "
                "expected one a view."
            )
        if self.config.noise is not None:
            reference = reference + self._draw_noise(self.config.noise, reference, conditions)
        epsilon = epsilon_from_prediction(
            self.encode_image(reference).to(noisy_latents.dtype),
            noisy_latents,
            self.alphas_cumprod[timestep].to(noisy_latents.dtype),
            "sample",
        )
        return NoisePrediction(cond=epsilon, uncond=epsilon)

    @staticmethod
    def _draw_noise(noise: OracleNoise, like: Tensor, conditions: Conditions) -> Tensor:
        """Not clamped to [0, 1] afterwards: that would shift the mean of dark and bright targets."""
        if conditions.generator is None:
            raise GuidanceError(
                "The oracle's noise needs conditions.generator, so that a run can be repeated; got none."
            )
        batch, channels, height, width = like.shape
        first, views = conditions.among or (0, batch)
        values = torch.randn((views, channels, noise.grid, noise.grid), generator=conditions.generator) * noise.std
        values = values[first : first + batch]
        smooth = F.interpolate(values, (height, width), mode="bicubic", align_corners=False)
        return smooth.to(like)
