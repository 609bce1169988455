# SPDX-License-Identifier: Apache-2.0
"""Settings of a warm start. Apart from what it does, so that they import fast."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pgc.errors import ConfigError

__all__ = ["WarmStartConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmStartConfig:
    """How pictures of the whole mesh are sampled together.

    Attributes:
        views: how many, all round the mesh, in turn from above and from below.
        steps: of the sampler (DDIM), each with one call of the prior a view.
        guidance_scale: of classifier-free guidance. What serves distillation (100 for Stable Diffusion) burns samples.
        most_noise: where sampling starts, as a fraction of all timesteps; less leaves more of what is on the mesh.
        agree_above: at timesteps below this fraction the pictures are no longer made to agree with one another.
        grazing: a view's weight at a texel is the cosine between its ray and the normal to this power.
        elevations: of the views, in radians, in turn.
        focal: focal length in picture heights.
        distance: of the cameras from the origin, in units of the normalised mesh.

    Raises:
        ConfigError: a value is out of range.
    """

    views: int = 8
    steps: int = 12
    guidance_scale: float = 7.0
    most_noise: float = 0.99
    agree_above: float = 0.0
    grazing: float = 4.0
    elevations: tuple[float, float] = (0.6, -0.3)
    focal: float = 1.0
    distance: float = 2.25

    def __post_init__(self) -> None:
        for name in ("views", "steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"warm_start.{name} is {getattr(self, name)}; it must be 1 or more.")
        if not 0.0 < self.most_noise < 1.0:
            raise ConfigError(f"warm_start.most_noise is {self.most_noise}; it must lie between 0 and 1.")
        if not 0.0 <= self.agree_above <= 1.0:
            raise ConfigError(f"warm_start.agree_above is {self.agree_above}; it must lie in [0, 1].")
        for name in ("guidance_scale", "grazing"):
            if not (getattr(self, name) >= 0.0 and math.isfinite(getattr(self, name))):
                raise ConfigError(f"warm_start.{name} is {getattr(self, name)}; it must be 0 or more.")
        for name in ("focal", "distance"):
            if not (getattr(self, name) > 0.0 and math.isfinite(getattr(self, name))):
                raise ConfigError(f"warm_start.{name} is {getattr(self, name)}; it must be above 0.")
