# SPDX-License-Identifier: Apache-2.0
"""A run's found lights, one a view and step: how they are looked for, and their average, which a report tells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pgc.errors import ConfigError
from pgc.lighting.explained.fit import explain_light
from pgc.lighting.explained.prior import LightPriorConfig, light_prior
from pgc.rendering.pbr_shading import SurfaceSamples

__all__ = ["ExplainedLightConfig", "LightExplainer"]

_KEY = "average"
_MEMORY = 0.9
"""Share of the average light that a step keeps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedLightConfig:
    """How a run finds the light of what its teacher wants.

    Attributes:
        prior: which light is plausible.
        noise: variance of a point's wanted value, each point counted as if it erred by itself; see `explain_light`.
        robust: error from which on a point counts less; None: all count the same.
        rounds: of the regression.
        points: of a view that the light is fitted to, drawn anew each step; all where there are fewer.
        blur: side of the square, as a share of the picture's, over which a mean counts as a low frequency: base colour
            takes those from the plain residual.
        cells: a light is fitted to every other square of so many by so many, as on a chessboard, and finishes learn
            where it was not: a sharper material fits noise better, and would be learnt for it. 0: both everywhere.

    Raises:
        ConfigError: a value is out of its range.
    """

    prior: LightPriorConfig = field(default_factory=lambda: LightPriorConfig(degree=4))
    noise: float = 0.4
    robust: float | None = 0.15
    rounds: int = 3
    points: int = 200
    blur: float = 0.23
    cells: int = 4

    def __post_init__(self) -> None:
        if not (self.noise > 0.0 and math.isfinite(self.noise)):
            raise ConfigError(f"Got a noise of {self.noise} for the found light; expected a number above 0.")
        if self.robust is not None and not (self.robust > 0.0 and math.isfinite(self.robust)):
            raise ConfigError(f"Got robust {self.robust} for the found light; expected a number above 0, or none.")
        if self.rounds < 1 or self.points < 1:
            raise ConfigError(f"Got {self.rounds} rounds on {self.points} points for a light; expected 1 or more.")
        if not 0 <= self.cells <= 64 or self.cells == 1:
            raise ConfigError(f"Got {self.cells} cells for the found light; expected 2 to 64, or 0.")
        if not 0.0 < self.blur <= 1.0:
            raise ConfigError(f"Got a blur of {self.blur} for the found light; expected more than 0 and 1 at most.")


class LightExplainer:
    """Finds the lights of a run step by step; their average is part of the run's state."""

    def __init__(self, config: ExplainedLightConfig) -> None:
        self.config = config
        self.prior = light_prior(config.prior)
        self.average: Float[Tensor, "k 3"] | None = None
        """Of the lights of the last steps; None before the first."""

    def some_of(self, whole: Bool[Tensor, "B 1 h w"], generator: torch.Generator) -> Bool[Tensor, "B 1 h w"]:
        """Draws which pixels a light is fitted to: about `points` a view of those that `whole` has.

        Args:
            whole: pixels that may be asked.
            generator: on the CPU.
        """
        share = self.config.points * len(whole) / max(1, int(whole.sum()))
        return whole & (torch.rand(whole.shape, generator=generator) < share).to(whole.device)

    def find(self, samples: SurfaceSamples, wanted: Float[Tensor, "P 3"], views: int) -> Float[Tensor, "B k 3"]:
        """Finds the light of each view, and takes it into the average.

        Args:
            samples: points of a step's views with the present material, view by view.
            wanted: what the pictures should show there, sRGB.
            views: how many there are, B.
        """
        config = self.config
        light = explain_light(
            samples, wanted, views, self.prior, noise=config.noise, robust=config.robust, rounds=config.rounds
        )
        now, before = light.mean(dim=0), self.average
        self.average = now if before is None else _MEMORY * before.to(now) + (1.0 - _MEMORY) * now
        return light

    def summary(self) -> dict[str, Any]:
        """Returns what a report says of the average light: its coefficients (harmonic by harmonic; red, green and blue;
        world axes), and its mean colour, linear radiance over all directions. Empty before the first step."""
        if self.average is None:
            return {}
        light = self.average.double().cpu()
        return {
            "coefficients": [[round(value, 4) for value in row] for row in light.tolist()],
            "mean_color": [round(value, 4) for value in (light[0] / math.sqrt(4.0 * math.pi)).tolist()],
        }

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the average, once there is one."""
        return {} if self.average is None else {_KEY: self.average}

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Goes on from there."""
        self.average = tensors.get(_KEY)
