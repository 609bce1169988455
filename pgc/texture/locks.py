# SPDX-License-Identifier: Apache-2.0
"""Texels that the artist has locked: they come back bit for bit."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pgc.errors import TextureError
from pgc.texture.field import BakedTexture

__all__ = ["check_locks", "restore_locked"]


def check_locks(
    lock_mask: Sequence[Tensor] | None, initial: BakedTexture | None, size: int, tiles: Sequence[int]
) -> Bool[Tensor, "tiles 1 s s"] | None:
    """Returns the lock masks of all tiles as one tensor, True where locked; None where nothing is locked.

    Raises:
        TextureError: there is no initial texture to keep, or a mask's number, size or type does not fit.
    """
    if lock_mask is None:
        return None
    if initial is None:
        raise TextureError(
            "Got a lock mask without an initial texture, but locked texels keep the initial one: "
            "give the initial texture too (--init-texture), or leave the lock mask out."
        )
    if len(lock_mask) != len(tiles):
        raise TextureError(f"Got {len(lock_mask)} lock masks for {len(tiles)} tiles; give one mask a tile.")
    for tile, mask in zip(tiles, lock_mask, strict=True):
        if tuple(mask.shape) != (size, size):
            shape = "x".join(str(side) for side in mask.shape)
            raise TextureError(
                f"The lock mask of tile {tile} is {shape}, the texture is {size}x{size}: resize the mask to "
                f"{size}x{size} without smoothing, or set the texture size to that of the mask."
            )
        if mask.dtype != torch.bool:
            raise TextureError(f"The lock mask of tile {tile} has type {mask.dtype}; expected bool, True = locked.")
    stacked = torch.stack(list(lock_mask))[:, None]
    return stacked if bool(stacked.any()) else None


def restore_locked(
    texture: Float[Tensor, "tiles c s s"],
    initial: Float[Tensor, "tiles c s s"],
    locked: Bool[Tensor, "tiles 1 s s"] | None,
) -> Float[Tensor, "tiles c s s"]:
    """Returns the texture with every locked texel taken from the initial one, bit for bit."""
    return texture if locked is None else torch.where(locked, initial, texture)
