# SPDX-License-Identifier: Apache-2.0
"""The matrices of least squares over some of an image's texels, in float32: see active_set.py for what they are for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int
from scipy.ndimage import binary_dilation
from scipy.sparse import csr_matrix
from torch import Tensor

from pgc.texture.finishing.quadratic import NEIGHBOURS, JumpLevel

__all__ = ["Matrix", "Rung", "build_ladder", "costs_and_links", "grown", "needed_texels"]

_BLOCK = 8
"""Texels are chosen by blocks of this side."""


class Matrix:
    """A sparse matrix, float32, that multiplies vectors on its device."""

    def __init__(self, matrix: csr_matrix, device: torch.device, *, in_torch: bool | None = None) -> None:
        """`in_torch`: multiply with torch's own sparse product; None: wherever the device is no CPU."""
        self._host = csr_matrix(matrix, dtype=np.float32)
        self._there: Tensor | None = None
        if device.type != "cpu" if in_torch is None else in_torch:
            parts = (torch.from_numpy(part) for part in (self._host.indptr, self._host.indices, self._host.data))
            self._there = torch.sparse_csr_tensor(*parts, size=self._host.shape, device=device, check_invariants=False)

    def on_host(self, vector: Float32[np.ndarray, " n"]) -> Float32[np.ndarray, " m"]:
        """Multiplies a vector of NumPy's."""
        return self._host @ vector

    def __matmul__(self, vector: Float32[Tensor, " n"]) -> Float32[Tensor, " m"]:
        # On the CPU by SciPy, whose sums do not depend on how many threads there are.
        return torch.from_numpy(self._host @ vector.numpy()) if self._there is None else self._there @ vector


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Rung:
    """What happens on one mip: over the texels of it that matter, `chosen`, flat in the whole mip."""

    chosen: Int[np.ndarray, " n"]
    whole: csr_matrix
    """The forms over all texels of the mip, times the root of their weight."""
    forms: csr_matrix
    """The same over those chosen texels that they touch."""
    touched: Int[Tensor, " t"]
    """Those texels, among the chosen."""
    normal: Matrix
    down: Matrix | None
    """From the chosen texels of the next finer mip, and back: `up`. None on the finest."""
    up: Matrix | None


def needed_texels(levels: Mapping[int, JumpLevel], shape: tuple[int, ...]) -> list[Bool[np.ndarray, "tiles m m"]]:
    """Finds the texels of each mip that forms touch, or forms on coarser mips through them."""
    tiles, size = shape[:2]
    coarser: np.ndarray | None = None
    masks: list[np.ndarray] = []
    for mip in range(max(levels, default=0), -1, -1):
        side = size >> mip
        mask = np.zeros(tiles * side * side, dtype=bool)
        if mip in levels:
            mask[levels[mip].matrix.indices] = True
        mask = mask.reshape(tiles, side, side)
        if coarser is not None:
            mask |= np.repeat(np.repeat(coarser, 2, axis=1), 2, axis=2)
        masks.append(mask)
        coarser = mask
    return masks[::-1]


def grown(mask: Bool[np.ndarray, "tiles s s"], reach: int) -> Bool[np.ndarray, "tiles s s"]:
    """Adds to a mask all within `reach` texels of it, rounded up to blocks."""
    tiles, size = mask.shape[:2]
    side = min(_BLOCK, size)
    blocks = np.asarray(mask.reshape(tiles, size // side, side, size // side, side).any(axis=(2, 4)))
    grown = np.stack([binary_dilation(part, np.ones((3, 3)), -(-reach // side)) for part in blocks])
    return np.repeat(np.repeat(grown, side, axis=1), side, axis=2)


def build_ladder(
    levels: Mapping[int, JumpLevel], masks: Sequence[np.ndarray], stiffness: float, device: torch.device
) -> list[Rung]:
    """Builds the rungs of all mips, the finest first; `masks` says which texels of each matter."""
    rungs: list[Rung] = []
    for mip, mask in enumerate(masks):
        chosen = np.flatnonzero(mask)
        numbers = _numbers(chosen, mask.size)
        whole = csr_matrix((0, mask.size), dtype=np.float32)
        if mip in levels:
            weight = np.sqrt(stiffness * levels[mip].weight)
            whole = csr_matrix(levels[mip].matrix * weight, dtype=np.float32)
        forms = csr_matrix(whole[:, chosen])
        touched = np.unique(forms.indices)
        forms = csr_matrix(forms[:, touched])
        down, up = (None, None) if mip == 0 else _box_filter(rungs[-1].chosen, numbers, len(chosen), mask.shape[1])
        rungs.append(
            Rung(
                chosen=chosen,
                whole=whole,
                forms=forms,
                touched=torch.from_numpy(touched.astype(np.int64)).to(device),
                normal=Matrix(csr_matrix(forms.T @ forms), device),
                down=None if down is None else Matrix(down, device),
                up=None if up is None else Matrix(up, device),
            )
        )
    return rungs


def _numbers(chosen: np.ndarray, texels: int) -> Int[np.ndarray, " texels"]:
    """The place of each texel among the chosen; -1 where it is none of them."""
    numbers = np.full(texels, -1, dtype=np.int32)
    numbers[chosen] = np.arange(len(chosen), dtype=np.int32)
    return numbers


def _box_filter(finer: np.ndarray, numbers: np.ndarray, count: int, side: int) -> tuple[csr_matrix, csr_matrix]:
    """From the chosen texels of a mip to those of the next coarser one, of `side`, and its transpose."""
    rows, columns = np.divmod(finer, 2 * side)
    # Tiles lie below one another, and their sides are even.
    parents = numbers[(rows // 2) * side + columns // 2]
    has = parents >= 0
    starts = np.concatenate([[0], np.cumsum(has)]).astype(np.int32)
    quarter = np.full(int(has.sum()), 0.25, dtype=np.float32)
    up = csr_matrix((quarter, parents[has], starts), shape=(len(finer), count))
    return csr_matrix(up.T), up


def costs_and_links(
    cost: np.ndarray, links: Sequence[np.ndarray], texels: np.ndarray
) -> tuple[csr_matrix, Float32[np.ndarray, " n"]]:
    """Returns the matrix M over the unknowns, and its diagonal. Links to others count: they are fixed."""
    size, count = cost.shape[1], len(texels)
    numbers = _numbers(texels, cost.size)
    columns = np.empty((count, 5), dtype=np.int32)
    values = np.zeros((count, 5), dtype=np.float32)
    columns[:, 0] = np.arange(count)
    diagonal = cost.reshape(-1)[texels]
    row, column = (texels // size) % size, texels % size
    steps = ((links[0], size, row > 0, row < size - 1), (links[1], 1, column > 0, column < size - 1))
    for axis, (link, stride, has_before, has_after) in enumerate(steps):
        # Weights by the texel before the link, for the whole image.
        weight = np.zeros(cost.shape, dtype=np.float32)
        weight[NEIGHBOURS[axis][0]] = link
        flat = weight.reshape(-1)
        for place, (has, neighbour, at) in enumerate(
            ((has_before, texels - stride, texels - stride), (has_after, texels + stride, texels))
        ):
            there = np.where(has, neighbour, texels)
            value = np.where(has, flat[np.where(has, at, 0)], np.float32(0.0))
            diagonal = diagonal + value
            number = numbers[there]
            linked = number >= 0
            columns[:, 1 + 2 * axis + place] = np.where(linked, number, columns[:, 0])
            values[:, 1 + 2 * axis + place] = np.where(linked & has, -value, np.float32(0.0))
    values[:, 0] = diagonal
    starts = np.arange(0, 5 * count + 1, 5, dtype=np.int32)
    return csr_matrix((values.reshape(-1), columns.reshape(-1), starts), shape=(count, count)), diagonal
