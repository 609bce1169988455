# SPDX-License-Identifier: Apache-2.0
"""Doubling and halving against torch's own operators and their gradients."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pgc.texture.doubling import add_repeated, bilinear_double, bilinear_double_adjoint, repeat_double, sum_pool

SIZES = [1, 2, 3, 8]


def _random(size: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 3, size, size, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("size", SIZES)
def test_sum_pool_is_the_sum_over_blocks(size: int) -> None:
    x = _random(2 * size)
    torch.testing.assert_close(sum_pool(x), F.avg_pool2d(x, 2, divisor_override=1), rtol=0, atol=1e-14)


@pytest.mark.parametrize("size", SIZES)
def test_bilinear_double_and_its_adjoint_are_those_of_torch(size: int) -> None:
    x, seed = _random(size).requires_grad_(), _random(2 * size, 2)
    slow = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(bilinear_double(x.detach()), slow, rtol=0, atol=1e-14)
    (gradient,) = torch.autograd.grad(slow, x, seed)
    torch.testing.assert_close(bilinear_double_adjoint(seed), gradient, rtol=0, atol=1e-14)


@pytest.mark.parametrize("size", SIZES)
def test_repeating_is_nearest_interpolation(size: int) -> None:
    x, fine = _random(size), _random(2 * size, 3)
    expected = F.interpolate(x, scale_factor=2, mode="nearest")
    assert torch.equal(repeat_double(x), expected)
    total = fine + expected
    assert torch.equal(add_repeated(fine, x), total)
    assert torch.equal(fine, total), "it adds in place"


def test_slices_of_a_wider_array_double_like_copies() -> None:
    wider = _random(9)
    part = wider[..., 1:5, 2:6]
    assert torch.equal(bilinear_double(part), bilinear_double(part.clone()))
    assert torch.equal(bilinear_double_adjoint(part), bilinear_double_adjoint(part.clone()))
