# SPDX-License-Identifier: Apache-2.0
"""Random cameras around the origin, where a normalised mesh is. Angles are radians; the world is Z-up."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from pgc.cameras.camera import Camera
from pgc.cameras.matrices import direction_from_angles
from pgc.cameras.rigs import fibonacci_directions
from pgc.errors import ConfigError

__all__ = [
    "CameraSampler",
    "PaperCameraSampler",
    "PaperSamplerConfig",
    "RigSampler",
    "SphereCameraSampler",
    "SphereSamplerConfig",
]

Range = tuple[float, float]

_PAPER_FOCAL: Range = (0.7, 1.35)
_PAPER_DISTANCE: Range = (2.0, 2.5)


@runtime_checkable
class CameraSampler(Protocol):
    """Draws a step's views of the mesh."""

    def sample(self, count: int, generator: np.random.Generator) -> list[Camera]:
        """Returns `count` >= 0 cameras; all randomness comes from `generator`."""
        ...


@runtime_checkable
class RigSampler(CameraSampler, Protocol):
    """Draws from views that somebody has chosen, and no others."""

    @property
    def cameras(self) -> Sequence[Camera]:
        """All of them, at least one."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperSamplerConfig:
    """Section 5.1 of the paper: each value uniform in its range.

    Attributes:
        focal: focal length in picture heights.
        distance: from the origin, in units of the normalised mesh.
        elevation: above the ground, radians (the paper's -10 to 45 degrees).
        azimuth: from +X towards +Y, radians.
        look_at_jitter: the point looked at is uniform in a cube of this half-size around the origin; 0 is off.
        aspect: width over height.

    Raises:
        ConfigError: a range is empty or reaches impossible values.
    """

    focal: Range = _PAPER_FOCAL
    distance: Range = _PAPER_DISTANCE
    elevation: Range = (math.radians(-10.0), math.radians(45.0))
    azimuth: Range = (0.0, 2.0 * math.pi)
    look_at_jitter: float = 0.0
    aspect: float = 1.0

    def __post_init__(self) -> None:
        _check_lens(self.focal, self.distance, self.look_at_jitter, self.aspect)
        _check_range("elevation", self.elevation, -math.pi / 2, math.pi / 2)
        _check_range("azimuth", self.azimuth, -4 * math.pi, 4 * math.pi)


class PaperCameraSampler:
    """The paper's cameras: a belt around the mesh, independent draws. The underside is never seen."""

    def __init__(self, config: PaperSamplerConfig | None = None) -> None:
        """`config`: ranges; the paper's by default."""
        self.config = config or PaperSamplerConfig()

    def sample(self, count: int, generator: np.random.Generator) -> list[Camera]:
        """Draws as `CameraSampler.sample` says."""
        config = self.config
        azimuths = generator.uniform(*config.azimuth, size=count)
        elevations = generator.uniform(*config.elevation, size=count)
        directions = [direction_from_angles(float(a), float(e)) for a, e in zip(azimuths, elevations, strict=True)]
        return _cameras(np.array(directions, dtype=np.float64).reshape(count, 3), config, generator)


@dataclass(frozen=True, slots=True, kw_only=True)
class SphereSamplerConfig:
    """Views from everywhere, with the paper's lens and distance; attributes as in `PaperSamplerConfig`.

    Raises:
        ConfigError: a range is empty or reaches impossible values.
    """

    focal: Range = _PAPER_FOCAL
    distance: Range = _PAPER_DISTANCE
    look_at_jitter: float = 0.0
    aspect: float = 1.0

    def __post_init__(self) -> None:
        _check_lens(self.focal, self.distance, self.look_at_jitter, self.aspect)


class SphereCameraSampler:
    """Views uniform over the whole sphere, spread evenly inside each batch; the default for textures.

    A batch is a Fibonacci spiral, jittered inside its cells and turned by a random rotation: each view alone is
    uniform over the sphere, and together they leave no side unseen.
    """

    def __init__(self, config: SphereSamplerConfig | None = None) -> None:
        """`config`: ranges; the paper's lens and distance by default."""
        self.config = config or SphereSamplerConfig()

    def sample(self, count: int, generator: np.random.Generator) -> list[Camera]:
        """Draws as `CameraSampler.sample` says."""
        directions = fibonacci_directions(count)
        # A seventh of the distance between neighbours along each axis, so that the cells stay apart.
        directions = directions + generator.normal(size=(count, 3)) * (0.25 * math.sqrt(4.0 / max(count, 1)))
        directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-9)
        return _cameras(directions @ _random_rotation(generator).T, self.config, generator)


def _cameras(
    directions: np.ndarray, config: PaperSamplerConfig | SphereSamplerConfig, generator: np.random.Generator
) -> list[Camera]:
    count = len(directions)
    focals = generator.uniform(*config.focal, size=count)
    eyes = directions * generator.uniform(*config.distance, size=(count, 1))
    # Drawn even when off, so that switching it does not change the other draws.
    targets = generator.uniform(-1.0, 1.0, size=(count, 3)) * config.look_at_jitter
    return [
        Camera.look_at(
            (float(eye[0]), float(eye[1]), float(eye[2])),
            (float(target[0]), float(target[1]), float(target[2])),
            focal=float(focal),
            aspect=config.aspect,
        )
        for eye, target, focal in zip(eyes, targets, focals, strict=True)
    ]


def _random_rotation(generator: np.random.Generator) -> np.ndarray:
    """A rotation uniform over all rotations (a normalised Gaussian quaternion; Muller, 1959)."""
    w, x, y, z = (quaternion := generator.normal(size=4)) / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _check_lens(focal: Range, distance: Range, look_at_jitter: float, aspect: float) -> None:
    _check_range("focal", focal, 1e-3, 1e3)
    _check_range("distance", distance, 1e-3, 1e3)
    if not 0 <= look_at_jitter < distance[0] / math.sqrt(3):
        raise ConfigError(f"Got look_at_jitter {look_at_jitter}; expected 0 or more, and less than reaches the camera.")
    if not (math.isfinite(aspect) and aspect > 0):
        raise ConfigError(f"Got aspect {aspect}; expected width over height, above 0.")


def _check_range(name: str, values: Range, lowest: float, highest: float) -> None:
    low, high = values
    if not lowest <= low <= high <= highest:
        raise ConfigError(f"Got {name} range ({low}, {high}); expected {lowest:g} <= low <= high <= {highest:g}.")
