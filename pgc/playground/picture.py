# SPDX-License-Identifier: Apache-2.0
"""The paper's 2D experiment: a picture that a teacher changes step by step, under one way for the gradient.

Pan et al., ICLR 2024, Figure 2, compares six: (i) the latents themselves are optimised and decoded at the end, (ii) the
encoder's own gradient, (iii) its linear approximation, (iv) PNGD, (v) PGC-V, (vi) PGC-N. There is no mesh, so that all
that differs is what becomes of ∂L/∂x.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, assert_never, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.distillation.base import DistillationLoss
from pgc.distillation.build import DistillationConfig, build_distillation
from pgc.distillation.hifa import HiFAConfig
from pgc.distillation.sds import SDSConfig
from pgc.errors import ConfigError
from pgc.gradient_regulation.base import GradientRegulation
from pgc.gradient_regulation.build import build_regulation
from pgc.gradient_regulation.linear_approximation import LinearMap, linear_gradient
from pgc.gradient_regulation.pixelwise_clipping import PixelwiseClippingConfig
from pgc.gradient_regulation.pixelwise_normalization import PixelwiseNormalizationConfig
from pgc.gradient_regulation.unregulated import UnregulatedConfig
from pgc.gradient_regulation.valuewise_clipping import ValuewiseClippingConfig
from pgc.guidance.base import Conditions, Guidance
from pgc.guidance.resizing import resize_bilinear
from pgc.optimization.gradient_statistics import GradientStatistics, gradient_statistics
from pgc.optimization.view_encoder import backpropagate, fit_linear_map
from pgc.randomness import generator_for

__all__ = ["ENCODED_WAYS", "WAYS", "FinishedPicture", "PlaygroundConfig", "Way", "optimize_picture"]

Way = Literal["latent", "vae", "linear", "pngd", "pgc-v", "pgc-n"]
WAYS: tuple[Way, ...] = get_args(Way)
ENCODED_WAYS: tuple[Way, ...] = tuple(way for way in WAYS if way != "latent")
"""Those of a teacher without a decoder: latents by themselves are no picture."""
_FIT_IMAGES = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaygroundConfig:
    """The settings of the experiment, the same for each way."""

    steps: int = 60
    learning_rate: float = 0.03
    """Adam's, on sRGB values in [0, 1]; on latents five times as much."""
    threshold: float = 0.1
    seed: int = 0
    distillation: DistillationConfig = field(default_factory=SDSConfig)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ConfigError(f"steps is {self.steps}; it must be 1 or more.")
        if not self.learning_rate > 0:
            raise ConfigError(f"learning_rate is {self.learning_rate}; it must be above 0.")
        if isinstance(self.distillation, HiFAConfig) and self.distillation.latent_weight == 0:
            raise ConfigError(
                f"{type(self.distillation).__name__} sends no gradient through the encoder, which this compares; "
                "choose another loss, or a latent_weight above 0."
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FinishedPicture:
    """What one way came to."""

    way: Way
    image: Float[Tensor, "1 3 h w"]
    """sRGB in [0, 1]."""
    gradient: Float[Tensor, "1 3 h w"]
    """∂L/∂x of the last step, as it was used; of "latent" the first three channels of ∂L/∂z, enlarged."""
    statistics: GradientStatistics | None
    """Of the last step; None for "latent", which has no ∂L/∂x."""
    error: float | None = None
    """Root mean square distance to the picture that the teacher knows; None: it knows none."""


def optimize_picture(
    guidance: Guidance,
    prompt: str,
    way: Way,
    config: PlaygroundConfig,
    truth: Float[Tensor, "1 3 s s"] | None = None,
) -> FinishedPicture:
    """Optimises a gray picture by a prompt, at the teacher's own size.

    Args:
        guidance: the teacher.
        prompt: what it is asked for; the oracle reads none.
        way: what becomes of the gradient.
        config: the settings.
        truth: the picture that the oracle knows, sRGB in [0, 1], of any size.

    Raises:
        ConfigError: the teacher cannot serve the loss.
    """
    known = None if truth is None else resize_bilinear(truth.to(guidance.device), guidance.image_size)
    conditions = Conditions(
        prompt=guidance.encode_prompt([prompt]),
        negative=guidance.encode_prompt([""], negative=True),
        truth_image=known,
    )
    gray = torch.full((1, 3, guidance.image_size, guidance.image_size), 0.5, device=guidance.device)
    loss = build_distillation(config.distillation, guidance, seed=config.seed)
    run = _Run(guidance=guidance, conditions=conditions, config=config, loss=loss)
    found = run.latents(gray) if way == "latent" else run.image(gray, way)
    return found if known is None else replace(found, error=float((found.image - known).square().mean().sqrt()))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Run:
    guidance: Guidance
    conditions: Conditions
    config: PlaygroundConfig
    loss: DistillationLoss

    def latent_gradient(self, latents: Tensor, step: int) -> Tensor:
        outcome = self.loss.gradient(
            latents.detach(),
            self.guidance,
            self.conditions,
            progress=step / self.config.steps,
            generator=generator_for(self.config.seed, step, "playground"),
        )
        return outcome.gradient

    def latents(self, gray: Tensor) -> FinishedPicture:
        with torch.no_grad():
            latents = self.guidance.encode_image(gray)
        latents.requires_grad_(True)
        optimizer = torch.optim.Adam([latents], lr=5 * self.config.learning_rate, betas=(0.9, 0.99))
        gradient = torch.zeros_like(latents)
        for step in range(self.config.steps):
            gradient = self.latent_gradient(latents, step)
            latents.grad = gradient
            optimizer.step()
        shown = torch.nn.functional.interpolate(gradient[:, :3], size=gray.shape[-2:], mode="nearest")
        image = self.guidance.decode_latents(latents.detach())
        return FinishedPicture(way="latent", image=image, gradient=shown, statistics=None)

    def image(self, gray: Tensor, way: Way) -> FinishedPicture:
        image = gray.clone().requires_grad_(True)
        optimizer = torch.optim.Adam([image], lr=self.config.learning_rate, betas=(0.9, 0.99))
        regulation = _regulation(way, self.config.threshold)
        linear = fit_linear_map(self.guidance, _FIT_IMAGES, self.config.seed) if way == "linear" else None
        everywhere = torch.ones_like(gray[:, :1], dtype=torch.bool)
        raw = regulated = torch.zeros_like(gray)
        for step in range(self.config.steps):
            raw = self._raw_gradient(image, linear, step)
            regulated = regulation.regulate(raw, everywhere)
            image.grad = regulated
            optimizer.step()
            with torch.no_grad():
                image.clamp_(0.0, 1.0)
        statistics = gradient_statistics(torch.nan_to_num(raw), regulated, everywhere, ~torch.isfinite(raw[:, :1]))
        return FinishedPicture(way=way, image=image.detach(), gradient=regulated, statistics=statistics)

    def _raw_gradient(self, image: Tensor, linear: LinearMap | None, step: int) -> Tensor:
        if linear is not None:
            with torch.no_grad():
                latents = self.guidance.encode_image(image)
            return linear_gradient(self.latent_gradient(latents, step), linear, (image.shape[-2], image.shape[-1]))
        leaf = image.detach().requires_grad_(True)
        latents = self.guidance.encode_image(leaf)
        return backpropagate(leaf, latents, self.latent_gradient(latents, step))


def _regulation(way: Way, threshold: float) -> GradientRegulation:
    match way:
        case "vae" | "linear" | "latent":
            return build_regulation(UnregulatedConfig())
        case "pngd":
            return build_regulation(PixelwiseNormalizationConfig(threshold=threshold))
        case "pgc-v":
            return build_regulation(ValuewiseClippingConfig(threshold=threshold))
        case "pgc-n":
            return build_regulation(PixelwiseClippingConfig(threshold=threshold))
        case _:
            assert_never(way)
