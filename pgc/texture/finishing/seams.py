# SPDX-License-Identifier: Apache-2.0
"""The constraint across chart edges: both sides of a seam show the same colour, at every mip.

Two least-squares repairs, with the gutter continuation (gutter.py) between them:

`close_charts` works on the texels inside charts. The colour that each side reaches at a seam, extrapolated from
texels inside its own chart, must agree; the difference is spread over some texels, as in seamless cloning (Perez
et al., "Poisson Image Editing", 2003).

`close_mips` works on the finished image, gutters included, and on its box-filtered mips: the bilinear fetches of
both sides of a seam must agree at every mip. Gutter texels, which nobody sees at mip 0, change first.

Both find the change D of a texture T that minimises

    Σ_texels cost · D²  +  smoothness · Σ_neighbours cost · (D_i − D_j)²
      +  stiffness · Σ_mips growth^k · Σ_samples weight · (J_k A^k (T + D))²

with A^k the box filter of mip k and J_k the jump at a seam sample; see quadratic.py for the solver.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64
from scipy.ndimage import binary_dilation
from scipy.sparse import csr_matrix, diags

from pgc.errors import ConfigError
from pgc.texture.finishing.active_set import ActiveProblem
from pgc.texture.finishing.edge_frames import EdgeFrames
from pgc.texture.finishing.gutter import bilinear_taps, walk_edges
from pgc.texture.finishing.quadratic import (
    ImageProblem,
    JumpLevel,
    MultiresolutionProblem,
    QuadraticConfig,
    box_mip,
)

__all__ = ["SeamConfig", "SeamSolver"]

_CHART_REACH = 16
"""Texels from a seam beyond which a finer resolution keeps what the coarser one found inside charts."""
_MIP_REACH = 4
"""Texels from what a seam's fetches read beyond which mips change nothing, where changes spread a texel or less."""
_COARSEST = 0.1
"""The tolerance at the coarsest resolution, over that of the settings: it is cheap there, and finer ones rest on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeamConfig:
    """Settings of the seam constraint.

    Attributes:
        mips: number of mip levels that are held together, 0 to mips - 1.
        growth: weight of a mip over that of the next finer one, > 0.
        gutter_cost: cost of changing a gutter texel over that of a visible texel, in (0, 1].
        spread: distance over which a difference between charts is spread, as a fraction of the texture's side.
        charts: the solver inside charts; its smoothness is a factor on the square of that distance in texels, and
            its stiffness comes on top.
        mip_chain: the solver of the mips.
        across_slots: whether seams between faces of two material slots are closed too. What lies there is one material
            unless somebody says otherwise; where slots are known to be two, closing the seam would mix them.

    Raises:
        ConfigError: a value is out of range.
    """

    mips: int = 5
    growth: float = 1.3
    gutter_cost: float = 0.0003
    spread: float = 1.0 / 24.0
    charts: QuadraticConfig = field(default_factory=lambda: QuadraticConfig(stiffness=10.0, smoothness=1.0))
    mip_chain: QuadraticConfig = field(default_factory=lambda: QuadraticConfig(stiffness=0.3, smoothness=0.3))
    across_slots: bool = True

    def __post_init__(self) -> None:
        if not 0.0 < self.spread <= 1.0:
            raise ConfigError(f"Got a seam spread of {self.spread}; expected a fraction of the texture's side, (0, 1].")
        if self.mips < 1 or self.growth <= 0.0 or not 0.0 < self.gutter_cost <= 1.0:
            raise ConfigError(
                f"Got {self.mips} mips, growth {self.growth}, gutter cost {self.gutter_cost}; expected at least one "
                "mip, a growth above 0 and a gutter cost in (0, 1]."
            )


class SeamSolver:
    """The seam constraints of one mesh and texture size; build once, solve for any texture.

    Args:
        frames: the seams.
        inside: texels whose centre lies in a chart.
        free: texels that may change (not locked).
        tiles, repeat: addressing, as in the fetch.
        config: settings.
    """

    def __init__(
        self,
        frames: EdgeFrames,
        inside: Bool[np.ndarray, "tiles s s"],
        free: Bool[np.ndarray, "tiles s s"],
        tiles: Sequence[int],
        repeat: bool = False,
        config: SeamConfig | None = None,
    ) -> None:
        config = SeamConfig() if config is None else config
        size = inside.shape[1]
        # The ring around a chart is read by bilinear fetches from it, so it is as visible as the chart.
        visible = np.stack([binary_dilation(part, np.ones((3, 3), dtype=bool)) for part in inside])
        cost = np.where(visible, 1.0, config.gutter_cost)
        square = (config.spread * size) ** 2
        within_charts = replace(
            config.charts, stiffness=config.charts.stiffness * square, smoothness=config.charts.smoothness * square
        )
        charts, mips = [], []
        count = max(min(4, size.bit_length() - 5), 1)
        for halvings in range(count):
            allowed = ~_any_in_block(~free, halvings)
            within = _any_in_block(inside, halvings)
            jumps = _extrapolated_jumps(frames, within, tiles, repeat)
            # Half as many samples a halving stand for the same seam.
            level = JumpLevel(matrix=jumps, mip=0, weight=2.0**halvings)
            chart_config, mip_config = _scaled(within_charts, halvings), _scaled(config.mip_chain, halvings)
            # Differences between charts spread far; the coarsest resolution tells how far, and then only texels near
            # seams see more.
            reach = _CHART_REACH if halvings < count - 1 else None
            if reach is None:
                chart_config = replace(chart_config, tolerance=_COARSEST * chart_config.tolerance)
                mip_config = replace(mip_config, tolerance=_COARSEST * mip_config.tolerance)
            charts.append(self.problem([level], np.ones(within.shape), within & allowed, chart_config, reach))
            levels = [
                JumpLevel(
                    matrix=_mip_jumps(frames, size >> k, tiles, repeat), mip=k - halvings, weight=config.growth**k
                )
                for k in range(halvings, min(config.mips, size.bit_length()))
            ]
            price = box_mip(cost[..., None], halvings)[..., 0]
            if levels:
                spread = math.ceil(_MIP_REACH * max(1.0, math.sqrt(mip_config.smoothness)))
                mips.append(self.problem(levels, price, allowed, mip_config, spread))
        self._charts = MultiresolutionProblem(charts, inside.astype(np.float32))
        self._mips = MultiresolutionProblem(mips, np.ones(inside.shape))

    def problem(
        self,
        levels: Sequence[JumpLevel],
        cost: Float[np.ndarray, "tiles s s"],
        free: Bool[np.ndarray, "tiles s s"],
        config: QuadraticConfig,
        reach: int | None,
    ) -> ImageProblem:
        """Builds the problem of one resolution; changes further than `reach` texels from seams are small there."""
        return ActiveProblem(levels, cost, free, config, reach=reach)

    def close_charts(self, image: Float[np.ndarray, "tiles s s c"]) -> Float32[np.ndarray, "tiles s s c"]:
        """Returns the texture with agreeing colours at both sides of seams; only texels inside charts change."""
        return self._charts.solve(image)

    def close_mips(self, image: Float[np.ndarray, "tiles s s c"]) -> Float32[np.ndarray, "tiles s s c"]:
        """Returns the texture with agreeing fetches at both sides of seams, at every mip; gutters change first."""
        return self._mips.solve(image)


def _any_in_block(mask: Bool[np.ndarray, "tiles s s"], halvings: int) -> Bool[np.ndarray, "tiles m m"]:
    for _ in range(halvings):
        mask = mask[:, ::2] | mask[:, 1::2]
        mask = mask[:, :, ::2] | mask[:, :, 1::2]
    return mask


def _scaled(config: QuadraticConfig, halvings: int) -> QuadraticConfig:
    """The same energy on an image halved so many times, divided by the texels that one stands for."""
    factor = 4.0**halvings
    return replace(config, stiffness=config.stiffness / factor, smoothness=config.smoothness / factor)


def _mip_jumps(frames: EdgeFrames, size: int, tiles: Sequence[int], repeat: bool) -> csr_matrix:
    """Rows: fetch on side 0 minus fetch on side 1 at points on the seams, about one a texel of this mip."""
    edges, s, weight = _samples(frames, size)
    fetches = []
    for side in (0, 1):
        taps, weights = bilinear_taps(frames.points(edges, side, s, np.zeros(len(s))), size, tiles, repeat)
        fetches.append(_fetch_matrix(taps, weights, len(tiles) * size * size))
    return csr_matrix(diags(weight) @ (fetches[0] - fetches[1]))


def _extrapolated_jumps(
    frames: EdgeFrames, inside: Bool[np.ndarray, "tiles s s"], tiles: Sequence[int], repeat: bool
) -> csr_matrix:
    """Rows: colour that side 0 reaches at the seam minus that of side 1, each from texels of its own chart only.

    With f(d) fetched d inwards, a side reaches 1.5 f(h) − 0.5 f(3h), its linear extrapolation to the seam; where
    the chart is too narrow for that, f(h). h is half a texel of the coarser side.
    """
    size = inside.shape[1]
    edges, s, weight = _samples(frames, size)
    density = np.linalg.norm(frames.inward, axis=2).min(axis=1) * size
    h = np.where(density > 0.0, 0.5 / np.maximum(density, 1e-12), 0.0)[edges]
    usable = np.ones(len(s), dtype=bool)
    sides = []
    for side in (0, 1):
        near, near_certain = _masked_fetch(frames.points(edges, side, s, h), inside, tiles, repeat)
        far, far_certain = _masked_fetch(frames.points(edges, side, s, 3.0 * h), inside, tiles, repeat)
        straight = np.where(far_certain > 0.6, 0.5, 0.0)
        sides.append(diags(1.0 + straight) @ near - diags(straight) @ far)
        usable &= near_certain > 0.2
    return csr_matrix(diags(weight * usable) @ (sides[0] - sides[1]))


def _samples(frames: EdgeFrames, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples about a texel apart: edges, places, and the root of the texels that each stands for (at most one)."""
    edges, s, texels = walk_edges(frames, size)
    return edges, s, np.sqrt(np.minimum(texels, 1.0))


def _masked_fetch(
    uv: np.ndarray, inside: Bool[np.ndarray, "tiles s s"], tiles: Sequence[int], repeat: bool
) -> tuple[csr_matrix, Float64[np.ndarray, " n"]]:
    """Bilinear fetch that reads only texels inside charts, and how much of its weight those had."""
    taps, weights = bilinear_taps(uv, inside.shape[1], tiles, repeat)
    weights = weights * inside.reshape(-1)[taps]
    certainty = weights.sum(axis=1)
    return _fetch_matrix(taps, weights / np.maximum(certainty, 1e-9)[:, None], inside.size), certainty


def _fetch_matrix(taps: np.ndarray, weights: np.ndarray, texels: int) -> csr_matrix:
    rows = np.repeat(np.arange(len(taps)), 4)
    return csr_matrix((weights.reshape(-1), (rows, taps.reshape(-1))), shape=(len(taps), texels))
