# SPDX-License-Identifier: Apache-2.0
"""Trilinear fetch: against the pixel-by-pixel reference, on tiles, at borders, with gradients."""

import math

import pytest
import torch

from pgc.errors import TextureError
from pgc.texture.mip_fetch import (
    level_of_detail,
    locate_tiles,
    plan_fetch,
    sample_mipmapped,
    sample_mipmapped_reference,
    sample_planned,
)


def _mips(tiles: int, size: int = 16, levels: int = 4) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    shapes = [(tiles, 2, size >> level, size >> level) for level in range(levels)]
    return [torch.rand(shape, dtype=torch.float64, generator=generator).requires_grad_() for shape in shapes]


def _view(low: float, high: float, b: int = 2, side: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(6)
    uv = low + (high - low) * torch.rand(b, 2, side, side, dtype=torch.float64, generator=generator)
    size = torch.exp2(torch.rand(b, 1, side, side, dtype=torch.float64, generator=generator) * 6 - 6)
    footprint = torch.randn(b, 4, side, side, dtype=torch.float64, generator=generator) * size
    mask = torch.rand(b, 1, side, side, generator=generator) < 0.8
    return uv, footprint, mask


@pytest.mark.parametrize(
    ("tiles", "repeat", "low", "high"),
    [
        ((1001,), False, 0.0, 1.0),
        ((1001,), False, -2.0, 3.0),
        ((1001,), True, -2.0, 3.0),
        ((1001, 1002, 1011, 1012), False, 0.0, 2.0),
    ],
)
def test_fast_fetch_agrees_with_the_reference(tiles: tuple[int, ...], repeat: bool, low: float, high: float) -> None:
    mips = _mips(len(tiles))
    uv, footprint, mask = _view(low, high)
    fast = sample_mipmapped(mips, uv, footprint, mask=mask, tiles=tiles, repeat=repeat)
    slow = sample_mipmapped_reference(mips, uv, footprint, mask=mask, tiles=tiles, repeat=repeat)
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-9)
    assert bool((fast[~mask.expand_as(fast)] == 0.0).all())
    seed = torch.randn_like(fast)
    fast_gradients, slow_gradients = (torch.autograd.grad(value, mips, seed) for value in (fast, slow))
    for a, b in zip(fast_gradients, slow_gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-9)


def test_gradcheck() -> None:
    uv, footprint, mask = _view(0.0, 1.0, b=1, side=3)
    mips = _mips(1, size=4, levels=3)
    assert torch.autograd.gradcheck(lambda *levels: sample_mipmapped(levels, uv, footprint, mask=mask), tuple(mips))


def test_level_is_log2_of_the_longer_axis() -> None:
    # An ellipse with axes of 8 and 2 texels, turned by 30 degrees on the screen and by 50 degrees in UV.
    def turn(angle: float) -> torch.Tensor:
        return torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])

    jacobian = turn(0.87) @ torch.diag(torch.tensor([8.0, 2.0])) @ turn(0.52) / 256
    footprint = jacobian.T.reshape(1, 4, 1, 1)
    torch.testing.assert_close(level_of_detail(footprint, 256), torch.full((1, 1, 1), 3.0))


def test_a_magnified_pixel_is_bilinear_and_a_texel_centre_exact() -> None:
    mips = _mips(1)
    uv = torch.tensor([(5 + 0.5) / 16, 1 - (3 + 0.5) / 16], dtype=torch.float64).reshape(1, 2, 1, 1)
    footprint = torch.full((1, 4, 1, 1), 1e-6, dtype=torch.float64)
    torch.testing.assert_close(sample_mipmapped(mips, uv, footprint)[0, :, 0, 0], mips[0][0, :, 3, 5])


def test_a_bad_footprint_takes_the_coarsest_level() -> None:
    mips = _mips(1)
    uv = torch.full((1, 2, 1, 1), 0.5, dtype=torch.float64)
    footprint = torch.full((1, 4, 1, 1), float("nan"), dtype=torch.float64)
    assert torch.isfinite(sample_mipmapped(mips, uv, footprint)).all()
    assert plan_fetch(uv, footprint, torch.ones(1, 1, 1, 1).bool(), size=16, levels=(0, 3)).finest == 3


def test_integer_part_selects_the_tile_and_upper_borders_stay_in_it() -> None:
    u = torch.tensor([0.25, 1.25, 0.25, 1.0, 2.0, 9.5])
    v = torch.tensor([0.5, 0.5, 1.5, 0.5, 1.0, 0.5])
    tile, local_u, local_v = locate_tiles(u, v, (1001, 1002, 1011))
    assert tile.tolist() == [0, 1, 2, 1, 1, 0]
    assert local_u.tolist() == [0.25, 0.25, 0.25, 0.0, 1.0, 0.5]
    assert local_v.tolist() == [0.5, 0.5, 0.5, 0.5, 1.0, 0.5]


def test_neighbouring_tiles_do_not_bleed() -> None:
    mips = [torch.stack([torch.zeros(1, 8, 8), torch.ones(1, 8, 8)])]
    uv = torch.tensor([0.999, 0.001]).reshape(1, 2, 1, 1)
    footprint = torch.full((1, 4, 1, 1), 1e-3)
    assert sample_mipmapped(mips, uv, footprint, tiles=(1001, 1011)).item() == 0.0
    assert (
        sample_mipmapped(mips, uv + torch.tensor([0.0, 1.0]).reshape(1, 2, 1, 1), footprint, tiles=(1001, 1011)) == 1.0
    )


def test_a_missing_level_is_an_error() -> None:
    uv, footprint, mask = _view(0.0, 1.0)
    plan = plan_fetch(uv, footprint, mask, size=16, levels=(0, 3))
    with pytest.raises(TextureError, match="Mip level 0"):
        sample_planned([None, *_mips(1)[1:]], plan)


def test_an_empty_mask_gives_zeros_that_can_be_differentiated() -> None:
    mips = _mips(1)
    uv, footprint, mask = _view(0.0, 1.0)
    value = sample_mipmapped(mips, uv, footprint, mask=torch.zeros_like(mask))
    value.sum().backward()
    assert bool((value == 0.0).all())


def test_same_bits_with_one_and_two_threads() -> None:
    mips = [level.detach().float().requires_grad_() for level in _mips(1, size=64, levels=5)]
    uv, footprint, mask = _view(0.0, 1.0, side=48)
    seed = torch.randn(2, 2, 48, 48)
    threads, results = torch.get_num_threads(), []
    try:
        for count in (1, 2, 2):
            torch.set_num_threads(count)
            value = sample_mipmapped(mips, uv.float(), footprint.float(), mask=mask)
            results.append([value, *torch.autograd.grad(value, mips, seed)])
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))
