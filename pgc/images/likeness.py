# SPDX-License-Identifier: Apache-2.0
"""A picture that a texture is to resemble: its colours and patterns matter, its size, its shape and its transparent
parts do not. And a picture that the front is to look like, of which all of these matter.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from pgc.color_space import srgb_from_linear
from pgc.errors import TextureError
from pgc.images.color_profiles import in_srgb
from pgc.images.reading import SourceImage, read_source_image
from pgc.images.values import unit_values

__all__ = ["LIKENESS_SIDE", "likeness_of", "read_front", "read_likeness", "srgb_bytes"]

LIKENESS_SIDE = 256
_MOST = 1024
"""Pixels a side that are looked at; of larger pictures every second, third, … row and column is."""
_OPAQUE = 128
_UNSEEN = "All of the picture is transparent, so it has no colours to give; take another one."


def likeness_of(pixels: UInt8[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "s s 3"]:
    """Returns a picture, sRGB with or without alpha, as a run looks at it; one that this has made stays as it is.

    Pixels that are more transparent than opaque give their place to the others, evenly: the palette is that of what can
    be seen.

    Raises:
        TextureError: nothing of it can be seen.
    """
    seen = _visible(_thinned(pixels))
    if seen.shape[:2] == (LIKENESS_SIDE, LIKENESS_SIDE):
        return np.ascontiguousarray(seen)
    resized = Image.fromarray(np.ascontiguousarray(seen)).resize(
        (LIKENESS_SIDE, LIKENESS_SIDE), Image.Resampling.LANCZOS
    )
    return np.array(resized)


def read_likeness(path: Path) -> UInt8[np.ndarray, "s s 3"]:
    """Reads such a picture from a file, in 8 bits whatever it holds.

    Raises:
        TextureError: it is missing, damaged or too big, or nothing of it can be seen.
    """
    image = read_source_image(path)
    alpha = None if image.alpha is None else _thinned(image.alpha)
    try:
        return likeness_of(srgb_bytes(replace(image, color=_thinned(image.color), alpha=alpha)))
    except TextureError as error:
        raise TextureError(f"{path}: {error}") from error


def read_front(path: Path, side: int) -> UInt8[np.ndarray, "s s 4"]:
    """Reads a picture as a view, turned as it is to be shown, sRGB with alpha: in the middle of a square, with its own
    aspect and transparent bars. Its longer side stays as it is, up to `side` pixels.

    Raises:
        TextureError: it is missing, damaged or too big, or nothing of it can be seen.
    """
    pixels = srgb_bytes(read_source_image(path, upright=True))
    if pixels.shape[2] == 3:
        pixels = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    if not (pixels[..., 3] >= _OPAQUE).any():
        raise TextureError(f"{path}: {_UNSEEN}")
    # Pillow weighs colours by alpha, so that hidden ones do not come to the light.
    scale = min(1.0, side / max(pixels.shape[:2]))
    height, width = (max(1, round(length * scale)) for length in pixels.shape[:2])
    fitted = np.array(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))
    whole = np.zeros((max(height, width), max(height, width), 4), np.uint8)
    top, left = (len(whole) - height) // 2, (len(whole) - width) // 2
    whole[top : top + height, left : left + width] = fitted
    return whole


def srgb_bytes(image: SourceImage) -> UInt8[np.ndarray, "h w c"]:
    """Returns an image in sRGB and 8 bits, RGB or RGBA, at its own size."""
    color = image.color
    if image.profile is not None and not image.linear:
        color, _ = in_srgb(color, image.profile)
    values = unit_values(color).clip(0.0, 1.0)
    if image.linear:
        values = srgb_from_linear(torch.from_numpy(values).double()).float().numpy()
    parts = [np.broadcast_to(values, (*values.shape[:2], 3))]
    if image.alpha is not None:
        parts.append(unit_values(image.alpha)[..., None].clip(0.0, 1.0))
    return np.floor(np.concatenate(parts, axis=-1) * np.float32(255.0) + np.float32(0.5)).astype(np.uint8)


def _thinned(values: np.ndarray) -> np.ndarray:
    step = -(-max(values.shape[:2]) // _MOST)
    return values[::step, ::step]


def _visible(pixels: UInt8[np.ndarray, "h w c"]) -> UInt8[np.ndarray, "h w 3"]:
    color = pixels[..., :3]
    if pixels.shape[2] == 3:
        return color
    opaque = pixels[..., 3] >= _OPAQUE
    if opaque.all():
        return color
    if not opaque.any():
        raise TextureError(_UNSEEN)
    seen, hidden = color[opaque], int((~opaque).sum())
    filled = color.copy()
    filled[~opaque] = seen[np.arange(hidden) * len(seen) // hidden]
    return filled
