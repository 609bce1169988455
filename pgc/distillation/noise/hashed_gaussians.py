# SPDX-License-Identifier: Apache-2.0
"""White noise on the plane that is a function of the place: nothing is stored, and any size of texel can be asked for.

A value of variance 1 for every unit square is divided among four texels of half the side, again and again, by Haar's
transform: child = (parent ± a ± b ± c) / 2 with three fresh normal numbers a, b and c a parent. The four children are
independent and of variance 1, and their sum is twice the parent: noise of coarse texels is the noise of their fine
ones, averaged as independent values must be. The fresh numbers come from a hash of place, level, channel and seed.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["FINEST_LEVEL", "hashed_normal", "texel_noise"]

FINEST_LEVEL = 20
"""Of a texel: 2⁻²⁰ of a tile's side."""
_DETAILS = 3
# Constants of SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014), as signed.
_GOLDEN = 0x9E3779B97F4A7C15 - 2**64
_FIRST = 0xBF58476D1CE4E5B9 - 2**64
_SECOND = 0x94D049BB133111EB - 2**64


def _shifted(bits: Int[Tensor, "..."], by: int) -> Int[Tensor, "..."]:
    """Shifts to the right, filling with zeros, as torch has it only for unsigned numbers."""
    return (bits >> by) & ((1 << (64 - by)) - 1)


def _mixed(bits: Int[Tensor, "..."]) -> Int[Tensor, "..."]:
    bits = (bits ^ _shifted(bits, 30)) * _FIRST
    bits = (bits ^ _shifted(bits, 27)) * _SECOND
    return bits ^ _shifted(bits, 31)


def hashed_normal(*keys: Int[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Returns a normal number for each combination of int64 keys, which are broadcast; float32."""
    bits = torch.zeros((), dtype=torch.int64, device=keys[0].device)
    for key in keys:
        bits = _mixed((bits ^ key) + _GOLDEN)
    # Box and Muller, 1958, from two halves of the bits.
    radius = (-2.0 * ((_shifted(bits, 40).double() + 0.5) / 2**24).log()).sqrt()
    angle = ((bits & (2**32 - 1)).double() + 0.5) * (2.0 * math.pi / 2**32)
    return (radius * angle.cos()).float()


def texel_noise(
    column: Int[Tensor, " t"], row: Int[Tensor, " t"], level: int, *, channels: int, seed: int
) -> Float[Tensor, "t k"]:
    """Returns the noise of texels of side 2^-level, by their column and row (below 0 and beyond one tile as well)."""
    device = column.device
    channel = torch.arange(channels, device=device)[None]
    key = torch.tensor(seed, dtype=torch.int64, device=device)
    places = [(column >> (level - at))[:, None] for at in range(level + 1)]
    rows = [(row >> (level - at))[:, None] for at in range(level + 1)]
    none = torch.tensor(-1, dtype=torch.int64, device=device)
    value = hashed_normal(key, none, channel, places[0], rows[0])
    for at in range(level):
        right, up = 2.0 * (places[at + 1] & 1) - 1.0, 2.0 * (rows[at + 1] & 1) - 1.0
        details = [
            hashed_normal(key, torch.tensor(at * _DETAILS + which, device=device), channel, places[at], rows[at])
            for which in range(_DETAILS)
        ]
        value = 0.5 * (value + right * details[0] + up * details[1] + right * up * details[2])
    return value
