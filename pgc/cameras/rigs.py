# SPDX-License-Identifier: Apache-2.0
"""Fixed rigs of cameras, and their files."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from pgc.cameras.camera import Camera
from pgc.cameras.matrices import WORLD_UP, Vector3, direction_from_angles
from pgc.errors import CameraError

__all__ = ["CameraRig", "fibonacci_directions"]

_GOLDEN_ANGLE = math.pi * (3.0 - math.sqrt(5.0))
_MAX_FILE_CAMERAS = 10_000
_MATRIX_KEYS = {"world_to_camera", "projection", "aspect"}
_LOOK_AT_KEYS = {"eye", "target", "up", "fov_y_deg", "focal", "height", "aspect"}


@dataclass(frozen=True, slots=True, eq=False)
class CameraRig:
    """A fixed list of views, at least one.

    The rings and spheres look at the origin, where a normalised mesh is. `focal` is in picture heights (see
    `Camera.look_at`), `distance` in units of the normalised mesh; azimuths turn from +X towards +Y, and start at
    `start` (-pi/2 is -Y, the front of a Blender model).

    Raises:
        CameraError: there is no camera.
    """

    cameras: tuple[Camera, ...]

    def __post_init__(self) -> None:
        if not self.cameras:
            raise CameraError("Got a rig without cameras; give at least one.")

    def __len__(self) -> int:
        """Number of cameras."""
        return len(self.cameras)

    @classmethod
    def ring(
        cls,
        count: int,
        *,
        elevation: float = 0.2,
        distance: float = 2.25,
        focal: float = 1.0,
        start: float = -math.pi / 2,
        aspect: float = 1.0,
    ) -> "CameraRig":
        """Makes `count` views evenly around the mesh, all at one elevation."""
        return cls.staggered_ring(
            count, elevations=(elevation, elevation), distance=distance, focal=focal, start=start, aspect=aspect
        )

    @classmethod
    def staggered_ring(
        cls,
        count: int,
        *,
        elevations: tuple[float, float] = (0.6, -0.3),
        distance: float = 2.25,
        focal: float = 1.0,
        start: float = -math.pi / 2,
        aspect: float = 1.0,
    ) -> "CameraRig":
        """Makes `count` views evenly around the mesh, in turn at the first and the second elevation."""
        _check_count(count)
        angles = [(start + 2 * math.pi * index / count, elevations[index % 2]) for index in range(count)]
        return cls._around([direction_from_angles(*pair) for pair in angles], distance, focal, aspect)

    @classmethod
    def hemisphere(cls, count: int, *, distance: float = 2.25, focal: float = 1.0, aspect: float = 1.0) -> "CameraRig":
        """Makes `count` views spread evenly over the upper half of a sphere."""
        _check_count(count)
        return cls._around(_spiral(count, 0.0, 1.0), distance, focal, aspect)

    @classmethod
    def sphere(cls, count: int, *, distance: float = 2.25, focal: float = 1.0, aspect: float = 1.0) -> "CameraRig":
        """Makes `count` views spread evenly over the whole sphere, underside included."""
        _check_count(count)
        return cls._around(_spiral(count, -1.0, 1.0), distance, focal, aspect)

    @classmethod
    def from_file(cls, path: str | Path) -> "CameraRig":
        """Reads a list of cameras from a JSON file: `{"cameras": [camera, ...]}`.

        Each camera is either `{"eye": [x, y, z], "target": [x, y, z], "up": [x, y, z], "aspect": a}` with one of
        `"fov_y_deg"`, `"focal"` (picture heights) and `"height"` (orthographic), where target (origin), up (+Z)
        and aspect (1) may be left out; or `{"world_to_camera": 4x4, "projection": 4x4, "aspect": a}`. Positions are
        in normalised space: Z-up, the mesh inside [-0.8, 0.8] along each axis.

        Raises:
            CameraError: the file cannot be read, is no such JSON, or a camera in it is not usable.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise CameraError(f"Cannot read cameras from {path}: {error}. Give a JSON file.") from error
        entries = data.get("cameras") if isinstance(data, dict) else None
        if not isinstance(entries, list) or not 1 <= len(entries) <= _MAX_FILE_CAMERAS:
            raise CameraError(
                f'{path}: expected {{"cameras": [...]}} with 1 to {_MAX_FILE_CAMERAS} cameras; see CameraRig.from_file.'
            )
        cameras = []
        for index, entry in enumerate(entries):
            try:
                cameras.append(_camera_from_entry(entry))
            except CameraError as error:
                raise CameraError(f"{path}, camera {index}: {error}") from error
        return cls(tuple(cameras))

    @classmethod
    def _around(
        cls, directions: list[tuple[float, float, float]], distance: float, focal: float, aspect: float
    ) -> "CameraRig":
        if not (math.isfinite(distance) and distance > 0):
            raise CameraError(f"Got distance {distance}; expected a number above 0.")
        eyes = [(distance * x, distance * y, distance * z) for x, y, z in directions]
        return cls(tuple(Camera.look_at(eye, focal=focal, aspect=aspect) for eye in eyes))


def fibonacci_directions(count: int) -> Float[np.ndarray, "count 3"]:
    """Returns `count` unit directions spread evenly over the sphere along a golden-angle spiral. Float64."""
    return np.array(_spiral(count, -1.0, 1.0), dtype=np.float64).reshape(count, 3)


def _spiral(count: int, lowest: float, highest: float) -> list[tuple[float, float, float]]:
    """Directions of even density by height: a sphere's area is even along its axis (Archimedes)."""
    directions = []
    for index in range(count):
        height = highest - (highest - lowest) * (index + 0.5) / count
        flat = math.sqrt(max(0.0, 1.0 - height * height))
        angle = _GOLDEN_ANGLE * index
        directions.append((flat * math.cos(angle), flat * math.sin(angle), height))
    return directions


def _check_count(count: int) -> None:
    if count < 1:
        raise CameraError(f"Got {count} cameras for a rig; expected at least 1.")


def _camera_from_entry(entry: object) -> Camera:
    if not isinstance(entry, dict):
        raise CameraError(f"got {type(entry).__name__}, expected an object with 'eye' or 'world_to_camera'.")
    known = _MATRIX_KEYS if "world_to_camera" in entry else _LOOK_AT_KEYS
    unknown = sorted(set(entry) - known)
    if unknown:
        raise CameraError(f"got unknown keys {unknown}; known are {sorted(known)}.")
    aspect = _number(entry, "aspect", 1.0)
    if "world_to_camera" in entry:
        return Camera(_matrix(entry, "world_to_camera"), _matrix(entry, "projection"), aspect)
    lenses = [key for key in ("fov_y_deg", "focal", "height") if key in entry]
    if len(lenses) != 1:
        raise CameraError(f"got {lenses or 'no lens'}; give exactly one of 'fov_y_deg', 'focal' and 'height'.")
    eye = _vector(entry, "eye", None)
    target, up = _vector(entry, "target", (0.0, 0.0, 0.0)), _vector(entry, "up", WORLD_UP)
    lens = _number(entry, lenses[0], None)
    if lenses[0] == "height":
        return Camera.orthographic(eye, target, up, height=lens, aspect=aspect)
    if lenses[0] == "focal":
        return Camera.look_at(eye, target, up, focal=lens, aspect=aspect)
    return Camera.look_at(eye, target, up, fov_y=math.radians(lens), aspect=aspect)


def _number(entry: Mapping[str, object], key: str, default: float | None) -> float:
    value = entry.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise CameraError(f"got {value!r} for '{key}'; expected a finite number.")
    return float(value)


def _vector(entry: Mapping[str, object], key: str, default: Vector3 | None) -> Vector3:
    value = entry.get(key, default)
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise CameraError(f"got {value!r} for '{key}'; expected three numbers.")
    x, y, z = (_number({key: number}, key, None) for number in value)
    return (x, y, z)


def _matrix(entry: Mapping[str, object], key: str) -> np.ndarray:
    rows = entry.get(key)
    if not isinstance(rows, list) or len(rows) != 4 or not all(isinstance(r, list) and len(r) == 4 for r in rows):
        raise CameraError(f"got no 4x4 list of numbers for '{key}'; expected four rows of four.")
    return np.array([[_number({key: number}, key, None) for number in row] for row in rows], dtype=np.float32)
