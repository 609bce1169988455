# SPDX-License-Identifier: Apache-2.0
"""Keeping values in their range without losing their gradients, the same in every version of torch."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["clamp_inward"]


class _ClampInward(torch.autograd.Function):
    """Clamp that lets a gradient through where descent would lead back inside."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, low: float, high: float) -> Tensor:  # noqa: ANN401
        """Clamps, and keeps what `backward` needs."""
        ctx.save_for_backward(x)
        ctx.limits = low, high
        return x.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        """Passes the gradient on, without what leads further out of the range."""
        (x,), (low, high) = ctx.saved_tensors, ctx.limits
        gradient = gradients[0]
        # -1 below, 1 above, 0 inside; stuck where descent would lead further that way. Arithmetic instead of
        # comparisons and masks, which are several times slower on the CPU.
        inside = x.clamp(low, high)
        side = torch.sub(x, inside, out=inside).sign_()
        return (side * gradient).clamp_(max=0.0).mul_(side).neg_().add_(gradient), None, None


def clamp_inward(x: Float[Tensor, "*shape"], low: float = 0.0, high: float = 1.0) -> Float[Tensor, "*shape"]:
    """Clamps to [low, high]; outside, only gradients whose descent leads back inside pass, so that nothing sticks.

    On the edge itself every gradient passes. `Tensor.clamp` has one there up to torch 2.13 and none in 2.15, where a
    metallic of 0 could never leave it.
    """
    return _ClampInward.apply(x, low, high)  # pyright: ignore[reportReturnType]
