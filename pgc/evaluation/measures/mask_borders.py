# SPDX-License-Identifier: Apache-2.0
"""Seam ratio across a mask's border: how much more a texture jumps there than elsewhere inside charts, per mip.

As for chart edges (`seams.py`), colours are fetched on both sides, each half a texel of the mip from the border, and
their difference is averaged; so is that of all other places in charts, which are no nearer to the border than a texel
of the mip. A place is the side between two texels whose centres lie in one chart. Places whose fetch would leave their
chart are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import binary_dilation

from pgc.mesh.data import TriangleMesh
from pgc.mesh.uvs.charts import chart_ids
from pgc.texture.field import BakedTexture
from pgc.texture.finishing.quadratic import box_mip
from pgc.texture.texel_surface import texel_surface

__all__ = ["BorderJumps", "border_ratios"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BorderJumps:
    """Jumps of one mip.

    Attributes:
        mip: level, 0 is full size.
        border_jump, other_jump: mean colour difference (L2 norm over channels) across the border and elsewhere.
        border_places, other_places: how many there are.
    """

    mip: int
    border_jump: float
    other_jump: float
    border_places: int
    other_places: int

    @property
    def ratio(self) -> float:
        """border_jump / other_jump; 1 where there is nothing to compare or both are zero."""
        if not self.border_places or not self.other_places or self.border_jump == self.other_jump:
            return 1.0
        return self.border_jump / self.other_jump if self.other_jump > 0.0 else float("inf")


def border_ratios(
    triangles: TriangleMesh,
    texture: BakedTexture,
    kept: Bool[np.ndarray, "tiles s s"],
    *,
    name: str = "base_color",
    mips: int = 3,
) -> list[BorderJumps]:
    """Measures the jumps of the mips 0 to mips - 1 of a texture as it is exported (8 bits).

    Args:
        triangles: the mesh that the texture is for.
        texture: finished texture.
        kept: texels that a mask kept.
        name: the map to look at.
        mips: number of mips.
    """
    image = np.stack([part.numpy() for part in texture.to_uint8()[name]]).transpose(0, 2, 3, 1) / 255.0
    size = image.shape[1]
    number = chart_ids(triangles)
    faces = np.stack([texel_surface(triangles, size, tile).face_index for tile in texture.tiles])
    charts = np.where(faces >= 0, number[faces], -1)
    results = []
    for mip in range(min(mips, size.bit_length() - 1)):
        filtered = box_mip(image, mip)
        jumps = [_jumps(filtered, charts, kept, axis, mip) for axis in (0, 1)]
        border, other = (np.concatenate([pair[side] for pair in jumps]) for side in (0, 1))
        results.append(
            BorderJumps(
                mip=mip,
                border_jump=float(border.mean()) if len(border) else 0.0,
                other_jump=float(other.mean()) if len(other) else 0.0,
                border_places=len(border),
                other_places=len(other),
            )
        )
    return results


def _jumps(
    filtered: Float[np.ndarray, "tiles m m c"],
    charts: np.ndarray,
    kept: Bool[np.ndarray, "tiles s s"],
    axis: int,
    mip: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Differences across the sides between a texel and the next one along an axis: at the border, and elsewhere."""
    size, half = kept.shape[1], 0.5 * (1 << mip)
    before = (slice(None), *(slice(None, -1) if at == axis else slice(None) for at in (0, 1)))
    after = (slice(None), *(slice(1, None) if at == axis else slice(None) for at in (0, 1)))
    inside = (charts[before] == charts[after]) & (charts[before] >= 0)
    border = inside & (kept[before] != kept[after])
    near: Bool[np.ndarray, "tiles h w"] = np.stack(
        [np.asarray(binary_dilation(part, iterations=1 << mip), dtype=np.bool_) for part in border]
    )
    colors, usable = [], inside.copy()
    tile, row, column = np.nonzero(inside)
    for side in (-half, half):
        # The side between texels k and k + 1 lies at k + 1; centres of texels lie at halves.
        y = row + (1.0 + side if axis == 0 else 0.5)
        x = column + (1.0 + side if axis == 1 else 0.5)
        nearest = [part.astype(np.int64).clip(0, size - 1) for part in (y, x)]
        stays = (y > 0) & (y < size) & (x > 0) & (x < size)
        stays &= charts[tile, nearest[0], nearest[1]] == charts[before][tile, row, column]
        usable[tile, row, column] &= stays
        colors.append(_fetch(filtered, tile, y / (1 << mip), x / (1 << mip)))
    difference = np.zeros(inside.shape)
    difference[tile, row, column] = np.linalg.norm(colors[0] - colors[1], axis=1)
    return difference[border & usable], difference[usable & ~near]


def _fetch(image: np.ndarray, tile: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Bilinear, at places in texels."""
    last = image.shape[1] - 1
    top, left = np.floor(y - 0.5), np.floor(x - 0.5)
    down, right = (y - 0.5 - top)[:, None], (x - 0.5 - left)[:, None]
    rows = [part.astype(np.int64).clip(0, last) for part in (top, top + 1)]
    columns = [part.astype(np.int64).clip(0, last) for part in (left, left + 1)]
    upper = image[tile, rows[0], columns[0]] * (1 - right) + image[tile, rows[0], columns[1]] * right
    lower = image[tile, rows[1], columns[0]] * (1 - right) + image[tile, rows[1], columns[1]] * right
    return upper * (1 - down) + lower * down
