# SPDX-License-Identifier: Apache-2.0
"""The simulated card refuses what a real one refuses, allows what it allows, and counts."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.utils._device import _device_constructors

from tests.simulated_gpu.guard import load_guards, why_not
from tests.simulated_gpu.mps_operators import runs_on_mps
from tests.simulated_gpu.simulated_device import DeviceError, Kind, SimulatedTensor, Simulation

CARD = torch.device("cuda", 0)
plain_tensor = torch.tensor


def test_values_go_there_and_back(cuda: Simulation) -> None:
    here = torch.arange(6.0).reshape(2, 3)
    there = here.to("cuda")
    assert isinstance(there, SimulatedTensor)
    assert there.device == CARD
    assert there.is_cuda
    assert not there.is_meta
    doubled = (there * 2.0 + 1.0).cpu()
    assert not isinstance(doubled, SimulatedTensor)
    assert torch.equal(doubled, here * 2.0 + 1.0)
    for made in (torch.zeros(2, device=CARD), torch.tensor([1, 2], device="cuda"), torch.arange(3, device=CARD)):
        assert made.device == CARD
    assert torch.ones(2).device == torch.device("cpu")
    assert there.new_tensor([1.0]).device == CARD


def test_gradients_flow(cuda: Simulation) -> None:
    weight = torch.nn.Parameter(torch.ones(3, device=CARD))
    (weight * torch.tensor([1.0, 2.0, 3.0], device=CARD)).sum().backward()
    assert weight.grad is not None
    assert weight.grad.device == CARD
    assert torch.equal(weight.grad.cpu(), torch.tensor([1.0, 2.0, 3.0]))
    torch.optim.Adam([weight], lr=0.1, fused=True).step()
    assert torch.allclose(weight.detach().cpu(), torch.full((3,), 0.9), atol=1e-4)


def test_operands_on_two_devices_are_refused(cuda: Simulation) -> None:
    there, here = torch.ones(3, device=CARD), torch.ones(3)
    for wrong in (
        lambda: there + here,
        lambda: here * there,
        lambda: torch.cat([there, here]),
        lambda: here[there > 0],
    ):
        with pytest.raises(DeviceError, match="same device"):
            wrong()
    # A number is no operand, nor is a tensor of no dimension; indices are copied.
    assert (there + 1.0 + torch.tensor(2.0)).device == CARD
    assert there[torch.tensor([0, 2])].shape == (2,)


def test_a_generator_of_the_other_device_is_refused(cuda: Simulation) -> None:
    generator = torch.Generator().manual_seed(0)
    with pytest.raises(DeviceError, match="generator"):
        torch.randn((2,), generator=generator, device=CARD)
    assert torch.randn((2,), generator=generator).to(CARD).device == CARD


def test_numpy_is_refused(cuda: Simulation) -> None:
    there = torch.ones(3, device=CARD)
    with pytest.raises(TypeError, match=r"can't convert cuda:0 device type tensor to numpy"):
        there.numpy()
    with pytest.raises(TypeError, match="to numpy"):
        np.asarray(there)
    assert there.cpu().numpy().sum() == 3.0


def test_waits_and_copies_are_counted_while_the_log_is_on(cuda: Simulation) -> None:
    there = torch.ones(4, device=CARD)
    assert float(there.sum()) == 4.0
    assert not cuda.log.syncs
    cuda.log.on = True
    waits = [
        lambda: float(there.sum()),
        lambda: int(there.max()),
        there.tolist,
        there.cpu,
        there.nonzero,
        lambda: there[there > 0.5],
        lambda: bool((there > 0).all()),
        torch.cuda.synchronize,
    ]
    for number, wait in enumerate(waits):
        wait()
        assert sum(cuda.log.syncs.values()) == number + 1
    copies = [
        lambda: torch.ones(4).to(CARD),
        lambda: torch.tensor([1.0], device=CARD),
        lambda: there.copy_(torch.ones(4)),
    ]
    for number, copy in enumerate(copies):
        copy()
        assert sum(cuda.log.copies.values()) == number + 1
    assert {size for _, size in cuda.log.copies} == {4, 16}
    assert there * 2 is not None
    assert sum(cuda.log.syncs.values()) == len(waits)
    cuda.log.on = False


def test_places_are_lines_of_this_project(cuda: Simulation) -> None:
    from pgc.gradient_regulation.base import finite_pixels

    cuda.log.on = True
    with pytest.raises(TypeError, match=r"at .*test_simulated_device.py:\d+"):
        torch.ones(3, device=CARD).numpy()
    finite_pixels(torch.ones(1, 3, 2, 2, device=CARD))
    assert not cuda.log.syncs


def test_mps_has_no_float64_and_no_cuda(mps: Simulation) -> None:
    there = torch.ones(3).to("mps")
    assert there.device == torch.device("mps", 0)
    assert not there.is_cuda
    for wrong in (
        there.double,
        lambda: torch.ones(2, dtype=torch.float64).to("mps"),
        lambda: there.sum(dtype=torch.float64),
    ):
        with pytest.raises(TypeError, match="MPS framework"):
            wrong()
    assert not torch.cuda.is_available()
    with pytest.raises(AssertionError, match=r"torch\.cuda\.mem_get_info was called"):
        torch.cuda.mem_get_info()


def test_mps_lacks_operators(mps: Simulation) -> None:
    there = torch.ones(3).to("mps")
    with pytest.raises(NotImplementedError, match=r"aten::take' is not currently implemented for the MPS device, at "):
        torch.take(there, torch.tensor([0], device="mps"))
    assert float(torch.sort(there * 2.0).values.sum()) == 6.0
    known = {
        "aten::add.Tensor": True,
        "aten::sort": True,  # made of others
        "aten::silu_": True,  # by its structured delegate
        "aten::take": False,
        "aten::linalg_eig": False,
        "aten::_fused_sgd_": True,
        "other::operator": True,
    }
    assert {name: runs_on_mps(name) for name in known} == known


def test_a_device_context_works_though_the_card_was_first(simulate: Callable[[Kind], Simulation]) -> None:
    _device_constructors.cache_clear()  # as in a process that has used no context yet
    simulate("cuda")
    with torch.device("meta"):
        assert torch.tensor([1.0]).device == torch.device("meta")
        assert torch.arange(3).is_meta
    with torch.device("cuda", 0):
        assert torch.ones(2).device == CARD
    assert plain_tensor in _device_constructors()


@pytest.mark.slow
def test_the_guard_is_compiled_once(tmp_path) -> None:
    if why_not() is not None:
        pytest.skip(str(why_not()))
    library = load_guards(tmp_path)
    stamp = library.stat().st_mtime_ns
    assert load_guards(tmp_path) == library
    assert library.stat().st_mtime_ns == stamp
    assert [path.name for path in tmp_path.iterdir()] == [library.name]


def test_nothing_stays_behind() -> None:
    assert torch.tensor([1.0]).device == torch.device("cpu")
    assert not torch.cuda.is_available()
    assert not torch.__future__.get_overwrite_module_params_on_conversion()
