# SPDX-License-Identifier: Apache-2.0
"""Between two levels of a pyramid: sums over 2x2 blocks, bilinear doubling and its adjoint, nearest doubling.

Each is a few whole-array additions of slices. torch's own operators for the same (avg_pool2d, upsample_bilinear2d
and its backward pass) work plane by plane and took 4 to 16 times as long on the three planes of a texture on the
CPU (`tests/benchmarks/step_benchmark.py`); the tests compare with them. Results do not depend on the number of
threads. Sides are even where they are halved, and at least 1 where they are doubled.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["add_repeated", "bilinear_double", "bilinear_double_adjoint", "repeat_double", "sum_pool"]

_NEAR, _FAR = 0.75, 0.25
"""Bilinear weights of doubling, with texel centres at halves (`align_corners=False`); borders repeat."""


def sum_pool(x: Float[Tensor, "n c s s"]) -> Float[Tensor, "n c half half"]:
    """Sums over 2x2 blocks."""
    rows = x[..., 0::2, :] + x[..., 1::2, :]
    return rows[..., 0::2] + rows[..., 1::2]


def bilinear_double(x: Float[Tensor, "n c half half"]) -> Float[Tensor, "n c s s"]:
    """Doubles the size, bilinearly; as `interpolate(scale_factor=2, mode="bilinear", align_corners=False)`."""
    n, c, h, w = x.shape
    wide = x.new_empty(n, c, h, w, 2)
    _spread(x, wide.unbind(-1), -1)
    wide = wide.view(n, c, h, 2 * w)
    tall = x.new_empty(n, c, h, 2, 2 * w)
    _spread(wide, tall.unbind(-2), -2)
    return tall.view(n, c, 2 * h, 2 * w)


def bilinear_double_adjoint(g: Float[Tensor, "n c s s"]) -> Float[Tensor, "n c half half"]:
    """Returns the gradient at the input of `bilinear_double` where `g` is that at its output."""
    return _gather(_gather(g, -2), -1)


def repeat_double(x: Float[Tensor, "n c half half"]) -> Float[Tensor, "n c s s"]:
    """Doubles the size, each texel four times; as `interpolate(scale_factor=2, mode="nearest")`."""
    wide = torch.stack((x, x), dim=-1).flatten(-2)
    return torch.stack((wide, wide), dim=-2).flatten(-3, -2)


def add_repeated(fine: Float[Tensor, "n c s s"], coarse: Float[Tensor, "n c half half"]) -> Float[Tensor, "n c s s"]:
    """Computes `fine + repeat_double(coarse)`, written into `fine` (contiguous)."""
    wide = torch.stack((coarse, coarse), dim=-1).flatten(-2)
    fine.unflatten(-2, (coarse.shape[-2], 2)).add_(wide.unsqueeze(-2))
    return fine


def _spread(x: Tensor, halves: tuple[Tensor, ...], dim: int) -> None:
    """Writes the even and the odd outputs of doubling along `dim` (-1 or -2)."""
    even, odd = halves
    length = x.shape[dim]
    near = x * _NEAR
    first, last = x.narrow(dim, 0, length - 1), x.narrow(dim, 1, length - 1)
    torch.add(near.narrow(dim, 1, length - 1), first, alpha=_FAR, out=even.narrow(dim, 1, length - 1))
    torch.add(near.narrow(dim, 0, length - 1), last, alpha=_FAR, out=odd.narrow(dim, 0, length - 1))
    even.narrow(dim, 0, 1).copy_(x.narrow(dim, 0, 1))
    odd.narrow(dim, length - 1, 1).copy_(x.narrow(dim, length - 1, 1))


def _gather(g: Tensor, dim: int) -> Tensor:
    """The adjoint of `_spread`."""
    even, odd = (g[..., 0::2], g[..., 1::2]) if dim == -1 else (g[..., 0::2, :], g[..., 1::2, :])
    length = even.shape[dim]
    total = (even + odd).mul_(_NEAR)
    total.narrow(dim, 0, length - 1).add_(even.narrow(dim, 1, length - 1), alpha=_FAR)
    total.narrow(dim, 1, length - 1).add_(odd.narrow(dim, 0, length - 1), alpha=_FAR)
    total.narrow(dim, 0, 1).add_(even.narrow(dim, 0, 1), alpha=_FAR)
    total.narrow(dim, length - 1, 1).add_(odd.narrow(dim, length - 1, 1), alpha=_FAR)
    return total
