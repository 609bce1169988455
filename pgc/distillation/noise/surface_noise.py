# SPDX-License-Identifier: Apache-2.0
"""Noise that belongs to the surface: Yan et al., "Consistent Flow Distillation for Text-to-3D Generation", ICLR 2025.

A point of the surface sees the same noise from wherever it is looked at, so that the answers of the prior to different
views go together: the run follows one path of sampling, where fresh noise averages over many. As there, and in Chang
et al., "How I Warped Your Noise", ICLR 2024, a pixel's value is the sum of the values of all the texels of a finer
white noise that it covers, over the square root of their number.

Each texel is given to one latent pixel of a view, the one that covers most of it. So values within a view are exactly
independent and of variance 1, whatever the geometry, also where two parts of the surface share one place in UV. A
latent pixel without a texel (background, or a texel larger than it that went to its neighbour) has a value of its own.

Differences: the noise lives in the artist's UVs and not on a sphere or on planes about the object; its texels adapt to
the size at which a view sees them (`hashed_gaussians`); the background is drawn anew, as the colours behind the mesh.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pgc.distillation.noise.hashed_gaussians import FINEST_LEVEL, texel_noise
from pgc.surface import SurfacePoints

__all__ = ["noise_level", "owned_texels", "surface_noise"]

_TEXELS_ACROSS = 2
"""Of the noise in a latent pixel: enough that its value changes gradually as it moves over the surface."""


def noise_level(footprint: Float[Tensor, "4 h w"], mask: Bool[Tensor, "h w"], pixels: float) -> int:
    """Returns the level of texels at which a view of this UV footprint is given noise.

    Args:
        footprint: UV units a pixel of the picture, as in `SurfacePoints`.
        mask: where there is a surface.
        pixels: how many pixels of the picture lie along one of the latents.
    """
    du_dx, dv_dx, du_dy, dv_dy = footprint[:, mask].double()
    side = float((du_dx * dv_dy - dv_dx * du_dy).abs().sqrt().median())
    # Not finer than the pixels, which could then not hit the same texels from another view.
    texel = side * max(pixels / _TEXELS_ACROSS, 1.0)
    return FINEST_LEVEL if texel <= 2.0**-FINEST_LEVEL else max(0, math.ceil(-math.log2(texel) - 0.5))


def owned_texels(texel: Int[Tensor, " s"], pixel: Int[Tensor, " s"]) -> tuple[Int[Tensor, " t"], Int[Tensor, " t"]]:
    """Returns each texel that was hit, once, and the latent pixel that hit it most often (the first of equals).

    Args:
        texel: the texel of each sample, by any number from 0 on.
        pixel: the latent pixel of each sample.
    """
    most = int(pixel.max()) + 1
    pairs, hits = torch.unique(texel * most + pixel, return_counts=True)
    of, by = pairs // most, pairs % most
    order = torch.argsort(hits, descending=True, stable=True)
    order = order[torch.argsort(of[order], stable=True)]
    of, by = of[order], by[order]
    first = torch.ones_like(of, dtype=torch.bool)
    first[1:] = of[1:] != of[:-1]
    return of[first], by[first]


def surface_noise(
    surface: SurfacePoints, elsewhere: Float[Tensor, "b k m n"], *, seed: int
) -> Float[Tensor, "b k m n"]:
    """Returns the surface's noise as each view's latents see it, and `elsewhere` where they see none of it; float32,
    on the CPU."""
    views = range(elsewhere.shape[0])
    return torch.stack([_of_view(surface, view, elsewhere[view], seed) for view in views])


def _of_view(surface: SurfacePoints, view: int, elsewhere: Float[Tensor, "k m n"], seed: int) -> Float[Tensor, "k m n"]:
    mask = surface.mask[view, 0].cpu()
    if not bool(mask.any()):
        return elsewhere
    channels, rows, columns = elsewhere.shape
    height, width = mask.shape
    level = noise_level(surface.uv_footprint[view].cpu(), mask, height / rows)
    y, x = torch.nonzero(mask, as_tuple=True)
    pixel = (y * rows // height) * columns + x * columns // width
    column, line = (surface.uv[view].cpu()[:, mask].double() * 2**level).floor().long()
    left, bottom = column.min(), line.min()
    span = line.max() - bottom + 1
    owned, owner = owned_texels((column - left) * span + line - bottom, pixel)
    values = texel_noise(owned // span + left, owned % span + bottom, level, channels=channels, seed=seed)
    total = torch.zeros((rows * columns, channels)).index_add_(0, owner, values)
    number = torch.zeros(rows * columns).index_add_(0, owner, torch.ones(len(owner)))
    found = (total / number.clamp_min(1.0).sqrt()[:, None]).T.reshape(channels, rows, columns)
    return torch.where((number > 0).reshape(rows, columns), found, elsewhere)
