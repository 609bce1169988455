# SPDX-License-Identifier: Apache-2.0
"""Trilinear texture fetch at the footprint's mip level, on tiles.

The level is log2 of the longer axis of the pixel's footprint ellipse, in texels (Heckbert, "Fundamentals of
Texture Mapping and Image Warping", 1989); magnified pixels fetch bilinearly from level 0. Pixels are grouped by
level, so that a level costs only for the pixels that use it; a level that no pixel needs is not touched.

Determinism: each fetch is one grid_sample of batch size one, whose CPU kernels (forward and backward) split work
over the batch only, and every scatter writes to distinct places. The same inputs give the same bits on the CPU,
with any number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from pgc.errors import TextureError

__all__ = [
    "FetchPlan",
    "level_of_detail",
    "locate_tiles",
    "plan_fetch",
    "sample_mipmapped",
    "sample_mipmapped_reference",
    "sample_planned",
]


def level_of_detail(uv_footprint: Float[Tensor, "b 4 h w"], size: int) -> Float[Tensor, "b h w"]:
    """Returns log2 of the longer axis of the footprint ellipse in texels of a `size`² texture; negative when magnified.

    Args:
        uv_footprint: (du/dx, dv/dx, du/dy, dv/dy), UV units a pixel.
        size: side of level 0 in texels.
    """
    du_dx, dv_dx, du_dy, dv_dy = (uv_footprint * size).unbind(1)
    xx = du_dx * du_dx + dv_dx * dv_dx
    yy = du_dy * du_dy + dv_dy * dv_dy
    xy = du_dx * du_dy + dv_dx * dv_dy
    # The larger eigenvalue of JᵀJ is the squared longer axis.
    squared = 0.5 * (xx + yy) + torch.sqrt(0.25 * (xx - yy) ** 2 + xy * xy)
    return 0.5 * torch.log2(squared.clamp_min(1e-30))


def locate_tiles(
    u: Float[Tensor, " p"], v: Float[Tensor, " p"], tiles: Sequence[int], repeat: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Says which tile a UV lies in, and where in it.

    The integer part of a UV selects the tile. A UV outside all tiles (or with a single tile, or with `repeat`)
    wraps to the first one. A UV on the upper border of a tile stays in it where no tile lies beyond.

    Returns:
        Tile index [P] int64 into `tiles`; u and v inside the tile, in [0, 1].
    """
    index = torch.full(u.shape, -1, dtype=torch.int64, device=u.device)
    local_u, local_v = u - u.floor(), v - v.floor()
    if not repeat:
        origins = [((tile - 1001) % 10, (tile - 1001) // 10) for tile in tiles]
        for number, (column, row) in enumerate(origins):
            inside = (u >= column) & (u <= column + 1) & (v >= row) & (v <= row + 1)
            # Half-open first: a point on a shared border belongs to the tile that starts there.
            strict = inside & (u < column + 1) & (v < row + 1)
            chosen = strict | (inside & (index < 0))
            index = torch.where(chosen, number, index)
            local_u = torch.where(chosen, u - column, local_u)
            local_v = torch.where(chosen, v - row, local_v)
    return index.clamp_min(0), local_u, local_v


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FetchPlan:
    """Where each pixel fetches: made once a batch and shared by all maps.

    Attributes:
        shape: (B, H, W) of the images.
        pixels: [P] int64, flat index b·H·W + y·W + x of each masked pixel, ordered by its finer level.
        tile, u, v: [P], tile index and place inside it (v up), in that order.
        fraction: [P] in [0, 1): weight of the coarser level.
        bounds: bounds[l]..bounds[l+1] are the pixels whose finer level is l.
    """

    shape: tuple[int, int, int]
    pixels: Tensor
    tile: Tensor
    u: Tensor
    v: Tensor
    fraction: Tensor
    bounds: tuple[int, ...]
    repeat: bool

    @property
    def finest(self) -> int | None:
        """The finest level that any pixel needs; None when no pixel shows the surface."""
        for level in range(len(self.bounds) - 1):
            if self.bounds[level + 1] > self.bounds[level]:
                return level
        return None

    def users(self, level: int) -> tuple[int, int]:
        """Returns the range of pixels that fetch from `level`, as the finer or as the coarser one of their two."""
        return self.bounds[max(level - 1, 0)], self.bounds[level + 1]


def plan_fetch(
    uv: Float[Tensor, "b 2 h w"],
    uv_footprint: Float[Tensor, "b 4 h w"],
    mask: Bool[Tensor, "b 1 h w"],
    *,
    size: int,
    levels: tuple[int, int],
    tiles: Sequence[int] = (1001,),
    repeat: bool = False,
) -> FetchPlan:
    """Groups the masked pixels by mip level.

    Args:
        uv: texture coordinates; the integer part selects the tile.
        uv_footprint: UV derivatives a pixel.
        mask: True where the surface shows; elsewhere nothing is fetched.
        size: side of level 0 in texels.
        levels: (finest, coarsest) level that may be fetched.
        tiles: UDIM numbers of the tiles there are.
        repeat: wrap all UVs into the first tile, with a border that continues at the other side.
    """
    b, _, h, w = uv.shape
    pixels = mask.reshape(-1).nonzero().squeeze(1)
    detail = level_of_detail(uv_footprint, size).reshape(-1)[pixels]
    # A footprint that is not a number (a degenerate triangle) takes the coarsest level rather than noise.
    detail = torch.nan_to_num(detail, nan=float(levels[1]), posinf=float(levels[1])).clamp(*levels)
    finer = detail.floor().to(torch.int64)
    order = torch.argsort(finer, stable=True)
    pixels, detail, finer = pixels[order], detail[order], finer[order]
    u, v = (uv[:, i].reshape(-1)[pixels] for i in range(2))
    tile, u, v = locate_tiles(u, v, tiles, repeat)
    counts = torch.bincount(finer, minlength=levels[1] + 1).tolist()
    bounds = [0]
    for count in counts:
        bounds.append(bounds[-1] + count)
    return FetchPlan(
        shape=(b, h, w),
        pixels=pixels,
        tile=tile,
        u=u,
        v=v,
        fraction=detail - finer,
        bounds=tuple(bounds),
        repeat=repeat,
    )


def _fetch_level(texels: Tensor, plan: FetchPlan, level_range: tuple[int, int]) -> Tensor:
    """Bilinear values [C, n] of one level [tiles, C, S, S] at a range of the plan's pixels."""
    count, channels, size, _ = texels.shape
    part = slice(*level_range)
    x, y = plan.u[part] * size, (1.0 - plan.v[part]) * size
    if plan.repeat:
        texels = F.pad(texels[:1], (1, 1, 1, 1), mode="circular")
        atlas, x, y, width, height = texels, x + 1.0, y + 1.0, size + 2, size + 2
    else:
        # Tiles stand on top of each other in one image; clamping to the outer texel centres keeps them apart.
        atlas = texels if count == 1 else texels.permute(1, 0, 2, 3).reshape(1, channels, count * size, size)
        x = x.clamp(0.5, size - 0.5)
        y = y.clamp(0.5, size - 0.5) + plan.tile[part] * size
        width, height = size, count * size
    grid = torch.stack([x * (2.0 / width) - 1.0, y * (2.0 / height) - 1.0], dim=-1)[None, None]
    fetched = F.grid_sample(atlas, grid.to(atlas.dtype), mode="bilinear", padding_mode="border", align_corners=False)
    return fetched[0, :, 0]


class _ToImage(torch.autograd.Function):
    """Writes [C, P] values to P distinct pixels of an image that is zero elsewhere."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, pixels: Tensor, count: int) -> Tensor:  # noqa: ANN401
        """Puts the values of some pixels into an image that is 0 elsewhere."""
        ctx.save_for_backward(pixels)
        image = values.new_zeros(values.shape[0], count)
        image[:, pixels] = values
        return image

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        """Returns the gradients at these pixels."""
        (pixels,) = ctx.saved_tensors
        return gradients[0][:, pixels], None, None


def sample_planned(mips: Sequence[Tensor | None], plan: FetchPlan) -> Float[Tensor, "b c h w"]:
    """Fetches trilinear values of planned pixels; zeros elsewhere. Differentiable with respect to the mips.

    Args:
        mips: [tiles, C, S/2^l, S/2^l] a level, finest first; levels that the plan does not need may be None.
        plan: from `plan_fetch`.

    Raises:
        TextureError: a level that the plan needs is missing.
    """
    fetched: dict[int, tuple[Tensor, int]] = {}
    for level in range(len(plan.bounds) - 1):
        start, stop = plan.users(level)
        if stop > start:
            texels = mips[level] if level < len(mips) else None
            if texels is None:
                raise TextureError(f"Mip level {level} is needed but was not composed; plan with it excluded.")
            fetched[level] = (_fetch_level(texels, plan, (start, stop)), start)
    parts: list[Tensor] = []
    for level in range(len(plan.bounds) - 1):
        start, stop = plan.bounds[level], plan.bounds[level + 1]
        if stop == start:
            continue
        values, offset = fetched[level]
        value = values[:, start - offset : stop - offset]
        if level + 1 in fetched:
            coarser, offset = fetched[level + 1]
            value = torch.lerp(value, coarser[:, start - offset : stop - offset], plan.fraction[start:stop].to(value))
        parts.append(value)
    b, h, w = plan.shape
    coarsest = next(mip for mip in reversed(mips) if mip is not None)
    if not parts:
        # Nothing to see: zeros that still belong to the graph, so that a backward pass is not an error.
        return coarsest.new_zeros(b, coarsest.shape[1], h, w) + 0.0 * coarsest.sum()
    image = _ToImage.apply(torch.cat(parts, dim=1), plan.pixels, b * h * w)
    return image.reshape(-1, b, h, w).transpose(0, 1)  # pyright: ignore[reportOptionalMemberAccess]


def sample_mipmapped(
    mips: Sequence[Tensor],
    uv: Float[Tensor, "b 2 h w"],
    uv_footprint: Float[Tensor, "b 4 h w"],
    *,
    mask: Bool[Tensor, "b 1 h w"] | None = None,
    tiles: Sequence[int] = (1001,),
    repeat: bool = False,
) -> Float[Tensor, "b c h w"]:
    """Fetches trilinearly from a full mip chain ([tiles, C, S/2^l, S/2^l], finest first); zeros outside the mask."""
    mask = torch.ones_like(uv[:, :1], dtype=torch.bool) if mask is None else mask
    levels = (0, len(mips) - 1)
    size = int(mips[0].shape[-1])
    plan = plan_fetch(uv, uv_footprint, mask, size=size, levels=levels, tiles=tiles, repeat=repeat)
    return sample_planned(mips, plan)


def sample_mipmapped_reference(
    mips: Sequence[Tensor],
    uv: Float[Tensor, "b 2 h w"],
    uv_footprint: Float[Tensor, "b 4 h w"],
    *,
    mask: Bool[Tensor, "b 1 h w"],
    tiles: Sequence[int] = (1001,),
    repeat: bool = False,
) -> Float[Tensor, "b c h w"]:
    """Does what `sample_mipmapped` does, pixel by pixel and texel by texel: slow, readable, in the dtype of the
    mips."""
    b, _, h, w = uv.shape
    size = int(mips[0].shape[-1])
    zero = 0.0 * mips[-1][0, :, 0, 0]
    rows: list[Tensor] = []
    for i, y, x in ((i, y, x) for i in range(b) for y in range(h) for x in range(w)):
        if not bool(mask[i, 0, y, x]):
            rows.append(zero)
            continue
        jacobian = uv_footprint[i, :, y, x].double().reshape(2, 2).T * size
        axis = float(torch.linalg.matrix_norm(jacobian, ord=2))
        detail = min(max(math.log2(max(axis, 1e-15)), 0.0), len(mips) - 1.0)
        tile, u, v = locate_tiles(uv[i, :1, y, x].double(), uv[i, 1:, y, x].double(), tiles, repeat)
        place = (int(tile), float(u), float(v))
        finer = int(detail)
        value = _bilinear_reference(mips[finer], place, repeat)
        if finer + 1 < len(mips):
            coarser = _bilinear_reference(mips[finer + 1], place, repeat)
            value = value + (detail - finer) * (coarser - value)
        rows.append(value)
    return torch.stack(rows).reshape(b, h, w, -1).permute(0, 3, 1, 2)


def _bilinear_reference(texels: Tensor, place: tuple[int, float, float], repeat: bool) -> Tensor:
    tile, u, v = place
    size = int(texels.shape[-1])
    x, y = u * size - 0.5, (1.0 - v) * size - 0.5
    total = torch.zeros_like(texels[0, :, 0, 0])
    left, top = int(x // 1), int(y // 1)
    for column, weight_x in ((left, 1.0 - (x - left)), (left + 1, x - left)):
        for row, weight_y in ((top, 1.0 - (y - top)), (top + 1, y - top)):
            r, c = (
                (row % size, column % size) if repeat else (min(max(row, 0), size - 1), min(max(column, 0), size - 1))
            )
            total = total + weight_x * weight_y * texels[tile, :, r, c]
    return total
