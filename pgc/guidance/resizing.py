# SPDX-License-Identifier: Apache-2.0
"""From a render of any size to the square that a prior was trained on."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

__all__ = ["resize_bilinear"]


def resize_bilinear(image: Float[Tensor, "b c h w"], size: int) -> Float[Tensor, "b c {size} {size}"]:
    """Resizes bilinearly, with a low-pass filter where it shrinks; differentiable. Returns the very input when it fits
    already.

    Shrinking without the filter would read only some pixels, and the others would get no gradient at all.
    """
    height, width = image.shape[-2:]
    if (height, width) == (size, size):
        return image
    shrinks = height > size or width > size
    return F.interpolate(image, (size, size), mode="bilinear", align_corners=False, antialias=shrinks)
