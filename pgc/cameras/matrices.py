# SPDX-License-Identifier: Apache-2.0
"""The two matrices of a camera: how they are made, and what is asked of them. Angles are radians."""

import math

import numpy as np
from jaxtyping import Float32

from pgc.errors import CameraError

__all__ = [
    "WORLD_UP",
    "Vector3",
    "check_pose",
    "check_projection",
    "clip_range",
    "direction_from_angles",
    "look_at_matrix",
    "orthographic_matrix",
    "perspective_matrix",
]

Number = float | int
Vector3 = tuple[Number, Number, Number]

_RIGID_TOLERANCE = 1e-3
_INFINITE_FAR = 2e-7
_LAST_ROWS = ((0.0, 0.0, -1.0, 0.0), (0.0, 0.0, 0.0, 1.0))
WORLD_UP: Vector3 = (0.0, 0.0, 1.0)


def look_at_matrix(eye: Vector3, target: Vector3, up: Vector3 = WORLD_UP) -> Float32[np.ndarray, "4 4"]:
    """Returns the world-to-camera matrix of a camera at `eye` that looks at `target`.

    Where `up` is parallel to the view, +Y takes its place (then +X), which is what Blender's top view shows.

    Raises:
        CameraError: eye equals target, or a number is not finite.
    """
    eye64, target64 = np.asarray(eye, dtype=np.float64), np.asarray(target, dtype=np.float64)
    backward = eye64 - target64
    distance = float(np.linalg.norm(backward))
    if not (math.isfinite(distance) and distance > 1e-9):
        raise CameraError(f"Got eye {tuple(eye)} and target {tuple(target)}; expected two different finite points.")
    backward = backward / distance
    for candidate in (np.asarray(up, dtype=np.float64), np.array([0.0, 1.0, 0.0]), np.array([1.0, 0.0, 0.0])):
        right = np.cross(candidate, backward)
        length, scale = float(np.linalg.norm(right)), float(np.linalg.norm(candidate))
        if math.isfinite(length) and length > 1e-5 * scale:
            break
    right = right / length
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, np.cross(backward, right), backward])
    matrix[:3, 3] = -matrix[:3, :3] @ eye64
    return matrix.astype(np.float32)


def perspective_matrix(
    focal: float,
    *,
    aspect: float = 1.0,
    shift: tuple[float, float] = (0.0, 0.0),
    near: float = 0.05,
    far: float = 100.0,
) -> Float32[np.ndarray, "4 4"]:
    """Returns the OpenGL perspective projection.

    Args:
        focal: focal length in picture heights, > 0 (the paper's f: projection[1, 1] = 2 * focal).
        aspect: width over height.
        shift: NDC offset of the optical axis in the picture.
        near: distance of the near plane, > 0.
        far: distance of the far plane, > near.

    Raises:
        CameraError: a value is out of range.
    """
    if not (math.isfinite(focal) and focal > 0):
        raise CameraError(f"Got focal length {focal}; expected a number of picture heights above 0.")
    _check_frame(aspect, near, far)
    matrix = np.zeros((4, 4))
    matrix[0, 0], matrix[1, 1] = 2 * focal / aspect, 2 * focal
    matrix[0, 2], matrix[1, 2] = -shift[0], -shift[1]
    matrix[2, 2], matrix[2, 3] = -(far + near) / (far - near), -2 * far * near / (far - near)
    matrix[3, 2] = -1.0
    return matrix.astype(np.float32)


def orthographic_matrix(
    height: float,
    *,
    aspect: float = 1.0,
    shift: tuple[float, float] = (0.0, 0.0),
    near: float = 0.05,
    far: float = 100.0,
) -> Float32[np.ndarray, "4 4"]:
    """Returns the OpenGL orthographic projection that shows `height` world units from top to bottom.

    `shift` is the NDC offset of the optical axis in the picture; near and far as in `perspective_matrix`.

    Raises:
        CameraError: a value is out of range.
    """
    if not (math.isfinite(height) and height > 0):
        raise CameraError(f"Got an orthographic height of {height}; expected a number of world units above 0.")
    _check_frame(aspect, near, far)
    matrix = np.eye(4)
    matrix[0, 0], matrix[1, 1], matrix[2, 2] = 2 / (height * aspect), 2 / height, -2 / (far - near)
    matrix[0, 3], matrix[1, 3], matrix[2, 3] = shift[0], shift[1], -(far + near) / (far - near)
    return matrix.astype(np.float32)


def direction_from_angles(azimuth: float, elevation: float) -> Vector3:
    """Returns the unit direction in the Z-up world: azimuth turns from +X towards +Y, elevation rises from the
    ground."""
    flat = math.cos(elevation)
    return (flat * math.cos(azimuth), flat * math.sin(azimuth), math.sin(elevation))


def _check_frame(aspect: float, near: float, far: float) -> None:
    if not (math.isfinite(aspect) and aspect > 0):
        raise CameraError(f"Got aspect {aspect}; pass width over height, a number above 0.")
    if not (math.isfinite(far) and 0 < near < far):
        raise CameraError(f"Got near {near} and far {far}; expected 0 < near < far.")


def check_pose(matrix: np.ndarray) -> None:
    """Raises CameraError for a matrix that is no rotation with a translation."""
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise CameraError(f"Got a world_to_camera of shape {matrix.shape}, or not finite; pass a finite 4x4 matrix.")
    rotation = matrix[:3, :3].astype(np.float64)
    if (
        np.abs(matrix[3] - [0, 0, 0, 1]).max() > 1e-6
        or np.abs(rotation @ rotation.T - np.eye(3)).max() > _RIGID_TOLERANCE
    ):
        raise CameraError("Got a world_to_camera that scales, shears or projects; pass a rotation and a translation.")
    if np.linalg.det(rotation) < 0:
        raise CameraError("Got a mirrored world_to_camera (determinant -1); pass a right-handed OpenGL camera.")


def check_projection(matrix: np.ndarray) -> None:
    """Raises CameraError for a matrix that is no projection into OpenGL's clip space."""
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise CameraError(f"Got a projection of shape {matrix.shape}, or not finite; pass a finite 4x4 matrix.")
    if not any(np.array_equal(matrix[3], row) for row in _LAST_ROWS):
        raise CameraError(
            f"Got a projection with last row {matrix[3].tolist()}; expected OpenGL clip space: "
            "[0, 0, -1, 0] for perspective or [0, 0, 0, 1] for orthographic."
        )
    if min(matrix[0, 0], matrix[1, 1]) <= 0:
        raise CameraError("Got a projection that mirrors or flattens the picture; its [0,0] and [1,1] must be above 0.")
    if np.any(matrix[2, :2] != 0):
        raise CameraError("Got a projection with a tilted near plane; the first two numbers of its row 2 must be 0.")
    near, far = clip_range(matrix)
    if not (math.isfinite(near) and near < far):
        raise CameraError(f"Got a projection with near {near:g} and far {far:g}; expected near < far, both in front.")


def clip_range(projection: np.ndarray) -> tuple[float, float]:
    """Returns the near and far distances of a projection; (nan, nan) where it has none."""
    scale, offset = float(projection[2, 2]), float(projection[2, 3])
    if projection[3, 3] == 1.0:  # ndc_z = offset - scale * distance
        return ((1 + offset) / scale, (offset - 1) / scale) if scale != 0 else (math.nan, math.nan)
    # ndc_z = (offset - scale * distance) / distance
    near = offset / (scale - 1) if scale != 1 else math.nan
    # A far plane beyond float32 (Blender's clip end of 1e5 m with a start of 1 mm) rounds to infinity.
    far = math.inf if abs(scale + 1) < _INFINITE_FAR else offset / (scale + 1)
    return (near, far) if near > 0 else (math.nan, far)
