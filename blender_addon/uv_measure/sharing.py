# SPDX-License-Identifier: Apache-2.0
"""Which texels serve several places of the surface, and whether those places are made to look the same.

Wanted: charts that lie upon each other as a whole, are congruent (mirror images among them) and have one material: the
halves of a model, its screws, its chair legs. Copies of different materials have a picture each (playing cards).
Everything else that shares a texel does so by tiling or by accident.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .charts import connected

__all__ = ["Samples", "Sharing", "all_parked", "find_sharing"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.signedinteger[Any]]

_SAME_PART = 0.75
"""Two charts are stacked where they share at least so much of the bigger one."""
_SAME_SHAPE = 0.05
"""Of the charts' extent: how far a place may lie from its image under the best rigid motion or reflection."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """Points of the surface that fall on the sample points of texels: N of them.

    Args:
        texel: number [N] of the texel; equal for all places that it serves.
        square: number [N] of the unit square that the sample's own UV lies in.
        chart: chart [N]; place: position [N, 3], in units of about the mesh's size.
        material: number [N] of the material; what has different ones is made to look different.
    """

    texel: Ints
    square: Ints
    chart: Ints
    place: Floats
    material: Ints


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """By sample [N]: `stacked` texels serve congruent places only, `tiled` ones repeat (on one surface, or since UVs
    lie beyond the unit square), `crossed` ones serve different parts. A sample is at most one of them. `uses` [T]
    counts the places of each texel in use."""

    stacked: Bools
    tiled: Bools
    crossed: Bools
    uses: Ints


def find_sharing(samples: Samples, cut_pairs: tuple[Ints, Ints], chart_count: int) -> Sharing:
    """Sorts texels by what they serve.

    Args:
        cut_pairs: charts that meet at an edge where the picture starts anew (`charts.cut_neighbours`): if both lie on
            the same texels, the picture is a tile that repeats, however equal the two are.
    """
    order = np.lexsort((samples.chart, samples.texel))
    texel, chart = samples.texel[order], samples.chart[order]
    starts = np.flatnonzero(np.diff(texel, prepend=texel[0] - 1)) if len(texel) else np.zeros(0, np.int64)
    uses = np.diff(np.append(starts, len(texel)))
    group = np.repeat(np.arange(len(starts)), uses)
    leader = starts[group]
    follower = np.flatnonzero(leader != np.arange(len(texel)))
    lead = leader[follower]
    first, second = chart[lead], chart[follower]
    congruent = _congruent(samples.place[order][lead], samples.place[order][follower], first, second, chart)
    material = samples.material[order]
    congruent &= material[lead] == material[follower]
    stack = connected(chart_count, first[congruent], second[congruent])
    repeating = np.zeros(chart_count, dtype=bool)
    cut_first, cut_second = stack[cut_pairs[0]], stack[cut_pairs[1]]
    repeating[cut_first[cut_first == cut_second]] = True
    square = samples.square[order]
    tile = (first == second) | (congruent & repeating[stack[first]]) | (~congruent & (square[lead] != square[follower]))
    tiled, crossed = np.zeros(len(starts), dtype=bool), np.zeros(len(starts), dtype=bool)
    tiled[group[follower[tile]]] = True
    crossed[group[follower[~congruent & ~tile]]] = True
    crossed &= ~tiled
    stacked = (uses > 1) & ~tiled & ~crossed
    back = np.empty(len(order), dtype=np.int64)
    back[order] = group
    return Sharing(stacked=stacked[back], tiled=tiled[back], crossed=crossed[back], uses=uses)


def all_parked(samples: Samples, sharing: Sharing, tile: Ints, flipped: Bools) -> bool:
    """Says whether every chart outside the first unit square is a copy of one inside it, and some are mirrored.

    Artists put such copies a unit further, so that bakers pass over them. A UDIM layout has pictures of its own in its
    other tiles; copies that are not mirrored may be one, with a picture for each.

    Args:
        samples, sharing: of the layout with all squares laid on one.
        tile: square [N] that the sample's chart lies in, 0 for the first; flipped: [N], wound the other way in UVs.
    """
    outside = tile != 0
    if not outside.any() or outside.all():
        return False
    _, texel = np.unique(samples.texel, return_inverse=True)
    texel = texel.reshape(-1)
    count = int(texel.max()) + 1
    upright, turned = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    upright[texel[~outside & ~flipped]] = True
    turned[texel[~outside & flipped]] = True
    copied = outside & sharing.stacked & (upright | turned)[texel]
    mirrored = copied & np.where(flipped, upright[texel], turned[texel])
    charts = np.unique(samples.chart[outside])
    whole = np.bincount(samples.chart[outside])[charts]
    copies = np.bincount(samples.chart[copied], minlength=int(charts.max()) + 1)[charts]
    return bool((copies >= _SAME_PART * whole).all() and mirrored.any())


def _congruent(a: Floats, b: Floats, first: Ints, second: Ints, chart: Ints) -> Bools:
    """Of each pair of places [M], whether its two charts are stacked as a whole and congruent."""
    result = np.zeros(len(first), dtype=bool)
    different = np.flatnonzero(first != second)
    if len(different) == 0:
        return result
    count = int(chart.max()) + 1
    key = first[different].astype(np.int64) * count + second[different]
    pairs, pair = np.unique(key, return_inverse=True)
    pair = pair.reshape(-1)
    size = np.bincount(chart, minlength=count)
    shared = np.bincount(pair)
    whole = shared >= _SAME_PART * np.maximum(size[pairs // count], size[pairs % count])
    good = whole & (_misfit(a[different], b[different], pair, shared) <= _SAME_SHAPE)
    result[different] = good[pair]
    return result


def _misfit(a: Floats, b: Floats, pair: Ints, count: Ints) -> Floats:
    """For each pair of charts, the distance left over after the best rigid motion or reflection, over their extent.

    The best orthogonal map has the sum of the singular values of the covariance as its trace (Schönemann 1966), so
    the squared rest is var(a) + var(b) - 2 sum(s). Its scale is not free: a stretched copy is no copy.
    """

    def mean(values: Floats) -> Floats:
        return np.bincount(pair, values, minlength=len(count)) / count

    center_a = np.stack([mean(a[:, axis]) for axis in range(3)], axis=1)
    center_b = np.stack([mean(b[:, axis]) for axis in range(3)], axis=1)
    from_a, from_b = a - center_a[pair], b - center_b[pair]
    spread = mean((from_a**2).sum(axis=1)) + mean((from_b**2).sum(axis=1))
    covariance = np.empty((len(count), 3, 3))
    for row in range(3):
        for column in range(3):
            covariance[:, row, column] = mean(from_a[:, row] * from_b[:, column])
    rest = np.maximum(spread - 2.0 * np.linalg.svd(covariance, compute_uv=False).sum(axis=1), 0.0)
    return np.sqrt(rest / np.maximum(spread / 2.0, 1e-300))
