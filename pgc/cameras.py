# SPDX-License-Identifier: Apache-2.0
"""Cameras and fixed rigs of cameras. Plain NumPy data; random cameras are in `pgc.camera_sampling`.

A camera has OpenGL axes (+X right, +Y up, looks along -Z) in a Z-up world. It is kept as two matrices, so that
orthographic, shifted and sensor-fitted cameras survive. Angles are radians.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32

from pgc.camera_matrices import (
    WORLD_UP,
    Vector3,
    check_pose,
    check_projection,
    clip_range,
    direction_from_angles,
    look_at_matrix,
    orthographic_matrix,
    perspective_matrix,
)
from pgc.errors import CameraError

__all__ = ["Camera", "CameraRig", "direction_from_angles", "fibonacci_directions"]

_GOLDEN_ANGLE = math.pi * (3.0 - math.sqrt(5.0))
_MAX_FILE_CAMERAS = 10_000
_MATRIX_KEYS = {"world_to_camera", "projection", "aspect"}
_LOOK_AT_KEYS = {"eye", "target", "up", "fov_y_deg", "focal", "height", "aspect"}


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """One view of the scene.

    Attributes:
        world_to_camera: float32 [4, 4], a rotation and a translation (no scale, no mirror).
        projection: float32 [4, 4], OpenGL clip space (NDC in [-1, 1], near plane at z = -1); its last row is
            (0, 0, -1, 0) (perspective) or (0, 0, 0, 1) (orthographic). Shifts are allowed.
        aspect: width over height of the picture, > 0.

    Raises:
        CameraError: a matrix is not finite, not invertible, mirrored, scaled, or of another form than the above.
    """

    world_to_camera: Float32[np.ndarray, "4 4"]
    projection: Float32[np.ndarray, "4 4"]
    aspect: float

    def __post_init__(self) -> None:
        check_pose(self.world_to_camera)
        check_projection(self.projection)
        if not (math.isfinite(self.aspect) and self.aspect > 0):
            raise CameraError(f"Got aspect {self.aspect}; pass width over height, a number above 0.")
        for name in ("world_to_camera", "projection"):
            matrix = np.array(getattr(self, name), dtype=np.float32, order="C")
            matrix.setflags(write=False)
            object.__setattr__(self, name, matrix)

    @classmethod
    def look_at(
        cls,
        eye: Vector3,
        target: Vector3 = (0.0, 0.0, 0.0),
        up: Vector3 = WORLD_UP,
        *,
        fov_y: float | None = None,
        focal: float | None = None,
        aspect: float = 1.0,
    ) -> "Camera":
        """Builds a perspective camera at `eye` that looks at `target`.

        Args:
            eye: world position of the camera.
            target: world point in the middle of the picture.
            up: world direction that points up in the picture. Where it is parallel to the view (straight
                overhead, say) another axis takes its place, so that the picture never degenerates.
            fov_y: vertical angle of view in radians, in (0, pi). Give this or `focal`.
            focal: focal length in picture heights, as the paper (section 5.1): projection[1, 1] = 2 * focal.
            aspect: width over height.

        Raises:
            CameraError: eye equals target, or not exactly one of fov_y and focal is given, or one is out of range.
        """
        if (fov_y is None) == (focal is None):
            raise CameraError(f"Got fov_y={fov_y} and focal={focal}; give exactly one of the two.")
        if focal is None:
            assert fov_y is not None
            if not 0 < fov_y < math.pi:
                raise CameraError(f"Got fov_y={fov_y}; expected an angle in radians between 0 and pi.")
            focal = 0.5 / math.tan(0.5 * fov_y)
        return cls(look_at_matrix(eye, target, up), perspective_matrix(focal, aspect=aspect), float(aspect))

    @classmethod
    def orthographic(
        cls,
        eye: Vector3,
        target: Vector3 = (0.0, 0.0, 0.0),
        up: Vector3 = WORLD_UP,
        *,
        height: float,
        aspect: float = 1.0,
    ) -> "Camera":
        """Builds an orthographic camera at `eye` that looks at `target` and shows `height` world units from top
        to bottom.

        Raises:
            CameraError: eye equals target, or height or aspect is not above 0.
        """
        return cls(look_at_matrix(eye, target, up), orthographic_matrix(height, aspect=aspect), float(aspect))

    @property
    def position(self) -> Float32[np.ndarray, "3"]:
        """World position of the camera's origin."""
        pose = self.world_to_camera.astype(np.float64)
        return (-pose[:3, :3].T @ pose[:3, 3]).astype(np.float32)

    @property
    def backward(self) -> Float32[np.ndarray, "3"]:
        """Unit world direction from what is looked at towards the camera (the camera's +Z axis)."""
        return self.world_to_camera[2, :3].copy()

    @property
    def is_orthographic(self) -> bool:
        """Whether all rays are parallel."""
        return bool(self.projection[3, 3] == 1.0)

    @property
    def clip_range(self) -> tuple[float, float]:
        """Distances of the near and the far plane along -Z; far may be infinite."""
        return clip_range(self.projection)

    def key(self) -> bytes:
        """Exact bytes of the camera, for caches: equal keys mean equal pictures."""
        return self.world_to_camera.tobytes() + self.projection.tobytes() + np.float64(self.aspect).tobytes()

    def project(self, points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3"]:
        """World points to NDC: x right, y up, in [-1, 1] inside the picture; z -1 near, 1 far. Float64.

        A point in the plane of a perspective camera's origin has no picture and comes back as inf or nan.
        """
        homogeneous = np.concatenate([points.astype(np.float64), np.ones((len(points), 1))], axis=1)
        clip = homogeneous @ (self.projection.astype(np.float64) @ self.world_to_camera.astype(np.float64)).T
        with np.errstate(divide="ignore", invalid="ignore"):
            return clip[:, :3] / clip[:, 3:]

    def unproject(self, ndc: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3"]:
        """NDC to world points, the inverse of `project`. Float64."""
        matrix = self.projection.astype(np.float64) @ self.world_to_camera.astype(np.float64)
        homogeneous = np.concatenate([ndc.astype(np.float64), np.ones((len(ndc), 1))], axis=1)
        world = homogeneous @ np.linalg.inv(matrix).T
        return world[:, :3] / world[:, 3:]


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
        """`count` views evenly around the mesh, all at one elevation."""
        _check_count(count)
        angles = [(start + 2 * math.pi * index / count, elevation) for index in range(count)]
        return cls._around([direction_from_angles(*pair) for pair in angles], distance, focal, aspect)

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
        """`count` views evenly around the mesh, in turn at the first and the second elevation."""
        _check_count(count)
        angles = [(start + 2 * math.pi * index / count, elevations[index % 2]) for index in range(count)]
        return cls._around([direction_from_angles(*pair) for pair in angles], distance, focal, aspect)

    @classmethod
    def hemisphere(cls, count: int, *, distance: float = 2.25, focal: float = 1.0, aspect: float = 1.0) -> "CameraRig":
        """`count` views spread evenly over the upper half of a sphere."""
        _check_count(count)
        return cls._around(_spiral(count, 0.0, 1.0), distance, focal, aspect)

    @classmethod
    def sphere(cls, count: int, *, distance: float = 2.25, focal: float = 1.0, aspect: float = 1.0) -> "CameraRig":
        """`count` views spread evenly over the whole sphere, underside included."""
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
    """`count` unit directions spread evenly over the sphere along a golden-angle spiral. Float64."""
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
