# SPDX-License-Identifier: Apache-2.0
"""Soft regions: pairs by hand and against all pairs, two substances stay two, noise on one goes away."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pgc.texture.region_penalty import RegionOrder, region_penalty

SCALE = 0.3


def test_one_pair_by_hand() -> None:
    """0.3 apart in roughness and 0.4 in metallic is 0.5: scale² (1 - exp(-0.25 / (2 scale²))) for either of them."""
    values = torch.tensor([[0.2, 0.1], [0.5, 0.5]])
    expected = SCALE**2 * (1.0 - math.exp(-0.25 / (2.0 * SCALE**2)))
    assert float(region_penalty(values, torch.tensor([1, 0]), SCALE)) == pytest.approx(expected, rel=1e-5)
    assert float(region_penalty(values, torch.tensor([0, 1]), SCALE)) == 0.0


def test_near_pairs_feel_a_parabola_and_far_ones_nothing() -> None:
    near, far = (torch.tensor([[0.5], [0.5 + d]], requires_grad=True) for d in (0.01, 1.2))
    for values in (near, far):
        region_penalty(values, torch.tensor([1, 0]), SCALE).backward()
    assert near.grad is not None
    assert far.grad is not None
    # The mean over two pairs, which are the same two texels: the gradient of d²/2.
    assert float(near.grad[1, 0]) == pytest.approx(0.01, rel=1e-2)
    assert 0.0 < float(far.grad[1, 0]) < 1e-3


def test_partners_are_others_of_the_same_region() -> None:
    regions = torch.tensor([2, 0, 2, 0, 0, 1, 2, 0])
    order = RegionOrder.of(regions, 4)
    seen: dict[int, set[int]] = {texel: set() for texel in range(len(regions))}
    for draw in torch.linspace(0.0, 0.999, 12):
        partners = order.partners(draw.expand(4))
        assert torch.equal(regions[partners], regions)
        for texel, partner in enumerate(partners.tolist()):
            seen[texel].add(partner)
    for texel, partners in seen.items():
        others = {other for other in range(len(regions)) if regions[other] == regions[texel] and other != texel}
        assert partners == (others or {texel})


def test_all_shifts_are_all_pairs() -> None:
    """Over every shift the fast pairs have the mean of the slow double loop."""
    generator = torch.Generator().manual_seed(3)
    values, regions = torch.rand(7, 2, generator=generator), torch.zeros(7, dtype=torch.int64)
    order = RegionOrder.of(regions, 1)
    draws = (torch.arange(6) + 0.5) / 6.0
    fast = sum(float(region_penalty(values, order.partners(draw[None]), SCALE)) for draw in draws) / 6.0
    slow = 0.0
    for i in range(7):
        for j in range(7):
            distance = float((values[i] - values[j]).square().sum())
            slow += SCALE**2 * (1.0 - math.exp(-distance / (2.0 * SCALE**2))) / (7 * 6)
    assert fast == pytest.approx(slow, rel=1e-5)


def _settled(start: Tensor, regions: Tensor, data_weight: float) -> Tensor:
    """Descent on the penalty and a pull to where the values came from, of the given weight."""
    values = start.clone().requires_grad_()
    generator = torch.Generator().manual_seed(8)
    order = RegionOrder.of(regions, int(regions.max()) + 1)
    descent = torch.optim.SGD([values], lr=0.2 * len(start))
    for _ in range(300):
        descent.zero_grad()
        draws = torch.rand(int(regions.max()) + 1, generator=generator)
        data = 0.5 * data_weight * (values - start).square().sum(dim=1).mean()
        (region_penalty(values, order.partners(draws), SCALE) + data).backward()
        descent.step()
    return values.detach()


@pytest.mark.slow
def test_two_substances_in_one_region_stay_two() -> None:
    """Rust and iron, a third of it iron, with noise: each loses its noise, neither moves to the other."""
    generator = torch.Generator().manual_seed(4)
    iron = torch.arange(300) % 3 == 0
    truth = torch.where(iron[:, None], torch.tensor([0.4, 1.0]), torch.tensor([0.85, 0.0]))
    start = truth + 0.08 * torch.randn(300, 2, generator=generator)
    found = _settled(start, torch.zeros(300, dtype=torch.int64), 0.1)
    for part in (iron, ~iron):
        assert (found[part].mean(0) - start[part].mean(0)).abs().max() < 0.03
        assert found[part].std(0).max() < 0.3 * start[part].std(0).min()


@pytest.mark.slow
def test_noise_on_one_substance_goes_away_in_each_region() -> None:
    generator = torch.Generator().manual_seed(5)
    regions = (torch.arange(200) % 2).long()
    truth = torch.where(regions[:, None] == 1, torch.tensor([0.5, 0.2]), torch.tensor([0.4, 0.1]))
    start = truth + 0.08 * torch.randn(200, 2, generator=generator)
    found = _settled(start, regions, 0.02)
    for region in (0, 1):
        part = regions == region
        assert found[part].std(0).max() < 0.1 * start[part].std(0).min()
        # Two regions as near as this keep their own values: nothing reaches across.
        assert (found[part].mean(0) - start[part].mean(0)).abs().max() < 0.005


@pytest.mark.slow
def test_what_the_picture_says_outweighs_a_weak_prior() -> None:
    """A gradient of roughness that the data want stays, flattened by no more than the prior's share."""
    start = torch.stack([torch.linspace(0.4, 0.6, 100), torch.zeros(100)], dim=1)
    found = _settled(start, torch.zeros(100, dtype=torch.int64), 10.0)
    assert float(found[:, 0].std() / start[:, 0].std()) > 0.75
