# SPDX-License-Identifier: Apache-2.0
"""Texels outside the charts: first what lies across the chart edge on the surface, then smooth filling.

Bilinear fetches and mips read beyond a chart's edge. There the texture continues as the surface does: each gutter
texel near a seam takes the colour of its corresponding point in the neighbouring chart (edge_frames.py). The rest
is filled by pull-push (Gortler et al., "The Lumigraph", 1996, section 3.4).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from scipy.spatial import KDTree
from torch import Tensor
from torch.nn import functional as F

from pgc.texture.finishing.edge_frames import EdgeFrames
from pgc.texture.mip_fetch import locate_tiles

__all__ = ["bilinear_taps", "continue_across_seams", "pull_push", "walk_edges"]

_REACH = 16.0
"""How far outside a chart the texture is continued, in texels."""
_NEIGHBOURS = 3
_PASSES = 3
"""Fetches at a chart's border read gutter texels too; with each pass those are better, and so is the fetch."""


def bilinear_taps(
    uv: Float[np.ndarray, "n 2"], size: int, tiles: Sequence[int], repeat: bool
) -> tuple[np.ndarray, Float64[np.ndarray, "n 4"]]:
    """Returns flat indices into [tiles, size, size] and weights of the four texels that a bilinear fetch reads."""
    places = uv.astype(np.float64)
    tile, u, v = (
        part.numpy()
        for part in locate_tiles(torch.from_numpy(places[:, 0]), torch.from_numpy(places[:, 1]), tiles, repeat)
    )
    x, y = u * size - 0.5, (1.0 - v) * size - 0.5
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    fx, fy = x - left, y - top
    columns = np.stack([left, left + 1, left, left + 1], axis=1)
    rows = np.stack([top, top, top + 1, top + 1], axis=1)
    columns, rows = (part % size if repeat else part.clip(0, size - 1) for part in (columns, rows))
    weights = np.stack([(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy], axis=1)
    return (tile[:, None] * size + rows) * size + columns, weights


def continue_across_seams(
    texture: Float[Tensor, "tiles c s s"],
    known: Bool[np.ndarray, "tiles s s"],
    frames: EdgeFrames,
    tiles: Sequence[int],
    repeat: bool = False,
) -> tuple[Float[Tensor, "tiles c s s"], Bool[np.ndarray, "tiles s s"]]:
    """Gives texels near seams, outside the charts, the colour of the surface across the seam.

    Args:
        texture: values; only texels in `known` are read.
        known: texels inside the charts.
        frames: the seams.
        tiles, repeat: addressing, as in the fetch.

    Returns:
        The texture, and `known` with the texels that were set.
    """
    values = texture.detach().cpu().numpy()
    count, channels, size, _ = values.shape
    planes = values.transpose(1, 0, 2, 3).reshape(channels, -1)
    links = [_links(known, frames, side, tiles, repeat) for side in (0, 1)]
    target, taps, weights, closeness = (np.concatenate([link[i] for link in links]) for i in range(4))
    # Only these texels are read or set: far fewer than the texture has.
    used, places = np.unique(np.concatenate([target, taps.reshape(-1)]), return_inverse=True)
    target, taps = places[: len(target)], places[len(target) :].reshape(taps.shape)
    colors, inside = planes[:, used].astype(np.float64), known.reshape(-1)[used]
    readable = inside
    for _ in range(_PASSES):
        usable = weights * readable[taps]
        certainty = usable.sum(axis=1)
        strength = np.where(certainty > 0.4, closeness, 0.0)
        total = np.bincount(target, strength, len(used))
        found = (total > 0.0) & ~inside
        fetched = [(usable * color[taps]).sum(axis=1) / np.maximum(certainty, 1e-9) for color in colors]
        for color, seen in zip(colors, fetched, strict=True):
            color[found] = np.bincount(target, strength * seen, len(used))[found] / total[found]
        readable = inside | found
    result, set_now = planes.copy(), readable & ~inside
    result[:, used[set_now]] = colors[:, set_now]
    done = known.reshape(-1).copy()
    done[used] = readable
    image = torch.from_numpy(result.reshape(channels, count, size, size)).transpose(0, 1).contiguous()
    return image.to(texture), done.reshape(known.shape)


def _links(
    known: Bool[np.ndarray, "tiles s s"], frames: EdgeFrames, side: int, tiles: Sequence[int], repeat: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Gutter texels near seams on one side: flat index, the four texels across the seam, weights, closeness."""
    size = known.shape[1]
    edges, s, _ = walk_edges(frames, size, side)
    parts = [(np.zeros(0, int), np.zeros((0, 4), int), np.zeros((0, 4)), np.zeros(0))]
    on_edge = frames.points(edges, side, s, np.zeros(len(s)))
    parts_uv = (torch.from_numpy(on_edge[:, 0]), torch.from_numpy(on_edge[:, 1]))
    tile, u, v = (part.numpy() for part in locate_tiles(*parts_uv, tiles, repeat))
    for number in range(len(known)):
        here = tile == number
        local = np.stack([u[here], v[here]], axis=1)
        empty = np.flatnonzero(~known[number] & _near(local, size))
        if not len(empty):
            continue
        shift = on_edge[here] - local
        centers = np.stack([(empty % size + 0.5) / size, 1.0 - (empty // size + 0.5) / size], axis=1)
        distance, index = KDTree(local).query(centers, k=_NEIGHBOURS, distance_upper_bound=_REACH / size)
        distance = np.asarray(distance)
        near, rank = np.nonzero(np.isfinite(distance))
        sample = np.asarray(index)[near, rank]
        across, valid = _map_across(frames, edges[here][sample], side, centers[near] + shift[sample])
        taps, weights = bilinear_taps(across[valid], size, tiles, repeat)
        closeness = 1.0 / (0.1 + distance[near, rank][valid] * size) ** 2
        parts.append((number * size * size + empty[near][valid], taps, weights, closeness))
    target, taps, weights, closeness = (np.concatenate([part[i] for part in parts]) for i in range(4))
    return target, taps, weights, closeness


def _near(points: Float64[np.ndarray, "n 2"], size: int) -> Bool[np.ndarray, "s s"]:
    """All texels within reach of a point, and some more: whole blocks, of which all the others are out of reach."""
    side = int(_REACH)
    count = -(-size // side)
    blocks = np.zeros((count + 2, count + 2), dtype=bool)
    column = (points[:, 0] * size / side).astype(np.int64).clip(0, count - 1)
    row = ((1.0 - points[:, 1]) * size / side).astype(np.int64).clip(0, count - 1)
    for down in range(3):
        for right in range(3):
            blocks[row + down, column + right] = True
    inner = blocks[1:-1, 1:-1]
    return np.repeat(np.repeat(inner, side, axis=0), side, axis=1)[:size, :size]


def walk_edges(
    frames: EdgeFrames, size: int, side: int | None = None
) -> tuple[Int[np.ndarray, " n"], Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    """Places samples along every edge, at most a texel apart on one side, or on both where `side` is None.

    Returns:
        Edge numbers, places s along the edges, and the length in texels that each sample stands for.
    """
    density = np.linalg.norm(frames.along, axis=2)
    density = density.max(axis=1) if side is None else density[:, side]
    texels = density * frames.length * size
    counts = np.ceil(texels).clip(1, 4 * size).astype(np.int64)
    edges = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(edges)) - np.repeat(np.cumsum(counts) - counts, counts)
    return edges, (within + 0.5) / counts[edges] * frames.length[edges], (texels / counts)[edges]


def _map_across(
    frames: EdgeFrames, edges: np.ndarray, side: int, uv: np.ndarray
) -> tuple[Float64[np.ndarray, "n 2"], Bool[np.ndarray, " n"]]:
    """UV on the other side of points outside one side's face; not valid inside it or far beyond the edge's ends."""
    offset = uv - frames.origin[edges, side]
    (ax, ay), (ix, iy) = frames.along[edges, side].T, frames.inward[edges, side].T
    determinant = ax * iy - ay * ix
    safe = np.where(np.abs(determinant) > 1e-20, determinant, 1.0)
    s = (offset[:, 0] * iy - offset[:, 1] * ix) / safe
    d = (ax * offset[:, 1] - ay * offset[:, 0]) / safe
    length = frames.length[edges]
    valid = (np.abs(determinant) > 1e-20) & (d <= 0.0)
    valid &= (s > -0.5 * length + d) & (s < 1.5 * length - d)
    return frames.points(edges, 1 - side, s, -d), valid


def pull_push(
    texture: Float[Tensor, "tiles c s s"], known: Bool[Tensor, "tiles 1 s s"]
) -> Float[Tensor, "tiles c s s"]:
    """Fills unknown texels smoothly from known ones; known texels keep their bits. With none known: unchanged."""
    if not bool(known.any()):
        return texture
    weight = known.to(texture)
    values, weights = [texture * weight], [weight]
    while values[-1].shape[-1] > 1:
        pooled = F.avg_pool2d(weights[-1], 2)
        value = F.avg_pool2d(values[-1], 2)
        # Weights saturate: one known texel is enough to speak for its block.
        strength = (4.0 * pooled).clamp(max=1.0)
        values.append(torch.where(pooled > 0, value / pooled.clamp_min(1e-12) * strength, value))
        weights.append(strength)
    filled = values[-1] / weights[-1].clamp_min(1e-12)
    for value, weight in zip(reversed(values[:-1]), reversed(weights[:-1]), strict=True):
        smooth = F.interpolate(filled, scale_factor=2, mode="bilinear", align_corners=False)
        filled = value + (1.0 - weight) * smooth
    return torch.where(known, texture, filled)
