# SPDX-License-Identifier: Apache-2.0
"""Scores of a texture against a known one. Pure functions."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import avg_pool2d

from pgc.errors import ConfigError

__all__ = ["maximum_difference", "psnr", "psnr_by_mip", "sha256_of_maps"]


def psnr(
    image: Float[Tensor, "c h w"], truth: Float[Tensor, "c h w"], mask: Bool[Tensor, "h w"] | None = None
) -> float:
    """Computes the peak signal-to-noise ratio in dB, for values in [0, 1]: -10 log10 of the mean square error inside
    the mask.

    Equal images have infinity.

    Raises:
        ConfigError: the mask is empty.
    """
    if mask is None:
        mask = torch.ones(image.shape[-2:], dtype=torch.bool, device=image.device)
    if not bool(mask.any()):
        raise ConfigError("PSNR of no texels was asked for; the mask is empty.")
    error = float((image - truth).double().square()[:, mask].mean())
    return math.inf if error == 0.0 else -10.0 * math.log10(error)


def psnr_by_mip(
    image: Float[Tensor, "c s s"], truth: Float[Tensor, "c s s"], mask: Bool[Tensor, "s s"], mips: int = 3
) -> list[float]:
    """Computes `psnr` of box-filtered mips 0 to mips - 1, over the texels whose whole block lies inside the mask.

    Level 0 asks for detail that renders of fewer pixels than the texture has texels do not show; the next ones say
    how well the rest is recovered.

    Raises:
        ConfigError: a mip has no such texel.
    """
    result = []
    for mip in range(mips):
        block = 1 << mip
        inside = avg_pool2d(mask[None].float(), block)[0] == 1.0
        result.append(psnr(avg_pool2d(image, block), avg_pool2d(truth, block), inside))
    return result


def maximum_difference(
    image: Float[Tensor, "c h w"], truth: Float[Tensor, "c h w"], mask: Bool[Tensor, "h w"]
) -> float:
    """Returns the largest absolute difference of a channel inside the mask. An empty mask is refused: it would prove
    nothing.

    Raises:
        ConfigError: the mask is empty.
    """
    if not bool(mask.any()):
        raise ConfigError("The difference of no texels was asked for; the mask is empty.")
    return float((image - truth).abs()[:, mask].max())


def sha256_of_maps(maps: Mapping[str, Sequence[Tensor]]) -> str:
    """Returns the SHA-256 over names, shapes, dtypes and bytes of all maps and tiles, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(maps):
        for tile, tensor in enumerate(maps[name]):
            digest.update(f"{name}/{tile}/{tuple(tensor.shape)}/{tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
