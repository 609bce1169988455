# SPDX-License-Identifier: Apache-2.0
"""Cameras that change over a run, or come close: the official PGC code's stages of its lens, and views of details."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np

from pgc.cameras.camera import Camera
from pgc.cameras.sampling import (
    CameraSampler,
    PaperCameraSampler,
    PaperSamplerConfig,
    Range,
    SphereCameraSampler,
    SphereSamplerConfig,
)
from pgc.errors import ConfigError

__all__ = [
    "CloseUpCameraSampler",
    "CloseUpSamplerConfig",
    "ProgressingSampler",
    "StagedCameraSampler",
    "StagedSamplerConfig",
]

_OFFICIAL_STAGES: tuple[tuple[float, Range], ...] = ((0.3, (0.7, 1.35)), (0.6, (0.85, 1.475)), (1.0, (1.0, 1.6)))


@runtime_checkable
class ProgressingSampler(CameraSampler, Protocol):
    """A sampler whose views depend on how far the run is."""

    def set_progress(self, progress: float) -> None:
        """Tells the share of the run that is done, in [0, 1)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedSamplerConfig:
    """The paper's belt, with lenses that get longer in stages.

    The official code has ten epochs for Stable Diffusion: three, three and four at these focal lengths.

    Raises:
        ConfigError: the stages do not end one after the other, the last at 1.
    """

    belt: PaperSamplerConfig = field(default_factory=PaperSamplerConfig)
    """Its focal range is replaced by that of the stage."""
    stages: tuple[tuple[float, Range], ...] = _OFFICIAL_STAGES
    """Share of the run at which a stage ends, and its range of focal lengths."""

    def __post_init__(self) -> None:
        ends = [end for end, _ in self.stages]
        if not ends or ends != sorted(set(ends)) or ends[0] <= 0.0 or ends[-1] != 1.0:
            raise ConfigError(f"Got stages that end at {ends}; expected rising shares of the run, the last one 1.")


class StagedCameraSampler:
    """Draws from the belt, at the focal lengths of the stage."""

    def __init__(self, config: StagedSamplerConfig | None = None) -> None:
        """`config`: the official code's stages by default."""
        self.config = config or StagedSamplerConfig()
        self._belts = [PaperCameraSampler(replace(self.config.belt, focal=focal)) for _, focal in self.config.stages]
        self._stage = 0

    def set_progress(self, progress: float) -> None:
        """Goes to the stage of this share of the run."""
        ends = [end for end, _ in self.config.stages]
        self._stage = next((at for at, end in enumerate(ends) if progress < end), len(ends) - 1)

    def sample(self, count: int, generator: np.random.Generator) -> list[Camera]:
        """Draws as `CameraSampler.sample` says."""
        return self._belts[self._stage].sample(count, generator)


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseUpSamplerConfig:
    """Views from everywhere, of which some look at a part.

    The official code draws parts from a mixture of Gaussians, and leaves them out by default.

    Raises:
        ConfigError: a share or a range is impossible.
    """

    around: SphereSamplerConfig = field(default_factory=SphereSamplerConfig)
    share: float = 0.3
    """Of the views that look at a part."""
    zoom: Range = (1.5, 2.5)
    """How many times as large a part is seen."""
    spread: float = 0.5
    """The point looked at is uniform in a cube of this half-size around the origin; the mesh's is 0.8."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise ConfigError(f"Got share {self.share} of close-ups; expected 0 to 1.")
        if not 1.0 <= self.zoom[0] <= self.zoom[1] <= 100.0:
            raise ConfigError(f"Got zoom range {self.zoom}; expected 1 <= low <= high <= 100.")
        if not 0.0 <= self.spread < self.around.distance[0] / math.sqrt(3):
            raise ConfigError(f"Got spread {self.spread}; expected 0 or more, and less than reaches the camera.")


class CloseUpCameraSampler:
    """Views of the whole mesh and, among them, of its parts."""

    def __init__(self, config: CloseUpSamplerConfig | None = None) -> None:
        """`config`: three views in ten are close-ups by default."""
        self.config = config or CloseUpSamplerConfig()
        self._around = SphereCameraSampler(self.config.around)

    def sample(self, count: int, generator: np.random.Generator) -> list[Camera]:
        """Draws as `CameraSampler.sample` says."""
        config = self.config
        cameras = self._around.sample(count, generator)
        near = generator.uniform(size=count) < config.share
        zooms = generator.uniform(*config.zoom, size=count)
        spots = generator.uniform(-config.spread, config.spread, size=(count, 3))
        drawn = zip(cameras, near, zooms, spots, strict=True)
        return [_close_up(camera, float(zoom), spot) if is_near else camera for camera, is_near, zoom, spot in drawn]


def _close_up(camera: Camera, zoom: float, spot: np.ndarray) -> Camera:
    """From the same place with a longer lens, at another spot."""
    x, y, z = (float(value) for value in np.linalg.inv(camera.world_to_camera.astype(np.float64))[:3, 3])
    focal = float(camera.projection[1, 1]) / 2.0
    target = (float(spot[0]), float(spot[1]), float(spot[2]))
    return Camera.look_at((x, y, z), target, focal=focal * zoom, aspect=camera.aspect)
