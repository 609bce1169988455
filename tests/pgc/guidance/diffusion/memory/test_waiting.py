# SPDX-License-Identifier: Apache-2.0
"""Weights that wait in main memory visit the device for as long as their layer works."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pgc.guidance.diffusion.memory.waiting import place_of_weights, wait_in_main_memory, wait_where_it_is

META = torch.device("meta")


class Network(nn.Module):
    """Layers with and without biases, buffers, and weights of its own beside its children's."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.second = nn.Linear(4, 2, bias=False)
        self.scale = nn.Parameter(torch.ones(2))
        self.during: list[str] = []
        self.fails = False

    def forward(self, x: Tensor) -> Tensor:
        if self.fails:
            raise RuntimeError("out of memory")
        hidden = self.norm(self.first(x))
        self.during += [self.first.weight.device.type, self.scale.device.type]
        return self.second(hidden) * self.scale


def network() -> Network:
    return Network().eval().requires_grad_(False)


def places(found: Network) -> list[str]:
    return sorted({value.device.type for value in found.state_dict().values()})


def test_layers_visit_the_device_one_at_a_time_and_are_the_same_afterwards() -> None:
    found = network()
    before = {name: value for name, value in found.named_parameters()}
    wait_in_main_memory(found, META)
    assert found(torch.zeros(5, 3, device=META)).device == META
    # The first layer has left when its neighbours work; what is the network's own is there as long as it works.
    assert found.during == ["cpu", "meta"]
    assert places(found) == ["cpu"]
    assert all(value is before[name] for name, value in found.named_parameters())


def test_weights_are_at_home_after_an_error() -> None:
    found = network()
    wait_in_main_memory(found, META)
    found.fails = True
    with pytest.raises(RuntimeError, match="out of memory"):
        found(torch.zeros(5, 3, device=META))
    assert places(found) == ["cpu"]
    found.fails = False
    assert found(torch.zeros(5, 3, device=META)).device == META


def test_what_is_on_its_device_stays_there() -> None:
    for found, device in ((network(), torch.device("cpu")), (network().to(META), META)):
        wait_where_it_is(found, device)
        found(torch.zeros(5, 3, device=device))
        assert found.during == [device.type, device.type]
        assert places(found) == [device.type]
    wait_where_it_is(nn.ReLU(), META)  # there is nothing to bring


def test_what_waits_already_visits_once() -> None:
    found = network()
    for _ in range(2):
        wait_where_it_is(found, META)
    assert max(len(module._forward_pre_hooks) for module in found.modules()) == 1
    found(torch.zeros(5, 3, device=META))
    assert places(found) == ["cpu"]


def test_only_a_card_has_memory_of_its_own() -> None:
    cpu, card, mac = torch.device("cpu"), torch.device("cuda", 1), torch.device("mps", 0)
    assert place_of_weights(card, waits=True) == cpu
    assert place_of_weights(card, waits=False) == card
    # Its memory is the processor's, so that waiting there saves nothing.
    assert place_of_weights(mac, waits=True) == mac
    assert place_of_weights(cpu, waits=True) == cpu
