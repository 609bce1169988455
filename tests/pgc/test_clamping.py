# SPDX-License-Identifier: Apache-2.0
"""The clamp whose gradient leads back: outside the range, on its edges, and the same in every version of torch."""

import torch

from pgc.clamping import clamp_inward


def _gradient(x: torch.Tensor, seed: torch.Tensor) -> list[float]:
    x = x.requires_grad_()
    (gradient,) = torch.autograd.grad(clamp_inward(x), x, seed)
    return gradient.tolist()


def test_clamp_passes_only_gradients_that_lead_back() -> None:
    x = torch.tensor([-0.5, -0.5, 1.5, 1.5, 0.5])
    assert clamp_inward(x).tolist() == [0.0, 0.0, 1.0, 1.0, 0.5]
    assert _gradient(x, torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0])) == [0.0, -1.0, 1.0, 0.0, 1.0]


def test_on_the_edge_itself_every_gradient_passes() -> None:
    x = torch.tensor([0.0, 0.0, 1.0, 1.0])
    seed = torch.tensor([1.0, -1.0, 1.0, -1.0])
    assert _gradient(x, seed) == seed.tolist()


def test_the_range_may_be_another() -> None:
    x = torch.tensor([0.0, 2.0])
    assert clamp_inward(x, 0.5, 1.0625).tolist() == [0.5, 1.0625]
