# SPDX-License-Identifier: Apache-2.0
"""The mean of iterates against the mean of a list."""

from __future__ import annotations

import pytest
import torch

from pgc.errors import CheckpointError
from pgc.optimization.averaging import TexelAverage


def test_the_mean_of_all_iterates() -> None:
    parameter = torch.nn.Parameter(torch.zeros(3))
    average = TexelAverage([parameter])
    values = [torch.rand(3, generator=torch.Generator().manual_seed(seed)) for seed in range(7)]
    for value in values:
        with torch.no_grad():
            parameter.copy_(value)
        average.update()
    average.apply()
    torch.testing.assert_close(parameter.detach(), torch.stack(values).mean(dim=0))


def test_nothing_happens_before_the_first_update() -> None:
    parameter = torch.nn.Parameter(torch.ones(2))
    average = TexelAverage([parameter])
    average.apply()
    assert parameter.tolist() == [1.0, 1.0]
    assert average.state_dict() == {}


def test_a_restored_mean_goes_on_bit_for_bit() -> None:
    parameters = [torch.nn.Parameter(torch.rand(4)) for _ in range(2)]
    whole, first = TexelAverage(parameters), TexelAverage(parameters)
    whole.update()
    first.update()
    second = TexelAverage(parameters)
    second.load_state_dict(first.state_dict())
    with torch.no_grad():
        parameters[0].mul_(0.3)
    whole.update()
    second.update()
    assert all(torch.equal(a, b) for a, b in zip(whole.means, second.means, strict=True))
    assert second.count == 2
    second.load_state_dict({})
    assert (second.count, second.means) == (0, [])


def test_a_state_of_another_run_is_refused() -> None:
    average = TexelAverage([torch.nn.Parameter(torch.zeros(1))])
    with pytest.raises(CheckpointError, match="averages 2 tensors, the run 1"):
        average.load_state_dict({"count": torch.tensor(1), "0": torch.zeros(1), "1": torch.zeros(1)})


def test_the_mean_has_no_history_of_how_it_came_about() -> None:
    average = TexelAverage([torch.nn.Parameter(torch.ones(2))])
    average.update()
    average.update()
    assert not average.means[0].requires_grad


def test_parameters_that_have_become_more_or_fewer_are_noticed() -> None:
    first = torch.nn.Parameter(torch.ones(2))
    average = TexelAverage([first, torch.nn.Parameter(torch.ones(2))])
    average.update()
    average.parameters = [first]
    for step in (average.update, average.apply):
        with pytest.raises(ValueError, match="zip"):
            step()
