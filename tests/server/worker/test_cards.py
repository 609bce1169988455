# SPDX-License-Identifier: Apache-2.0
"""A box of several graphics cards: a worker on each, which looks at its own card's memory alone."""

from __future__ import annotations

import pytest
import torch

from pgc.devices import with_index
from pgc.runs.memory.plan import device_memory
from server.worker.main import choose_device

GB = 10**9


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Two cards that torch sees, of different sizes; returns those that were made the current one, in order."""
    free, current = (8 * GB, 24 * GB), [0]
    answers = {
        "is_available": lambda: True,
        "device_count": lambda: len(free),
        "current_device": lambda: current[-1],
        "set_device": lambda device: current.append(torch.device(device).index),
        "get_arch_list": lambda: ["sm_90"],
        "get_device_capability": lambda device=None: (9, 0),
        "mem_get_info": lambda device=None: (free[with_index(device or "cuda").index],) * 2,
        "memory_reserved": lambda device=None: 0,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(torch.cuda, name, answer)
    return current


@pytest.mark.parametrize("asked", ["auto", "cuda"])
def test_each_worker_has_a_card_of_its_own(cards: list[int], asked: str) -> None:
    assert [choose_device(asked, index) for index in (0, 1)] == [torch.device("cuda", 0), torch.device("cuda", 1)]
    assert cards[1:] == [0, 1], "what allocates without a device would go to another worker's card"


def test_more_workers_than_cards_take_them_in_turn(cards: list[int]) -> None:
    assert [choose_device("auto", index).index for index in range(5)] == [0, 1, 0, 1, 0]


def test_a_worker_plans_for_the_memory_of_its_own_card(cards: list[int]) -> None:
    found = [device_memory(choose_device("auto", index)) for index in (0, 1)]
    assert [memory.available for memory in found if memory is not None] == [8 * GB, 24 * GB]


def test_a_device_that_is_said_without_a_number_is_the_workers_own(cards: list[int]) -> None:
    choose_device("auto", 1)
    assert with_index("cuda") == torch.device("cuda", 1)


def test_workers_on_the_cpu_choose_no_card(cards: list[int]) -> None:
    assert choose_device("cpu", 1) == torch.device("cpu")
    assert cards == [0]
