# SPDX-License-Identifier: Apache-2.0
"""Light drawn anew for every step, so that no light can be baked into a texture.

Light that stays the same cannot be told from paint. With an environment, a turn about the vertical and an exposure
drawn for every step, what all of them agree on is the material.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor

from pgc.cameras import Camera
from pgc.errors import ConfigError
from pgc.lighting.base import StepLights
from pgc.rendering.light import Light, ViewedLight
from pgc.rendering.prefilter import PrefilteredEnvironment

__all__ = ["EnvironmentLighting", "LightingConfig", "eyes_of"]

_FAR = 1e4
"""How far behind an orthographic camera its rays are taken to start; the normalised mesh is 1.6 across."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LightingConfig:
    """How light varies from step to step.

    Attributes:
        rotate: turn the environment about the vertical by an angle drawn for every view.
        exposure: largest change of exposure, in stops, up or down; drawn for every view.
        offset: stops added to every draw. What a prior has to say of a dark picture, it says of few grey levels;
            brighter pictures tell its answer from its noise, until highlights run into the shoulder of the curve.
        reference: the oracle's target is lit as the render is ("known"), or by a light of its own drawing
            ("unknown"): what a prior that is not told the light amounts to.

    Raises:
        ConfigError: the exposure is negative or above 4 stops, or the offset is more than 4 stops.
    """

    rotate: bool = True
    exposure: float = 0.5
    offset: float = 0.0
    reference: Literal["known", "unknown"] = "known"

    def __post_init__(self) -> None:
        if not 0.0 <= self.exposure <= 4.0:
            raise ConfigError(f"Got an exposure range of {self.exposure} stops; expected a value from 0 to 4.")
        if not -4.0 <= self.offset <= 4.0:
            raise ConfigError(f"Got an exposure offset of {self.offset} stops; expected a value from -4 to 4.")


class EnvironmentLighting:
    """One of several environments a step, turned and exposed anew for every view."""

    def __init__(self, environments: Sequence[PrefilteredEnvironment], config: LightingConfig | None = None) -> None:
        """`environments`: what is drawn from, each as likely. Raises ConfigError where there is none."""
        if not environments:
            raise ConfigError("Got no environment to light the mesh with; pass at least one.")
        self.environments = list(environments)
        self.config = config or LightingConfig()

    def draw(self, cameras: Sequence[Camera], generator: torch.Generator) -> StepLights:
        """Draws as `Lighting.draw` says."""
        eyes = eyes_of(cameras)
        render = ViewedLight(light=self._light(len(cameras), generator), eye=eyes)
        if self.config.reference == "known":
            return StepLights(render=render, reference=render)
        return StepLights(render=render, reference=ViewedLight(light=self._light(len(cameras), generator), eye=eyes))

    def _light(self, views: int, generator: torch.Generator) -> Light:
        index = int(torch.randint(len(self.environments), (1,), generator=generator))
        turn = torch.rand(views, generator=generator) * (2.0 * math.pi if self.config.rotate else 0.0)
        exposure = (torch.rand(views, generator=generator) * 2.0 - 1.0) * self.config.exposure + self.config.offset
        return Light(environment=self.environments[index], rotation=turn, exposure=exposure)


def eyes_of(cameras: Sequence[Camera]) -> Tensor:
    """Returns where the cameras are, [B, 3] float32, world; of an orthographic one a point far behind it, as shading
    wants."""
    return torch.tensor([list(_eye(camera)) for camera in cameras], dtype=torch.float32)


def _eye(camera: Camera) -> Float32[np.ndarray, "3"]:
    if not camera.is_orthographic:
        return camera.position
    return camera.position + _FAR * camera.backward
