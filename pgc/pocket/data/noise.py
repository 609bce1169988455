# SPDX-License-Identifier: Apache-2.0
"""Seeded lattice noise in three dimensions: pure functions of position, in NumPy."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Ints = NDArray[np.int64]


def hash_lattice(cells: Ints, seed: int, channel: int = 0) -> Floats:
    """Returns uniform values in [0, 1) for integer cells [..., D]; the same cell always gives the same value."""
    state = np.full(cells.shape[:-1], (seed * 0x9E3779B1 + channel * 0x85EBCA77) & 0xFFFFFFFF, dtype=np.uint32)
    for axis, prime in zip(range(cells.shape[-1]), (0x8DA6B343, 0xD8163841, 0xCB1AB31F), strict=False):
        state ^= cells[..., axis].astype(np.uint32) * np.uint32(prime)
        state ^= state >> np.uint32(15)
        state *= np.uint32(0x2C1B3C6D)
        state ^= state >> np.uint32(12)
        state *= np.uint32(0x297A2D39)
        state ^= state >> np.uint32(15)
    return (state >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def value_noise(points: Floats, seed: int) -> Floats:
    """Computes smooth value noise in [0, 1] at points [N, 3]; its features are about one unit wide."""
    base = np.floor(points)
    fraction = (points - base).astype(np.float32)
    weight = fraction * fraction * (3.0 - 2.0 * fraction)
    cells = base.astype(np.int64)
    total = np.zeros(len(points), dtype=np.float32)
    for corner in range(8):
        offset = np.array([corner & 1, (corner >> 1) & 1, corner >> 2])
        blend = np.prod(np.where(offset, weight, 1.0 - weight), axis=-1)
        total += blend * hash_lattice(cells + offset, seed)
    return total


def fractal_noise(points: Floats, seed: int, octaves: int = 3) -> Floats:
    """Sums ``octaves`` of value noise, each twice as fine and half as strong; in [0, 1]."""
    total = np.zeros(len(points), dtype=np.float32)
    amplitude, norm = 0.5, 0.0
    for octave in range(octaves):
        total += amplitude * value_noise(points * np.float32(2.0**octave) + np.float32(17.3 * octave), seed + octave)
        norm += amplitude
        amplitude *= 0.5
    return total / np.float32(norm)


def cell_distances(points: Floats, seed: int) -> tuple[Floats, Floats, Floats]:
    """Computes Voronoi cells of one jittered site a unit cube, at points [N, 3].

    Returns the distance to the nearest site, to the second nearest, and a value in [0, 1) that
    is constant over each cell.
    """
    base = np.floor(points).astype(np.int64)
    first = np.full(len(points), 9.0, dtype=np.float32)
    second = first.copy()
    identity = np.zeros(len(points), dtype=np.float32)
    for step in np.ndindex(3, 3, 3):
        cells = base + (np.array(step) - 1)
        jitter = np.stack([hash_lattice(cells, seed, channel) for channel in range(3)], axis=-1)
        site = cells.astype(np.float32) + 0.15 + 0.7 * jitter
        distance = np.linalg.norm(points - site, axis=-1).astype(np.float32)
        closer = distance < first
        second = np.where(closer, first, np.minimum(second, distance))
        first = np.where(closer, distance, first)
        # The x jitter is as good a cell name as any, and already at hand.
        identity = np.where(closer, jitter[:, 0], identity)
    return first, second, identity
