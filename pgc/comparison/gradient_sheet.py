# SPDX-License-Identifier: Apache-2.0
"""A step's pictures above, and below what the texels were told to change: ∂L/∂x as regulation left it."""

from __future__ import annotations

from PIL import Image

from pgc.evaluation.pictures import contact_sheet, to_bytes
from pgc.optimization.step_result import StepResult
from pgc.playground.sheet import gradient_picture

__all__ = ["gradient_sheet"]

_MOST_VIEWS = 4


def gradient_sheet(result: StepResult) -> Image.Image:
    """Lays out views of a step and their gradients, each gradient filling the range by itself."""
    views = min(len(result.image), _MOST_VIEWS)
    pictures = list(to_bytes(result.image[:views]))
    known = result.gradient
    if known is None or result.image_gradient is None:
        return contact_sheet([pictures], [f"views of step {result.step}, before the first gradient"])
    gradients = [gradient_picture(one[None]).numpy() for one in result.image_gradient[:views]]
    norms = f"|g| {known.median_before:.2g}, 99.9 % {known.tail_before:.2g}; {known.clipped_fraction:.0%} touched"
    return contact_sheet([pictures, gradients], [f"views of step {result.step}", norms])
