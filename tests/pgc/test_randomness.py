# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import torch

from pgc.randomness import generator_for, numpy_generator_for, seed_for


def test_a_seed_depends_on_all_three_and_is_stable_for_ever() -> None:
    assert seed_for(0, 0, "cameras") == 7124028287062558609
    others = {
        seed_for(1, 0, "cameras"),
        seed_for(0, 1, "cameras"),
        seed_for(0, 0, "noise"),
        seed_for(0, 0, "cameras"),
    }
    assert len(others) == 4


def test_generators_repeat() -> None:
    first, second = (torch.randn(4, generator=generator_for(7, 3, "noise")) for _ in range(2))
    assert torch.equal(first, second)
    assert numpy_generator_for(7, 3, "x").random() == numpy_generator_for(7, 3, "x").random()
    assert numpy_generator_for(7, 3, "x").random() != numpy_generator_for(7, 4, "x").random()
