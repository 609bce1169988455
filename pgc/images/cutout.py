# SPDX-License-Identifier: Apache-2.0
"""An object cut out of a picture of it: by the picture's transparency, or by the plain colour at its border.

No model finds the object. Without transparency it is taken to stand before one colour, which the border has and which
is removed as far as it reaches from there; light that falls off over it, shadows and photographs' rooms are not that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from scipy import ndimage
from torch import Tensor

from pgc.errors import TextureError
from pgc.images.likeness import srgb_bytes
from pgc.images.reading import read_source_image

__all__ = ["Cutout", "cut_out", "framed", "read_cutout"]

_OPAQUE = 128
_NEAR = 24
"""Of 255 by which each channel of a background pixel may differ from the border's median."""
_AGREE = 0.8
"""Share of the border's pixels that must be that near."""
_CRUMB = 0.01
"""Parts smaller than this share of the largest are no object."""
_LEAST = 0.005
"""Share of the picture that an object fills at least."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cutout:
    """An object's colours and where it is."""

    color: Float[Tensor, "1 3 h w"]
    """sRGB in [0, 1]; means nothing where nothing is covered."""
    covered: Float[Tensor, "1 1 h w"]
    """In [0, 1]."""
    is_cut: bool
    """Whether the object reaches the picture's border, beyond which some of it may be missing."""
    notes: tuple[str, ...] = ()
    """One sentence for each thing of the file that was ignored or taken in one of several ways."""


def cut_out(pixels: UInt8[np.ndarray, "h w c"]) -> Cutout:
    """Cuts the object out of a picture in sRGB, with or without alpha.

    Raises:
        TextureError: the border has no one colour, or nothing is left, or nothing is removed.
    """
    color = pixels[..., :3]
    if pixels.shape[2] == 4 and bool((pixels[..., 3] < _OPAQUE).any()):
        covered = pixels[..., 3].astype(np.float32) / 255.0
    else:
        covered = _without_background(color).astype(np.float32)
    seen = covered > 0.5
    if seen.mean() < _LEAST:
        raise TextureError(
            "Nothing is to be seen of an object: it fills less than a two-hundredth of the picture, where what is more "
            "than half transparent does not count."
        )
    rim = np.concatenate([seen[0], seen[-1], seen[:, 0], seen[:, -1]])
    return Cutout(
        color=torch.from_numpy(color.astype(np.float32) / 255.0).permute(2, 0, 1)[None].contiguous(),
        covered=torch.from_numpy(covered)[None, None],
        is_cut=bool(rim.any()),
    )


def read_cutout(path: Path) -> Cutout:
    """Reads a picture of an object, turned as it is to be shown, and cuts it out.

    Raises:
        TextureError: the file is missing, damaged or too big, or no object can be told from its background.
    """
    image = read_source_image(path, upright=True)
    try:
        return replace(cut_out(srgb_bytes(image)), notes=image.notes)
    except TextureError as error:
        raise TextureError(f"{path}: {error}") from error


def framed(cutout: Cutout, side: int, *, share: float) -> Cutout:
    """Puts the object in the middle of a square picture.

    Args:
        cutout: the object.
        side: of the square, pixels.
        share: of the square that the object's longer side takes, in (0, 1].
    """
    rows, columns = (np.flatnonzero(one) for one in _rows_and_columns(cutout.covered[0, 0].numpy() > 0.5))
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    frame = max(bottom - top, right - left) / share
    layers = torch.cat([cutout.color * cutout.covered, cutout.covered], dim=1)[..., top:bottom, left:right]
    height, width = (max(1, round(length / frame * side)) for length in (bottom - top, right - left))
    small = F.interpolate(layers, (height, width), mode="bilinear", antialias=True, align_corners=False)
    whole = torch.zeros((1, 4, side, side))
    above, before = (side - height) // 2, (side - width) // 2
    whole[..., above : above + height, before : before + width] = small
    covered = whole[:, 3:]
    return replace(cutout, color=(whole[:, :3] / covered.clamp_min(1e-3)).clamp(0.0, 1.0), covered=covered)


def _rows_and_columns(seen: Bool[np.ndarray, "h w"]) -> tuple[Bool[np.ndarray, " h"], Bool[np.ndarray, " w"]]:
    return np.asarray(seen.any(axis=1)), np.asarray(seen.any(axis=0))


def _without_background(color: UInt8[np.ndarray, "h w 3"]) -> Bool[np.ndarray, "h w"]:
    border = np.concatenate([color[0], color[-1], color[:, 0], color[:, -1]]).astype(np.int16)
    plain = np.median(border, axis=0)
    agree = float((np.abs(border - plain).max(axis=1) <= _NEAR).mean())
    if agree < _AGREE:
        raise TextureError(
            f"The picture has no plain background: {100 * agree:.0f} % of its border have one colour, and "
            f"{100 * _AGREE:.0f} % are expected. Give a picture with a transparent background (a PNG with alpha), or "
            "of the object before one colour."
        )
    like = np.asarray(np.abs(color.astype(np.int16) - plain).max(axis=2) <= _NEAR)
    parts, _ = _parts(like)
    at_border = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
    background = np.isin(parts, at_border[at_border > 0])
    return _without_crumbs(~background)


def _without_crumbs(seen: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    parts, count = _parts(seen)
    if count < 2:
        return seen
    sizes = np.bincount(parts.reshape(-1))
    sizes[0] = 0
    return np.isin(parts, np.flatnonzero(sizes >= max(1.0, _CRUMB * sizes.max())))


def _parts(mask: Bool[np.ndarray, "h w"]) -> tuple[Int[np.ndarray, "h w"], int]:
    """Numbers what hangs together, from 1; and how many parts there are."""
    found: Any = ndimage.label(mask)
    return found[0], int(found[1])
