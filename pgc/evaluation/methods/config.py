# SPDX-License-Identifier: Apache-2.0
"""What is compared: settings of the loop, each by a name, on prompts and meshes drawn for tuning."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from pgc.distillation.hifa import HiFAConfig
from pgc.errors import ConfigError
from pgc.evaluation.prompts.prompts import prompt_text
from pgc.gradient_regulation.adaptive_clipping import AdaptiveClippingConfig
from pgc.gradient_regulation.build import RegulationConfig
from pgc.gradient_regulation.pixelwise_clipping import PixelwiseClippingConfig
from pgc.gradient_regulation.unregulated import UnregulatedConfig
from pgc.optimization.config import OptimizeConfig
from pgc.pocket.data.materials import COLORS, MATERIALS, ColorName, MaterialName

__all__ = ["TUNING_MESHES", "TUNING_SEED", "Method", "TuningCase", "clipping_methods", "regulation_of", "tuning_cases"]

TUNING_SEED = 20261129
"""Of meshes and seeds that no other list has. Words are drawn freely: one of the first four prompts, "a blue polka dot
object", is in the list of `pgc eval prompts` too, on another mesh."""
TUNING_MESHES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One setting of the loop under a name that files can have."""

    name: str
    optimize: OptimizeConfig

    def __post_init__(self) -> None:
        if not self.name or not self.name.replace("-", "").replace(".", "").replace("_", "").isalnum():
            raise ConfigError(f"The method's name {self.name!r} must consist of letters, digits, dots and dashes.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningCase:
    """A prompt on one of the drawn meshes, with what it names."""

    index: int
    prompt: str
    color: ColorName
    material: MaterialName
    mesh: int
    seed: int


def tuning_cases(count: int, seed: int = TUNING_SEED) -> tuple[TuningCase, ...]:
    """Draws cases of different colours and materials as far as there are some, on the meshes in turn.

    Raises:
        ConfigError: fewer than one case.
    """
    if count < 1:
        raise ConfigError(f"Got {count} cases; expected 1 or more.")
    rng = np.random.default_rng(seed)
    colors, materials = rng.permutation(len(COLORS)), rng.permutation(len(MATERIALS))
    drawn = [(COLORS[colors[i % len(COLORS)]], MATERIALS[materials[i % len(MATERIALS)]]) for i in range(count)]
    return tuple(
        TuningCase(index=i, prompt=prompt_text(c, m), color=c, material=m, mesh=i % TUNING_MESHES, seed=9000 + i)
        for i, (c, m) in enumerate(drawn)
    )


def regulation_of(threshold: float | None) -> RegulationConfig:
    """Returns PGC-N at a threshold; without one none."""
    return UnregulatedConfig() if threshold is None else PixelwiseClippingConfig(threshold=threshold)


def _regulations(thresholds: Iterable[float | None]) -> list[tuple[str, RegulationConfig]]:
    return [("none" if one is None else f"{one:g}", regulation_of(one)) for one in thresholds]


def clipping_methods(base: OptimizeConfig, *, quick: bool) -> tuple[Method, ...]:
    """Returns the sweep c × λ × ε for a preset whose loss is HiFA.

    c is the threshold of the whole ∂L/∂x, λ the weight of the gradient on the latents beside the residual in the image
    (whose weight is 1), ε Adam's, which decides what small gradients count for. Quantiles are tried at the preset's ε.

    Raises:
        ConfigError: the preset's loss is another one.
    """
    loss = base.distillation
    if not isinstance(loss, HiFAConfig):
        raise ConfigError(f"The sweep of clipping is for HiFA; the preset has {type(loss).__name__}.")
    thresholds = (None, 0.3, 0.1) if quick else (None, 1.0, 0.3, 0.1, 0.05, 0.02)
    weights = (0.0, 1.0) if quick else (0.0, 0.3, 1.0)
    epsilons = (base.epsilon,) if quick else (base.epsilon / 3, base.epsilon, base.epsilon * 3)
    regulations = _regulations(thresholds)
    rows = list(product(regulations, weights, epsilons))
    quantiles = [(f"q{share:g}", AdaptiveClippingConfig(quantile=share)) for share in (0.5, 0.9)]
    rows += [(one, weight, base.epsilon) for one in quantiles for weight in weights]
    return tuple(
        Method(
            name=f"c{name}-l{weight:g}-e{epsilon:.3g}",
            optimize=replace(
                base, distillation=replace(loss, latent_weight=weight), regulation=regulation, epsilon=epsilon
            ),
        )
        for (name, regulation), weight, epsilon in rows
    )
