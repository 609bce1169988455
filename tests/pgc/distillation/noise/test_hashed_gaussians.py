# SPDX-License-Identifier: Apache-2.0
"""White noise as a function of the place: normal, white, and the same at every size of texel."""

import pytest
import torch

from pgc.distillation.noise.hashed_gaussians import hashed_normal, texel_noise


def grid(level, channels=2, seed=0):
    side = 2**level
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    values = texel_noise(column.flatten(), row.flatten(), level, channels=channels, seed=seed)
    return values.T.reshape(channels, side, side)


def test_hashed_numbers_are_normal():
    values = hashed_normal(torch.tensor(3), torch.arange(50_000)).double()
    assert float(values.mean()) == pytest.approx(0.0, abs=0.02)
    assert float(values.var()) == pytest.approx(1.0, abs=0.03)
    assert float(values.pow(4).mean()) == pytest.approx(3.0, abs=0.2)
    shares = [float((values.abs() < bound).double().mean()) for bound in (1.0, 2.0, 3.0)]
    assert shares == pytest.approx([0.6827, 0.9545, 0.9973], abs=0.006)


def test_texels_are_white():
    values = grid(7)
    assert float(values.std()) == pytest.approx(1.0, abs=0.02)
    # A mean of 32,768 products strays by 0.0055. A shift by one texel crosses parents of every level.
    for row, column in ((0, 1), (1, 0), (1, 1), (0, 2), (4, 0), (16, 16)):
        assert float((values * values.roll((row, column), (1, 2))).mean()) == pytest.approx(0.0, abs=0.025)
    assert float((values[0] * values[1]).mean()) == pytest.approx(0.0, abs=0.025)


def test_a_coarse_texel_is_its_four_fine_ones_together():
    fine, coarse = grid(5), grid(4)
    blocks = fine.unfold(1, 2, 2).unfold(2, 2, 2).sum(dim=(3, 4)) / 2
    torch.testing.assert_close(blocks, coarse, atol=1e-5, rtol=1e-5)


def test_tiles_and_seeds_differ_and_places_do_not():
    here = texel_noise(torch.arange(64), torch.arange(64), 6, channels=1, seed=0)
    next_tile = texel_noise(torch.arange(64) + 64, torch.arange(64), 6, channels=1, seed=0)
    below = texel_noise(torch.arange(64) - 64, torch.arange(64), 6, channels=1, seed=0)
    other_seed = texel_noise(torch.arange(64), torch.arange(64), 6, channels=1, seed=1)
    for values in (next_tile, below, other_seed):
        assert not torch.isclose(here, values).any()
    alone = texel_noise(torch.tensor([17]), torch.tensor([17]), 6, channels=1, seed=0)
    assert torch.equal(alone[0], here[17])
