# SPDX-License-Identifier: Apache-2.0
"""Normals of a picture from the heights of its material, by differences between neighbouring pixels.

After Mikkelsen, "Bump Mapping Unparametrized Surfaces on the GPU" (2010): no tangents, no UVs, and the material is
asked once a pixel.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["STEEPEST", "relief_normals"]

Floats = NDArray[np.floating[Any]]

STEEPEST = 1.2
"""Slopes are held below this: a step of a pattern has no slope, and its difference any."""


def _difference(field: Floats, near: NDArray[np.bool_], axis: int) -> Floats:
    """To the next pixel along ``axis`` where that is the same surface, else from the one before, else 0."""
    ahead = np.roll(field, -1, axis) - field
    behind = np.roll(ahead, 1, axis)
    near_behind = np.roll(near, 1, axis)
    return np.where(near[..., None], ahead, np.where(near_behind[..., None], behind, 0.0)).astype(np.float32)


def _same_surface(points: Floats, hit: NDArray[np.bool_], axis: int) -> NDArray[np.bool_]:
    """Whether the next pixel along ``axis`` is no further away than the surface explains; never for the last one."""
    step = np.linalg.norm(np.roll(points, -1, axis) - points, axis=-1)
    edge = np.ones(step.shape[axis], bool)
    edge[-1] = False
    both = hit & np.roll(hit, -1, axis) & (edge[:, None] if axis == 0 else edge[None, :])
    if not both.any():
        return both
    return both & (step < 6.0 * np.median(step[both]))


def relief_normals(points: Floats, normals: Floats, heights: Floats, hit: NDArray[np.bool_]) -> Floats:
    """Computes unit normals [H, W, 3] of the surface at ``points`` [H, W, 3] raised by ``heights`` [H, W] along
    ``normals``.

    ``hit`` [H, W] says where there is a surface; elsewhere the normals come back as they were.
    """
    fields = np.concatenate([points, heights[..., None]], -1)
    right = _difference(fields, _same_surface(points, hit, 1), 1)
    down = _difference(fields, _same_surface(points, hit, 0), 0)
    across, along = np.cross(down[..., :3], normals), np.cross(normals, right[..., :3])
    area = (right[..., :3] * across).sum(-1, keepdims=True)
    slope = np.sign(area) * (right[..., 3:] * across + down[..., 3:] * along) / np.maximum(np.abs(area), 1e-12)
    steepness = np.linalg.norm(slope, axis=-1, keepdims=True)
    slope = slope * np.minimum(1.0, STEEPEST / np.maximum(steepness, 1e-6))
    bent = normals - np.where(hit[..., None], slope, 0.0)
    return (bent / np.maximum(np.linalg.norm(bent, axis=-1, keepdims=True), 1e-9)).astype(np.float32)
