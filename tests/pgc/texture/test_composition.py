# SPDX-License-Identifier: Apache-2.0
"""The levels of a pyramid: exact mips, gradients against autograd and finite differences."""

import torch
from torch.nn import functional as F

from pgc.texture.composition import block_weights, compose, decompose, mip_chain, refine, weight_pyramid
from pgc.texture.doubling import sum_pool


def _weights(size: int, levels: int, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    coverage = (torch.rand(1, 1, size, size, generator=generator) < 0.6).to(dtype)
    coverage[:, :, :4, :4] = 0.0  # blocks without any coverage
    return [block_weights(level) for level in weight_pyramid(coverage, levels)[:-1]]


def _refine_reference(coarse: torch.Tensor, detail: torch.Tensor, normalised: torch.Tensor) -> torch.Tensor:
    blurred = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False) + detail
    out = blurred.clone()
    n, _, h, w = coarse.shape
    for i in range(n):
        for y in range(h):
            for x in range(w):
                block = (slice(2 * y, 2 * y + 2), slice(2 * x, 2 * x + 2))
                mean = (blurred[i, :, *block] * normalised[i, :, *block]).sum((1, 2))
                out[i, :, *block] = blurred[i, :, *block] + (coarse[i, :, y, x] - mean)[:, None, None]
    return out


def test_refine_agrees_with_the_slow_reference_in_values_and_gradients() -> None:
    normalised = _weights(8, 2)[0]
    coarse = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    detail = torch.randn(1, 2, 8, 8, dtype=torch.float64, requires_grad=True)
    fast, slow = refine(coarse, detail, normalised), _refine_reference(coarse, detail, normalised)
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-12)
    seed = torch.randn_like(fast)
    for a, b in zip(
        torch.autograd.grad(fast, [coarse, detail], seed),
        torch.autograd.grad(slow, [coarse, detail], seed),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)
    coarse, detail, weights = coarse.detach()[:, :1, :2, :2], detail.detach()[:, :1, :4, :4], normalised[..., 4:, 4:]
    inputs = (coarse.clone().requires_grad_(), detail.clone().requires_grad_())
    assert torch.autograd.gradcheck(lambda c, d: refine(c, d, weights), inputs)


def test_every_composed_level_is_the_weighted_mip_of_the_finest() -> None:
    normalised = _weights(32, 4)
    details = [torch.randn(1, 3, 32 >> level, 32 >> level, dtype=torch.float64) for level in range(4)]
    sums = compose(details, normalised, 0)
    assert sums[0] is not None
    for composed, mip in zip(sums, mip_chain(sums[0], normalised, 4), strict=True):
        torch.testing.assert_close(composed, mip, rtol=0, atol=1e-12)


def test_levels_finer_than_asked_are_not_composed() -> None:
    details = [torch.randn(1, 1, 16 >> level, 16 >> level, dtype=torch.float64) for level in range(3)]
    sums = compose(details, _weights(16, 3), 1)
    full = compose(details, _weights(16, 3), 0)
    assert sums[0] is None
    assert sums[1] is not None
    assert torch.equal(sums[1], full[1])  # pyright: ignore[reportArgumentType]


def test_block_weights_sum_to_one() -> None:
    torch.testing.assert_close(sum_pool(_weights(16, 2)[0]), torch.ones(1, 1, 8, 8, dtype=torch.float64))


def test_covered_texels_alone_count_where_there_are_any_and_else_all_alike() -> None:
    coverage = torch.zeros(1, 1, 4, 4, dtype=torch.float64)
    coverage[..., 0, 0] = 1.0
    finest = block_weights(weight_pyramid(coverage, 2)[0])[0, 0]
    torch.testing.assert_close(finest[:2, :2], coverage[0, 0, :2, :2], rtol=0, atol=1e-3)
    torch.testing.assert_close(finest[2:, 2:], torch.full((2, 2), 0.25, dtype=torch.float64))


def test_decompose_gives_the_details_of_mips():
    generator = torch.Generator().manual_seed(3)
    weights = weight_pyramid(torch.rand(2, 1, 32, 32, generator=generator), 4)
    normalised = [block_weights(level) for level in weights[:-1]]
    mips = mip_chain(torch.rand(2, 3, 32, 32, generator=generator), normalised, 4)
    again = compose(decompose(mips), normalised, 0)
    for mip, sum_ in zip(mips, again, strict=True):
        assert sum_ is not None
        assert torch.allclose(mip, sum_, atol=1e-6)
