# SPDX-License-Identifier: Apache-2.0
"""Seam ratio: how much more a texture jumps across chart edges than inside charts, per mip.

At points on a chart edge, colours are fetched bilinearly on both sides, each the same small 3D distance h inwards,
and their difference is averaged. The same is done at ordinary edges inside charts. The ratio of the two averages
is 1 where seams cannot be told from the rest of the surface. h is half a texel of the mip, in 3D, since at the
mip where the texture is shown one texel is about one pixel. Points whose fetch would leave their chart, because
it is narrower than h, are left out on both kinds of edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64

from pgc.mesh.data import TriangleMesh
from pgc.mesh.uvs.charts import chart_ids, seam_edges
from pgc.texture.field import BakedTexture
from pgc.texture.finishing.edge_frames import EdgeFrames, edge_frames, interior_edges
from pgc.texture.finishing.gutter import bilinear_taps
from pgc.texture.finishing.quadratic import box_mip
from pgc.texture.texel_surface import texel_surface

__all__ = ["MipSeams", "seam_ratios"]

_MAXIMUM_SAMPLES = 200_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MipSeams:
    """Seams of one mip.

    Attributes:
        mip: level, 0 is full size.
        offset: 3D distance h of each fetch from the edge, in the mesh's units.
        seam_jump, interior_jump: mean colour difference (L2 norm over channels) across chart edges and inside charts.
        seam_samples, interior_samples: number of points.
    """

    mip: int
    offset: float
    seam_jump: float
    interior_jump: float
    seam_samples: int
    interior_samples: int

    @property
    def ratio(self) -> float:
        """seam_jump / interior_jump; 1 where there is nothing to compare or both are zero."""
        if not self.seam_samples or not self.interior_samples or self.seam_jump == self.interior_jump:
            return 1.0
        return self.seam_jump / self.interior_jump if self.interior_jump > 0.0 else float("inf")


def seam_ratios(
    triangles: TriangleMesh,
    texture: BakedTexture,
    *,
    name: str = "base_color",
    mips: int = 5,
    repeat: bool = False,
) -> list[MipSeams]:
    """Measures the seam jumps of the box-filtered mips 0 to mips - 1 of a texture as it is exported (8 bits).

    Args:
        triangles: the mesh that the texture is for, in any units.
        texture: finished texture.
        name: the map to look at.
        mips: number of mips.
        repeat: wrap UVs into the first tile.
    """
    tiles = texture.tiles
    image = np.stack([part.numpy() for part in texture.to_uint8()[name]]).transpose(0, 2, 3, 1) / 255.0
    size = image.shape[1]
    charts = chart_ids(triangles)
    layout = [texel_surface(triangles, size, tile, reach=0.5).face_index for tile in tiles]
    chart_map = np.stack([np.where(faces >= 0, charts[faces], -1) for faces in layout]).reshape(-1)
    kinds = [edge_frames(triangles, edges) for edges in (seam_edges(triangles), interior_edges(triangles))]
    texel_length = _texel_length(kinds[1] if len(kinds[1].length) else kinds[0], size)
    results = []
    for mip in range(min(mips, size.bit_length())):
        offset = 0.5 * texel_length * (1 << mip)
        filtered = box_mip(image, mip)
        jumps = [_jumps(frames, filtered, chart_map, charts, offset, tiles, repeat) for frames in kinds]
        means = [float(part.mean()) if len(part) else 0.0 for part in jumps]
        results.append(
            MipSeams(
                mip=mip,
                offset=offset,
                seam_jump=means[0],
                interior_jump=means[1],
                seam_samples=len(jumps[0]),
                interior_samples=len(jumps[1]),
            )
        )
    return results


def _texel_length(frames: EdgeFrames, size: int) -> float:
    """Median 3D length of one texel of mip 0."""
    stretch = np.linalg.norm(frames.along, axis=2).mean(axis=1) * size
    usable = stretch > 0.0
    return float(np.median(1.0 / stretch[usable])) if usable.any() else 0.0


def _jumps(
    frames: EdgeFrames,
    filtered: Float[np.ndarray, "tiles m m c"],
    chart_map: np.ndarray,
    charts: np.ndarray,
    offset: float,
    tiles: Sequence[int],
    repeat: bool,
) -> Float64[np.ndarray, " n"]:
    """Colour differences across edges, at points `offset` inwards on both sides, where both stay in their charts."""
    edges, s = _edge_samples(frames, offset)
    distance = np.full(len(s), offset)
    colors, usable = [], np.ones(len(s), dtype=bool)
    full = round((len(chart_map) / len(tiles)) ** 0.5)
    for side in (0, 1):
        uv = frames.points(edges, side, s, distance)
        nearest, weights = bilinear_taps(uv, full, tiles, repeat)
        nearest = nearest[np.arange(len(s)), weights.argmax(axis=1)]
        usable &= _in_tiles(uv, tiles, repeat) & (chart_map[nearest] == charts[frames.faces[edges, side]])
        taps, weights = bilinear_taps(uv, filtered.shape[1], tiles, repeat)
        colors.append(np.einsum("nk,nkc->nc", weights, filtered.reshape(-1, filtered.shape[-1])[taps]))
    return np.linalg.norm(colors[0] - colors[1], axis=1)[usable]


def _in_tiles(uv: Float64[np.ndarray, "n 2"], tiles: Sequence[int], repeat: bool) -> Bool[np.ndarray, " n"]:
    if repeat:
        return np.ones(len(uv), dtype=bool)
    present = np.isin(1001 + np.floor(uv[:, 0]) + 10 * np.floor(uv[:, 1]), np.asarray(tiles))
    return present & (uv >= 0.0).all(axis=1)


def _edge_samples(frames: EdgeFrames, offset: float) -> tuple[np.ndarray, np.ndarray]:
    """Points at most 2·offset apart along all edges (one at least): edge numbers and places s."""
    step = max(2.0 * offset, float(frames.length.sum()) / _MAXIMUM_SAMPLES)
    counts = np.ceil(frames.length / step).astype(np.int64).clip(1) if step > 0.0 else np.ones(len(frames.length), int)
    edges = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(edges)) - np.repeat(np.cumsum(counts) - counts, counts)
    return edges, (within + 0.5) / counts[edges] * frames.length[edges]
