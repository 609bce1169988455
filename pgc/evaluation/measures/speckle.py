# SPDX-License-Identifier: Apache-2.0
"""Coloured speckle: how much chroma changes from a pixel to its neighbours without being an edge.

Score distillation at high guidance leaves isolated pixels of alien hue on free texels. Their luma hides among
grain and pattern; their chroma does not. So the score looks at Cb and Cr alone, and takes away the 3x3 median,
which keeps straight edges between two colours (checks, stripes, mortar) but not lone pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d, unfold

from pgc.errors import ConfigError

__all__ = ["chroma", "chroma_noise", "chroma_noise_by_scale"]


def chroma(image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 2 h w"]:
    """Computes Cb and Cr of ITU-R BT.601 (JFIF, full range) about 0, each in [-0.5, 0.5], of sRGB values in [0, 1]."""
    red, green, blue = image.unbind(dim=1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return torch.stack([(blue - luma) / 1.772, (red - luma) / 1.402], dim=1)


def _inner(mask: Bool[Tensor, "b 1 h w"]) -> Bool[Tensor, "b 1 h w"]:
    """Pixels whose whole 3x3 neighbourhood is inside the mask and the image."""
    outside = torch.nn.functional.pad((~mask).float(), (1, 1, 1, 1), value=1.0)
    return max_pool2d(outside, kernel_size=3, stride=1) == 0.0


def _median_residual(values: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """Each value minus the median of its 3x3 neighbourhood (edges replicated)."""
    batch, channels, height, width = values.shape
    padded = torch.nn.functional.pad(values, (1, 1, 1, 1), mode="replicate")
    patches = unfold(padded, kernel_size=3).view(batch, channels, 9, height, width)
    return values - patches.median(dim=2).values


def chroma_noise(image: Float[Tensor, "b 3 h w"], mask: Bool[Tensor, "b 1 h w"] | None = None) -> Float[Tensor, " b"]:
    """Computes the RMS over pixels of the chroma vector (Cb, Cr) minus its 3x3 median.

    Args:
        image: sRGB values in [0, 1]; renders, or textures as they are stored.
        mask: where the object (or a chart) is. Only pixels whose whole 3x3 neighbourhood is inside count.

    Returns:
        One value an image, in units of the full range of a channel (1/255 is one step of an 8-bit image). 0 for
        any image of constant regions with straight edges along the axes.

    Raises:
        ConfigError: the mask leaves an image without a pixel to measure.
    """
    if mask is None:
        mask = torch.ones_like(image[:, :1], dtype=torch.bool)
    inside = _inner(mask)
    count = inside.sum(dim=(1, 2, 3))
    if bool((count == 0).any()):
        raise ConfigError("Chroma noise: the mask holds no 3x3 block of pixels in some image; use larger images.")
    energy = _median_residual(chroma(image.float())).square().sum(dim=1, keepdim=True)
    return ((energy * inside).sum(dim=(1, 2, 3)) / count).sqrt()


def chroma_noise_by_scale(
    image: Float[Tensor, "b 3 h w"],
    mask: Bool[Tensor, "b 1 h w"] | None = None,
    scales: Sequence[int] = (1, 2, 4),
) -> dict[int, Float[Tensor, " b"]]:
    """Computes `chroma_noise` after averaging blocks of `scale` x `scale` pixels, so that blotches of that size count
    too.

    A block belongs to the object where all its pixels do. Rows and columns that fill no block are left out.

    Raises:
        ConfigError: a scale below 1, or one that leaves an image without a pixel to measure.
    """
    if mask is None:
        mask = torch.ones_like(image[:, :1], dtype=torch.bool)
    result: dict[int, Tensor] = {}
    for scale in scales:
        if scale < 1:
            raise ConfigError(f"Chroma noise at scale {scale}; scales are block sizes of 1 or more pixels.")
        if min(image.shape[-2:]) < scale:
            raise ConfigError(f"Chroma noise at scale {scale} of an image of {tuple(image.shape[-2:])} pixels.")
        blocks_inside = avg_pool2d(mask.float(), scale) == 1.0
        result[scale] = chroma_noise(avg_pool2d(image.float(), scale), blocks_inside)
    return result
