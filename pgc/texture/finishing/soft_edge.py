# SPDX-License-Identifier: Apache-2.0
"""New texels that meet the kept ones beside them: a membrane over a band inside a mask's border.

Texels are nodes. Each has its neighbours in the texture, as far as they lie in the same chart, and across a seam the
texel on its other side: a mask may end where a chart does. Let N be the new texture, L the kept one, and n the width of
the band in texels, counted along these links. In the band a change D is found that minimises

    Σ_(both in the band) w · (D_i − D_j)²  +  grip · Σ_(i in the band, j kept) w · (N_i + D_i − L_j)²
      +  Σ_(i in the band, j beyond it) w · D_i²

with w one over the length of a link, and the grip where two texels have a side in common. That is seamless cloning
(Perez et al., "Poisson Image Editing", 2003) whose boundary has a second, inner side: there the change has come to
nothing. N's own detail stays, since only its difference from the border is spread; texels beyond the band, and all kept
ones, are not touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int
from scipy.sparse import csr_matrix

from pgc.texture.finishing.edge_frames import EdgeFrames
from pgc.texture.finishing.gutter import bilinear_taps, walk_edges

__all__ = ["SoftEdge", "TexelLinks", "seam_pairs"]

_GRIP = 64.0
"""Of kept texels on new ones. With 4 a border's jump was 1.2 times that between other neighbours, with 16 or more it is
theirs, whose grain the kept side has."""
_TOLERANCE = 1e-4
_OFFSETS = ((-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TexelLinks:
    """Which texels lie side by side on the surface. Texels are counted through all tiles, row by row.

    Attributes:
        part: chart of each texel, -1 outside of all.
        pairs: texels on both sides of seams, each pair in both directions, sorted by the first.
        repeat: whether the texture's opposite sides meet.
    """

    part: Int[np.ndarray, "tiles s s"]
    pairs: Int[np.ndarray, "n 2"]
    repeat: bool = False

    def of(
        self, texels: Int[np.ndarray, " n"]
    ) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"], Float64[np.ndarray, " m"]]:
        """Returns places in `texels`, the texels beside them, and how long each link is, in texels."""
        size = self.part.shape[1]
        part = self.part.reshape(-1)
        tile, row, column = texels // (size * size), texels // size % size, texels % size
        found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for down, right in _OFFSETS:
            rows, columns = row + down, column + right
            if self.repeat:
                rows, columns = rows % size, columns % size
            here = np.flatnonzero((rows >= 0) & (rows < size) & (columns >= 0) & (columns < size))
            beside = (tile[here] * size + rows[here]) * size + columns[here]
            same = part[beside] == part[texels[here]]
            found.append((here[same], beside[same], np.full(int(same.sum()), np.hypot(down, right))))
        first, last = (np.searchsorted(self.pairs[:, 0], texels, side) for side in ("left", "right"))
        counts = last - first
        at = np.repeat(np.arange(len(texels)), counts)
        within = np.arange(len(at)) - np.repeat(np.cumsum(counts) - counts, counts)
        found.append((at, self.pairs[first[at] + within, 1], np.ones(len(at))))
        return (
            np.concatenate([entry[0] for entry in found]),
            np.concatenate([entry[1] for entry in found]),
            np.concatenate([entry[2] for entry in found]),
        )


def seam_pairs(
    frames: EdgeFrames, inside: Bool[np.ndarray, "tiles s s"], tiles: Sequence[int], repeat: bool = False
) -> Int[np.ndarray, "n 2"]:
    """Finds the texels that lie side by side across seams, as `TexelLinks.pairs` has them."""
    size = inside.shape[1]
    edges, s, _ = walk_edges(frames, size)
    density = np.linalg.norm(frames.inward, axis=2).min(axis=1) * size
    inward = np.where(density > 0.0, 0.5 / np.maximum(density, 1e-12), 0.0)[edges]
    sides, usable = [], np.ones(len(s), dtype=bool)
    for side in (0, 1):
        taps, weights = bilinear_taps(frames.points(edges, side, s, inward), size, tiles, repeat)
        weights = weights * inside.reshape(-1)[taps]
        usable &= weights.max(axis=1, initial=0.0) > 0.0
        sides.append(taps[np.arange(len(taps)), weights.argmax(axis=1)] if len(taps) else np.zeros(0, np.int64))
    a, b = sides[0][usable], sides[1][usable]
    both = np.stack([np.concatenate([a, b]), np.concatenate([b, a])], axis=1)
    return np.unique(both[both[:, 0] != both[:, 1]], axis=0).reshape(-1, 2)


class SoftEdge:
    """The band of one mask; found once, and used for any texture.

    Args:
        links: of the mesh.
        kept: texels that stay as they are.
        width: of the band, in texels.
    """

    def __init__(self, links: TexelLinks, kept: Bool[np.ndarray, "tiles s s"], width: int) -> None:
        kept_flat = kept.reshape(-1) & (links.part.reshape(-1) >= 0)
        self.texels = _band(links, kept_flat, width)
        self._width = width
        at, beside, length = links.of(self.texels)
        weight = np.where(kept_flat[beside] & (length == 1.0), _GRIP, 1.0) / length
        count = len(self.texels)
        place = np.searchsorted(self.texels, beside).clip(max=max(count - 1, 0))
        inner = self.texels[place] == beside if count else np.zeros(0, dtype=bool)
        matrix = csr_matrix((-weight[inner], (at[inner], place[inner])), shape=(count, count))
        self._diagonal = np.bincount(at, weight, count)
        self._matrix = matrix
        held = kept_flat[beside]
        self._pull = csr_matrix((weight[held], (at[held], np.arange(int(held.sum())))), (count, int(held.sum())))
        self._held_at, self._held = at[held], beside[held]

    def soften(self, image: Float[np.ndarray, "tiles s s c"]) -> Float[np.ndarray, "tiles s s c"]:
        """Returns the texture, whose texels in the band have come to meet the kept ones; those are as they were."""
        if not len(self.texels):
            return image
        values = image.reshape(-1, image.shape[-1])
        result = values.copy()
        for channel in range(values.shape[1]):
            plane = values[:, channel].astype(np.float64)
            jumps = plane[self._held] - plane[self.texels[self._held_at]]
            change = self._solve(self._pull @ jumps)
            result[self.texels, channel] = (plane[self.texels] + change).clip(0.0, 1.0).astype(values.dtype)
        return result.reshape(image.shape)

    def _solve(self, pull: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        """Conjugate gradients from zero; sums in numpy's own order, so that threads change no bit."""
        change, residual = np.zeros_like(pull), pull.copy()
        scaled = residual / self._diagonal
        direction, energy = scaled.copy(), float((residual * scaled).sum())
        goal = energy * _TOLERANCE**2
        for _ in range(20 * self._width + 100):
            if energy <= goal:
                break
            product = self._diagonal * direction + self._matrix @ direction
            step = energy / float((direction * product).sum())
            change += step * direction
            residual -= step * product
            scaled = residual / self._diagonal
            before, energy = energy, float((residual * scaled).sum())
            direction = scaled + direction * (energy / before)
        return change


def _band(links: TexelLinks, kept: Bool[np.ndarray, " n"], width: int) -> Int[np.ndarray, " m"]:
    """Texels that are not kept and at most `width` texels away from kept ones, in ascending order."""
    distance = np.full(kept.size, np.inf, dtype=np.float32)
    distance[kept] = 0.0
    frontier = np.flatnonzero(kept)
    while len(frontier):
        at, beside, length = links.of(frontier)
        reached = distance[frontier[at]] + length.astype(np.float32)
        nearer = (reached < distance[beside]) & (reached <= width)
        beside, reached = beside[nearer], reached[nearer]
        np.minimum.at(distance, beside, reached)
        frontier = np.unique(beside)
    return np.flatnonzero(np.isfinite(distance) & ~kept)
