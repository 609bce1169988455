# SPDX-License-Identifier: Apache-2.0
"""Figure 2 of the paper, re-done: pictures above, the gradients that made them below, a column a way."""

from __future__ import annotations

import io
from collections.abc import Sequence

import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from pgc.playground.picture import FinishedPicture

__all__ = ["gradient_picture", "sheet_png"]

_LEAST_SIDE, _CAPTION, _GAP = 192, 30, 6


def gradient_picture(gradient: Float[Tensor, "1 3 h w"]) -> UInt8[Tensor, "h w 3"]:
    """Shows a gradient around gray, with the 99.5th percentile of its magnitudes as full swing.

    By itself each gradient fills the range, so that its pattern shows; how long it is stands in the caption.
    """
    scale = gradient.abs().float().flatten().cpu().quantile(0.995).clamp_min(1e-12)
    shown = 0.5 + 0.5 * (gradient[0].float().cpu() / scale).clamp(-1.0, 1.0)
    return (shown * 255.0).round().to(torch.uint8).permute(1, 2, 0)


def sheet_png(pictures: Sequence[FinishedPicture]) -> bytes:
    """Lays out the sheet as a PNG. A caption gives the way, the median and the 99.9th percentile of the raw ∂L/∂x's
    norm, and the share of the pixels that were regulated."""
    side = max(_LEAST_SIDE, pictures[0].image.shape[-1])
    width = (side + _GAP) * len(pictures) - _GAP
    sheet = Image.new("RGB", (width, 2 * side + _GAP + _CAPTION), "white")
    draw = ImageDraw.Draw(sheet)
    for column, one in enumerate(pictures):
        left = column * (side + _GAP)
        image = (one.image[0].clamp(0, 1).cpu() * 255.0).round().to(torch.uint8).permute(1, 2, 0)
        for row, picture in enumerate((image, gradient_picture(one.gradient))):
            shown = Image.fromarray(picture.numpy()).resize((side, side), Image.Resampling.NEAREST)
            sheet.paste(shown, (left, row * (side + _GAP)))
        draw.text((left + 2, 2 * side + _GAP + 2), _caption(one), fill="black")
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG")
    return buffer.getvalue()


def _caption(one: FinishedPicture) -> str:
    if one.statistics is None:
        return one.way
    known = one.statistics
    return (
        f"{one.way}: |g| median {known.median_before:.3g},\n"
        f"99.9 % {known.tail_before:.3g}; touched {known.clipped_fraction:.0%}"
        + ("" if one.error is None else f"; error {one.error:.3f}")
    )
