# SPDX-License-Identifier: Apache-2.0
"""One camera. Plain NumPy data; fixed rigs are in `pgc.cameras.rigs`, random cameras in `pgc.cameras.sampling`.

A camera has OpenGL axes (+X right, +Y up, looks along -Z) in a Z-up world. It is kept as two matrices, so that
orthographic, shifted and sensor-fitted cameras survive. Angles are radians.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from pgc.cameras.matrices import (
    WORLD_UP,
    Vector3,
    check_pose,
    check_projection,
    clip_range,
    look_at_matrix,
    orthographic_matrix,
    perspective_matrix,
)
from pgc.errors import CameraError

__all__ = ["Camera"]


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
        """Returns the exact bytes of the camera, for caches: equal keys mean equal pictures."""
        return self.world_to_camera.tobytes() + self.projection.tobytes() + np.float64(self.aspect).tobytes()

    def project(self, points: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3"]:
        """Projects world points to NDC: x right, y up, in [-1, 1] inside the picture; z -1 near, 1 far. Float64.

        A point in the plane of a perspective camera's origin has no picture and comes back as inf or nan.
        """
        homogeneous = np.concatenate([points.astype(np.float64), np.ones((len(points), 1))], axis=1)
        clip = homogeneous @ (self.projection.astype(np.float64) @ self.world_to_camera.astype(np.float64)).T
        with np.errstate(divide="ignore", invalid="ignore"):
            return clip[:, :3] / clip[:, 3:]

    def unproject(self, ndc: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3"]:
        """Turns NDC into world points; it is the inverse of `project`. Float64."""
        matrix = self.projection.astype(np.float64) @ self.world_to_camera.astype(np.float64)
        homogeneous = np.concatenate([ndc.astype(np.float64), np.ones((len(ndc), 1))], axis=1)
        world = homogeneous @ np.linalg.inv(matrix).T
        return world[:, :3] / world[:, 3:]
