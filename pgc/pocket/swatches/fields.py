# SPDX-License-Identifier: Apache-2.0
"""Random fields that patterns are made of: band-limited noise and Voronoi cells, pure functions of position and seed.

Noise comes from one periodic volume whose spectrum is a ring, so that it has no lattice to be seen, and its values are
spread as a standard normal: ``share`` turns them into a uniform one, where a threshold is a share of the surface.
"""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.special import ndtr
from torch import Tensor

from pgc.pocket.data.noise import hash_lattice

__all__ = ["Cells", "Floats", "cells", "fractal", "hashed", "noise", "ramp", "ridges", "share", "warped"]

Floats = NDArray[np.floating[Any]]  # float32 in effect; some steps pass through float64

_SIDE = 96
_SAMPLES_A_UNIT = 4.0
_BAND = (0.28, 0.75)
"""Of the noise, in cycles a unit; features are then about one unit wide."""


@functools.cache
def _volume() -> Tensor:
    """The periodic noise volume [1, 1, S + 1, S + 1, S + 1], its last faces those of the other end."""
    white = np.random.default_rng(20_261).standard_normal((_SIDE,) * 3)
    ticks = np.fft.fftfreq(_SIDE, 1.0 / _SAMPLES_A_UNIT)
    half = np.fft.rfftfreq(_SIDE, 1.0 / _SAMPLES_A_UNIT)
    frequency = np.sqrt(ticks[:, None, None] ** 2 + ticks[None, :, None] ** 2 + half[None, None, :] ** 2)
    low, high = _BAND
    pass_band = np.exp(-((np.maximum(frequency - high, 0.0) + np.maximum(low - frequency, 0.0)) ** 2) / 0.02)
    field = np.fft.irfftn(np.fft.rfftn(white) * pass_band, s=white.shape, axes=(0, 1, 2))
    field = field / field.std()
    return torch.from_numpy(np.pad(field, (0, 1), mode="wrap").astype(np.float32))[None, None]


def hashed(seed: int, count: int) -> Floats:
    """Returns ``count`` numbers in [0, 1) that follow from ``seed``."""
    return hash_lattice(np.stack([np.arange(count), np.full(count, 7)], -1), seed)


def noise(points: Floats, seed: int) -> Floats:
    """Computes isotropic noise at points [N, 3], features about one unit wide: mean 0, deviation 1, float32 [N]."""
    period = _SIDE / _SAMPLES_A_UNIT
    shifted = np.remainder(points + hashed(seed, 3) * np.float32(period), period) * np.float32(2.0 / period) - 1.0
    grid = torch.from_numpy(np.ascontiguousarray(shifted, dtype=np.float32))[None, None, None]
    read = F.grid_sample(_volume(), grid, mode="bilinear", padding_mode="border", align_corners=True)
    result: Floats = read.view(-1).numpy()
    return result


def fractal(points: Floats, seed: int, octaves: int = 4, gain: float = 0.55) -> Floats:
    """Sums octaves of ``noise``, each twice as fine and ``gain`` as strong; mean 0, deviation 1."""
    total = np.zeros(len(points), np.float32)
    power, amplitude = 0.0, 1.0
    for octave in range(octaves):
        total += np.float32(amplitude) * noise(points * np.float32(2.03**octave), seed + 101 * octave)
        power += amplitude * amplitude
        amplitude *= gain
    return total / np.float32(np.sqrt(power))


def ridges(points: Floats, seed: int, octaves: int = 3) -> Floats:
    """Returns 1 on winding sheets (lines on a surface), falling to 0 away from them."""
    return 1.0 - np.minimum(np.abs(fractal(points, seed, octaves, 0.45)), 1.0)


def warped(points: Floats, seed: int, amount: float, scale: float = 1.0, octaves: int = 2) -> Floats:
    """Returns points [N, D] moved by noise of features 1 / ``scale`` wide, up to about twice ``amount``."""
    at = points if points.shape[1] == 3 else np.concatenate([points, np.zeros((len(points), 1), np.float32)], -1)
    moves = [fractal(at * np.float32(scale), seed + 31 * axis, octaves) for axis in range(points.shape[1])]
    return (points + np.float32(amount) * np.stack(moves, -1)).astype(np.float32)


def share(values: Floats) -> Floats:
    """Turns a standard normal field into a uniform one: its value is the share of the surface that lies below."""
    result: Floats = ndtr(values).astype(np.float32)
    return result


def ramp(values: Floats, edge: float, width: float) -> Floats:
    """Computes a smooth step from 0 to 1 of ``width`` centred on ``edge``."""
    t = np.clip((values - np.float32(edge)) / np.float32(width) + 0.5, 0.0, 1.0)
    return (t * t * (3.0 - 2.0 * t)).astype(np.float32)


@dataclass(frozen=True)
class Cells:
    """Voronoi cells, as N points see them."""

    first: Floats  # [N] distance to the nearest site
    border: Floats  # [N] distance to the border with the second nearest's cell
    away: Floats  # [N, D] from the nearest site to the point
    keys: NDArray[np.int64]  # [N, D] lattice cell of the nearest site: the cell's name

    def value(self, seed: int, channel: int = 0) -> Floats:
        """Returns a number in [0, 1) that is constant over each cell."""
        return hash_lattice(self.keys, seed, channel)


def cells(points: Floats, seed: int, jitter: float = 0.8) -> Cells:
    """Computes Voronoi cells of one jittered site a unit cube, at points [N, D], D = 2 or 3."""
    # Sites two cells beyond the points: whatever the batch is, the nearest two are among them.
    low, high = (np.floor(bound).astype(np.int64) for bound in (points.min(0) - 2.0, points.max(0) + 3.0))
    ticks = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
    keys = np.stack(np.meshgrid(*ticks, indexing="ij"), -1).reshape(-1, points.shape[1])
    offsets = np.stack([hash_lattice(keys, seed, channel) for channel in range(points.shape[1])], -1)
    sites = (keys + 0.5 + jitter * (offsets - 0.5)).astype(np.float32)
    distance, row = (np.asarray(part) for part in KDTree(sites).query(points, k=2))
    nearest, second = sites[row[:, 0]], sites[row[:, 1]]
    between = second - nearest
    middle = (second + nearest) * np.float32(0.5)
    border = ((middle - points) * between).sum(-1) / np.maximum(np.linalg.norm(between, axis=-1), 1e-6)
    return Cells(
        first=distance[:, 0].astype(np.float32),
        border=border.astype(np.float32),
        away=(points - nearest).astype(np.float32),
        keys=keys[row[:, 0]],
    )
