# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from pgc.maps import MAPS
from pgc.neutral_maps import neutral_map
from tests.simulated_gpu.simulated_device import Simulation


@pytest.mark.parametrize("name", MAPS)
def test_a_map_that_is_missing_is_made_on_the_card(cuda: Simulation, name: str) -> None:
    there = torch.ones(2, 5, 3, 4).to("cuda")
    cuda.log.on = True
    made = neutral_map(name, there, 1)
    cuda.log.on = False
    assert not cuda.log.syncs
    assert not cuda.log.copies
    assert made.device == cuda.device
    neutral = torch.tensor(MAPS[name].neutral)[None, :, None, None].expand(2, -1, 3, 4)
    assert torch.equal(made.cpu(), neutral)


def test_what_is_made_of_numbers_would_be_noticed(cuda: Simulation) -> None:
    cuda.log.on = True
    torch.tensor((0.5, 0.5, 1.0)).to(cuda.device)
    cuda.log.on = False
    assert cuda.log.copies


def test_it_stands_beside_rows_and_images_alike_and_learns_nothing() -> None:
    rows = neutral_map("normal", torch.zeros(7, 1, dtype=torch.float64, requires_grad=True), 1)
    assert rows.shape == (7, 3)
    assert rows.dtype == torch.float64
    assert not rows.requires_grad
    assert neutral_map("metallic", torch.ones(3, 2, 2), 0).tolist() == [[[0.0, 0.0], [0.0, 0.0]]]
