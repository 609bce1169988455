# SPDX-License-Identifier: Apache-2.0
"""Fixtures: a simulated CUDA card, and a simulated MPS one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.utils._device import _device_constructors

from tests.simulated_gpu import simulated_device
from tests.simulated_gpu.guard import load_guards, why_not
from tests.simulated_gpu.simulated_device import SimulatedMode, SimulatedTensor, Simulation

GB = 10**9


def _patch_constructors(monkeypatch: pytest.MonkeyPatch, simulation: Simulation) -> None:
    """torch.tensor and its like are written in C++ and fill a card's memory themselves."""
    # torch notes once, for the whole process, which functions obey "with torch.device(...)". It must note its own: with
    # those below, a model that transformers builds on "meta" keeps buffers that nobody has filled.
    _device_constructors()
    plain, plain_new = torch.tensor, torch.Tensor.new_tensor

    def tensor(data: Any, *, dtype: Any = None, device: Any = None, **named: Any) -> torch.Tensor:
        if isinstance(data, SimulatedTensor):
            data = data.held
        made = plain(data, dtype=dtype, **named)
        if device is None or not simulation.owns(device):
            return made
        simulation.log.copy(made)
        return simulation.put(made)

    def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> torch.Tensor:
        if isinstance(data, torch.Tensor):
            return data.to(dtype=dtype or data.dtype, device=data.device if device is None else device)
        return tensor(data, dtype=dtype, device=device)

    def new_tensor(self: torch.Tensor, data: Any, *, dtype: Any = None, **named: Any) -> torch.Tensor:
        if isinstance(self, SimulatedTensor):
            return tensor(data, dtype=dtype or self.dtype, device=simulation.device)
        return plain_new(self, data, dtype=dtype, **named)

    monkeypatch.setattr(torch, "tensor", tensor)
    monkeypatch.setattr(torch, "as_tensor", as_tensor)
    monkeypatch.setattr(torch.Tensor, "new_tensor", new_tensor)


def _patch_cuda(monkeypatch: pytest.MonkeyPatch, simulation: Simulation) -> None:
    answers: dict[str, Any] = {
        "_lazy_init": None,
        "is_available": True,
        "is_initialized": True,
        "device_count": 1,
        "current_device": 0,
        "empty_cache": None,
        "is_current_stream_capturing": False,
        "current_stream": None,
        "get_arch_list": ["sm_90"],
        "get_device_capability": (9, 0),
        "get_device_name": "Simulated",
        "mem_get_info": (80 * GB, 80 * GB),
        "memory_reserved": 0,
        "max_memory_allocated": 0,
        "set_device": None,
    }
    for name, value in answers.items():
        monkeypatch.setattr(torch.cuda, name, lambda *given, answer=value, **named: answer)
    # Main memory that is not swapped out is the driver's to give.
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self, device=None: self)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device=None: simulation.log.sync("torch.cuda.synchronize"))
    _patch_warp(monkeypatch)


def _patch_warp(monkeypatch: pytest.MonkeyPatch) -> None:
    """One card in Warp's table, its CPU in disguise; arrays share the simulated tensors' memory."""
    import warp

    from pgc.rendering.raster.warp_rasterizer import _start_warp

    _start_warp()
    runtime = warp._src.context.runtime
    monkeypatch.setattr(runtime, "cuda_devices", [runtime.cpu_device])
    plain = warp.from_torch

    def from_torch(tensor: torch.Tensor, *given: Any, **named: Any) -> Any:
        if isinstance(tensor, SimulatedTensor):
            warp.device_from_torch(tensor.device)  # as Warp does, by the card's number
            tensor = tensor.held
        return plain(tensor, *given, **named)

    monkeypatch.setattr(warp, "from_torch", from_torch)
    monkeypatch.setattr(warp, "stream_from_torch", lambda stream: None)


def _patch_mps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 16 * GB)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 0)
    monkeypatch.setattr(torch.mps, "current_allocated_memory", lambda: 0)
    # What torch asks before anything, and nothing else, may be called of CUDA.
    allowed = {"is_available", "is_initialized", "is_current_stream_capturing"}
    for name, value in vars(torch.cuda).copy().items():
        if name.startswith("_") or name in allowed or isinstance(value, type) or not callable(value):
            continue
        if getattr(value, "__module__", "").startswith("torch.cuda"):
            monkeypatch.setattr(torch.cuda, name, _forbidden(name))


def _forbidden(name: str) -> Callable[..., Any]:
    def call(*given: Any, **named: Any) -> Any:
        raise AssertionError(f"torch.cuda.{name} was called on a machine without CUDA")

    return call


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[simulated_device.Kind], Simulation]]:
    """Starts a simulation of a card, which lasts to the end of the test."""
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    load_guards()
    overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
    modes: list[SimulatedMode] = []

    def start(kind: simulated_device.Kind) -> Simulation:
        simulation = Simulation(kind)
        simulated_device.active.append(simulation)
        _patch_constructors(monkeypatch, simulation)
        if kind == "cuda":
            _patch_cuda(monkeypatch, simulation)
        else:
            _patch_mps(monkeypatch)
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        mode = SimulatedMode()
        mode.__enter__()
        modes.append(mode)
        return simulation

    yield start
    for mode in reversed(modes):
        mode.__exit__(None, None, None)
    torch.__future__.set_overwrite_module_params_on_conversion(overwrite)
    simulated_device.active.clear()


@pytest.fixture
def cuda(simulate: Callable[[simulated_device.Kind], Simulation]) -> Simulation:
    """A simulated CUDA card."""
    return simulate("cuda")


@pytest.fixture
def mps(simulate: Callable[[simulated_device.Kind], Simulation]) -> Simulation:
    """A simulated MPS device, on which any call of CUDA is an error."""
    return simulate("mps")
