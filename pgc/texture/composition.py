# SPDX-License-Identifier: Apache-2.0
"""How the levels of a pyramid add up to a texture whose mips are the coarser sums.

Level 0 is the finest. With `up` the bilinear upsampling by 2, `repeat` the nearest one and `mean` the average
over 2x2 blocks weighted by chart coverage,

    sum[L] = detail[L]                                    (the coarsest)
    b      = up(sum[l+1]) + detail[l]
    sum[l] = b + repeat(sum[l+1] - mean(b))

so that mean(sum[l]) = sum[l+1] exactly: each sum is the box-filtered mip of all finer sums. Two things follow.
A view whose footprints need no level finer than l composes nothing finer than l and still sees the true mip of
the full texture; and a detail level holds only what the coarser ones cannot, so that its gradients never repeat
theirs (Burt and Adelson's Laplacian pyramid, 1983, with a hard zero-mean constraint).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from pgc.texture.doubling import add_repeated, bilinear_double, bilinear_double_adjoint, repeat_double, sum_pool

__all__ = ["block_weights", "compose", "decompose", "mip_chain", "refine", "weight_pyramid"]


def weight_pyramid(coverage: Float[Tensor, "n 1 s s"], levels: int) -> list[Tensor]:
    """Returns the mean coverage of every texel of every level; a little is added so that empty blocks average
    evenly."""
    weights = [coverage + 1e-4]
    for _ in range(levels - 1):
        weights.append(F.avg_pool2d(weights[-1], 2))
    return weights


def block_weights(weights: Float[Tensor, "n 1 s s"]) -> Float[Tensor, "n 1 s s"]:
    """Returns weights that sum to 1 over each 2x2 block."""
    return weights / repeat_double(sum_pool(weights))


def mip_chain(image: Float[Tensor, "n c s s"], normalised: Sequence[Tensor], levels: int) -> list[Tensor]:
    """Makes box-filtered mips, finest first, each a coverage-weighted mean of the one before (`block_weights`)."""
    mips = [image]
    for level in range(levels - 1):
        mips.append(sum_pool(mips[-1] * normalised[level]))
    return mips


class _Refine(torch.autograd.Function):
    """sum[l] from sum[l+1] and detail[l], with the backward pass written out."""

    @staticmethod
    def forward(ctx: Any, coarse: Tensor, detail: Tensor, normalised: Tensor) -> Tensor:  # noqa: ANN401
        """Computes the finer level, and keeps what `backward` needs."""
        ctx.save_for_backward(normalised)
        blurred = bilinear_double(coarse).add_(detail)
        correction = coarse - sum_pool(blurred * normalised)
        return add_repeated(blurred, correction)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:  # noqa: ANN401
        """Returns the gradients at the coarse level and at the detail."""
        (normalised,) = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        pooled = sum_pool(gradient)
        inner = gradient.addcmul(repeat_double(pooled), normalised, value=-1.0)
        return bilinear_double_adjoint(inner).add_(pooled), inner, None


def refine(
    coarse: Float[Tensor, "n c half half"], detail: Float[Tensor, "n c s s"], normalised: Float[Tensor, "n 1 s s"]
) -> Float[Tensor, "n c s s"]:
    """Takes one step of the sum above; `normalised` are the block weights of the finer level."""
    return _Refine.apply(coarse, detail, normalised)  # pyright: ignore[reportReturnType]


def compose(details: Sequence[Tensor], normalised: Sequence[Tensor], finest: int) -> list[Tensor | None]:
    """Returns the sums of levels `finest`..coarsest, in a list indexed by level; finer entries are None.

    Args:
        details: one [n, c, S/2^l, S/2^l] tensor a level, finest first.
        normalised: `block_weights` of every level but the coarsest.
        finest: the finest level to compose.
    """
    sums: list[Tensor | None] = [None] * len(details)
    current = details[-1]
    sums[-1] = current
    for level in range(len(details) - 2, finest - 1, -1):
        current = refine(current, details[level], normalised[level])
        sums[level] = current
    return sums


def decompose(mips: Sequence[Tensor]) -> list[Tensor]:
    """Returns the details whose sums are these mips (`mip_chain`), finest first: what `compose` undoes."""
    details = [mip - bilinear_double(coarser) for mip, coarser in itertools.pairwise(mips)]
    return [*details, mips[-1]]
