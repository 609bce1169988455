# SPDX-License-Identifier: Apache-2.0
"""The rays of cameras, and how far each of them goes through the box of a volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from pgc.cameras import Camera

__all__ = ["Rays", "box_spans", "camera_rays"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rays:
    """One ray a pixel, view by view and row by row from the top."""

    origins: Float[Tensor, "n 3"]
    directions: Float[Tensor, "n 3"]
    """Of unit length."""
    forward: Float[Tensor, " n"]
    """How far along the camera's -Z a unit of each ray goes."""


def camera_rays(cameras: Sequence[Camera], side: int, device: torch.device | str = "cpu") -> Rays:
    """Returns the rays through the pixels' centres of square pictures, computed in float64."""
    ticks = (np.arange(side) + 0.5) / side * 2.0 - 1.0
    x, y = np.meshgrid(ticks, -ticks)
    flat = np.stack([x.ravel(), y.ravel()], axis=1)
    origins, directions, forward = [], [], []
    for camera in cameras:
        near = camera.unproject(np.concatenate([flat, np.full((len(flat), 1), -1.0)], axis=1))
        # Not the far plane, which may be infinite.
        beyond = camera.unproject(np.concatenate([flat, np.zeros((len(flat), 1))], axis=1))
        along = beyond - near
        along /= np.linalg.norm(along, axis=1, keepdims=True)
        origins.append(near if camera.is_orthographic else np.broadcast_to(camera.position, near.shape))
        directions.append(along)
        forward.append(-along @ camera.backward.astype(np.float64))

    def joined(parts: Sequence[np.ndarray]) -> Tensor:
        """Returns one tensor of all views."""
        return torch.from_numpy(np.concatenate(parts).astype(np.float32)).to(device)

    return Rays(origins=joined(origins), directions=joined(directions), forward=joined(forward))


def box_spans(rays: Rays) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Returns where each ray enters and leaves [-1, 1]³, as distances from its origin; both are equal where it misses.

    The slabs of Kay and Kajiya, "Ray Tracing Complex Scenes", 1986.
    """
    safe = torch.where(rays.directions.abs() < 1e-9, torch.full_like(rays.directions, 1e-9), rays.directions)
    low, high = (-1.0 - rays.origins) / safe, (1.0 - rays.origins) / safe
    enters = torch.minimum(low, high).amax(dim=1).clamp_min(0.0)
    leaves = torch.maximum(low, high).amin(dim=1)
    return enters, torch.maximum(enters, leaves)
