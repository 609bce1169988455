# SPDX-License-Identifier: Apache-2.0
"""What no picture can tell: whether a surface is pale or its light bright. It is settled over all views together.

A material times a factor under light over the same factor looks the same, channel by channel; and paint that is darker
from above looks like light that comes from below. Each view's light leaves that to the prior, which is weak beside a
picture, so that both drift apart step by step. So the light that is found on average has to be the plausible one: its
brightness and tint by a factor for each channel, its first degrees by what is missing.

Found lights are dimmer than true ones, since pictures do not show how bright the brightest highlights are: three
quarters of the true brightness, with true materials of the suite under environments that were drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.errors import ConfigError
from pgc.lighting.explained.prior import LightPrior

__all__ = ["LightPinning", "PinningConfig"]

_KEY = "mean"


@dataclass(frozen=True, slots=True, kw_only=True)
class PinningConfig:
    """What the average of found lights is held to.

    Attributes:
        share: of the plausible brightness, that pictures show.
        degree: up to which the average's shape is held, beside brightness and tint; 0 holds these alone.
        memory: share of the average that a step keeps.

    Raises:
        ConfigError: a value is out of its range.
    """

    share: float = 0.75
    degree: int = 2
    memory: float = 0.9

    def __post_init__(self) -> None:
        if not 0.0 < self.share <= 2.0:
            raise ConfigError(f"Got a share of {self.share} of the brightness; expected more than 0 and 2 at most.")
        if self.degree < 0:
            raise ConfigError(f"Got degree {self.degree} to pin; expected 0 or more.")
        if not 0.0 <= self.memory < 1.0:
            raise ConfigError(f"Got a memory of {self.memory}; expected a value from 0 to below 1.")


class LightPinning:
    """Holds the average of the lights that a run finds; the average is part of the run's state."""

    def __init__(self, prior: LightPrior, config: PinningConfig) -> None:
        self.prior, self.config = prior, config
        self.average: Tensor | None = None

    def pin(self, light: Float[Tensor, "B k 3"]) -> Float[Tensor, "B k 3"]:
        """Takes the lights of a step into the average, and returns them moved by what it is off by."""
        config = self.config
        now = light.mean(dim=0)
        before = self.average
        self.average = now if before is None else config.memory * before.to(now) + (1.0 - config.memory) * now
        goal = config.share * self.prior.mean.to(now)
        # A picture of the background alone, or a black one, has next to no light to be scaled.
        scale = goal[0] / torch.maximum(self.average[0], 0.05 * goal[0])
        moved = light * scale
        held = min((config.degree + 1) ** 2, light.shape[1])
        moved[:, 1:held] += goal[1:held] - scale * self.average[1:held]
        return moved

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the average, once there is one."""
        return {} if self.average is None else {_KEY: self.average}

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Goes on from there."""
        self.average = tensors.get(_KEY)
