# SPDX-License-Identifier: Apache-2.0
"""The artist's own views, in the space of a normalised mesh."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pgc.cameras import Camera
from pgc.mesh import Normalization

__all__ = ["FixedViews", "normalized_camera"]


def normalized_camera(camera: Camera, normalization: Normalization) -> Camera:
    """Returns the camera that sees the normalised mesh as `camera` sees the mesh in world space (Z up).

    With x = X/s + c for a world point X's normalised image, a pose x ↦ Rx + t becomes X ↦ RX + s(Rc + t): still a
    rotation and a translation, with the picture s times as big, which the projection takes back.
    """
    scale, center = normalization.scale, np.asarray(normalization.center)
    pose = camera.world_to_camera.astype(np.float64)
    moved = pose.copy()
    moved[:3, 3] = scale * (pose[:3, :3] @ center + pose[:3, 3])
    projection = camera.projection.astype(np.float64) @ np.diag([1.0 / scale, 1.0 / scale, 1.0 / scale, 1.0])
    if projection[3, 3] == 0.0:
        # Homogeneous: a perspective projection may be multiplied by anything above 0. Its last row is (0, 0, -1, 0).
        projection *= scale
    return Camera(moved.astype(np.float32), projection.astype(np.float32), camera.aspect)


@dataclass(frozen=True)
class FixedViews:
    """A `CameraSampler` over a rig: each step takes other views of it, none twice before all had their turn."""

    cameras: tuple[Camera, ...]

    def sample(self, count: int, generator: np.random.Generator) -> list[Camera]:
        """Returns `count` views in a random order; a rig of fewer views repeats them."""
        chosen: list[int] = []
        while len(chosen) < count:
            chosen += [int(index) for index in generator.permutation(len(self.cameras))]
        return [self.cameras[index] for index in chosen[:count]]
