# SPDX-License-Identifier: Apache-2.0
"""A graphics card without one: tensors with real values on the CPU that say they are on `cuda:0` or `mps:0`.

torch's checks are made as torch makes them: operands on two devices, a CPU generator for a draw on the card, an array
of NumPy's from the card, float64 on MPS and operators that have no kernel there. Calls that make the host wait for the
card, and copies to the card, are counted with the line of this project that made them. What Warp and cuBLAS themselves
would refuse is not found; Warp's table of cards is patched, so that names of cards are looked up as it looks them up.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from tests.simulated_gpu.mps_operators import runs_on_mps

__all__ = ["DeviceError", "DeviceLog", "Kind", "SimulatedTensor", "Simulation", "active"]

aten = torch.ops.aten
Kind = Literal["cuda", "mps"]
_ROOT = Path(__file__).resolve().parents[2]
_CONFTEST = str(Path(__file__).with_name("conftest.py"))
_PACKAGES = (str(_ROOT / "pgc"), str(_ROOT / "server"))


class DeviceError(RuntimeError):
    """What a real card would refuse."""


def where() -> str:
    """The innermost line of this project that is being run; else the innermost outside of torch."""
    frame: FrameType | None = sys._getframe(1)
    outside = "?"
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(_PACKAGES):
            return f"{Path(name).relative_to(_ROOT).as_posix()}:{frame.f_lineno}"
        if outside == "?" and "/torch/" not in name and name not in (__file__, _CONFTEST):
            outside = f"{name.rpartition('site-packages/')[2]}:{frame.f_lineno}"
        frame = frame.f_back
    return outside


@dataclass
class DeviceLog:
    """What the card was asked for while `on`."""

    on: bool = False
    syncs: Counter[tuple[str, str]] = field(default_factory=lambda: Counter[tuple[str, str]]())
    """By place and kind: times that the host had to wait for the card."""
    copies: Counter[tuple[str, int]] = field(default_factory=lambda: Counter[tuple[str, int]]())
    """By place and bytes: copies from the host to the card."""

    def sync(self, kind: str) -> None:
        if self.on:
            self.syncs[where(), kind] += 1

    def copy(self, tensor: torch.Tensor) -> None:
        if self.on:
            self.copies[where(), tensor.numel() * tensor.element_size()] += 1


@dataclass
class Simulation:
    """The card that is simulated now."""

    kind: Kind
    log: DeviceLog = field(default_factory=DeviceLog)
    depth: int = 0
    """Above 0 while torch works on tensors of the card."""

    @property
    def device(self) -> torch.device:
        return torch.device(self.kind, 0)

    def owns(self, device: Any, *, like_ours: bool = False) -> bool:
        """Whether a device is the card. What torch makes like a tensor on the card it asks "meta" for, as that says."""
        kind = "cpu" if device is None else torch.device(device).type
        return kind == self.kind or ((like_ours or self.depth > 0) and kind == "meta")

    def put(self, held: torch.Tensor) -> SimulatedTensor:
        """A CPU tensor's values on the card."""
        if self.kind == "mps" and held.dtype in (torch.float64, torch.complex128):
            raise TypeError(
                f"Cannot convert a MPS Tensor to {held.dtype} as the MPS framework doesn't support it, at {where()}"
            )
        return SimulatedTensor(held)

    def run(self, func: Any, args: Any, kwargs: Any) -> Any:
        """One operator, as the card would run it."""
        flat, spec = tree_flatten((args, kwargs))
        ours = [item for item in flat if isinstance(item, SimulatedTensor)]
        self._check(func, args, kwargs, flat, ours)
        self._count(func, args, kwargs, ours)
        there = self._lands_there(func, args, kwargs, bool(ours))
        inner_args, inner_kwargs = tree_unflatten(
            [item.held if isinstance(item, SimulatedTensor) else item for item in flat], spec
        )
        if there and inner_kwargs.get("device") is not None:
            inner_kwargs["device"] = torch.device("cpu")
        known = {id(item.held): item for item in ours}

        def wrapped(item: Any) -> Any:
            if not there or not isinstance(item, torch.Tensor) or isinstance(item, SimulatedTensor):
                return item
            return known[id(item)] if id(item) in known else self.put(item)

        return tree_map(wrapped, func(*inner_args, **inner_kwargs))

    def _lands_there(self, func: Any, args: Any, kwargs: Any, any_ours: bool) -> bool:
        if func is aten.copy_.default:
            return isinstance(args[0], SimulatedTensor)
        return any_ours if kwargs.get("device") is None else self.owns(kwargs["device"], like_ours=any_ours)

    def _check(self, func: Any, args: Any, kwargs: Any, flat: list[Any], ours: list[SimulatedTensor]) -> None:
        generator = kwargs.get("generator")
        on_card = self._lands_there(func, args, kwargs, bool(ours))
        if generator is not None and generator.device.type == "cpu" and on_card:
            raise DeviceError(
                f"Expected a {self.kind!r} device type for generator but found 'cpu': {func} at {where()}"
            )
        if self.kind == "mps" and (ours or on_card) and not runs_on_mps(func.name()):
            raise NotImplementedError(
                f"The operator '{func.name()}' is not currently implemented for the MPS device, at {where()}"
            )
        if not ours or func in _CROSSING:
            return
        others = [item for item in flat if isinstance(item, torch.Tensor) and not isinstance(item, SimulatedTensor)]
        wrong = [item for item in others if item.dim() > 0]
        if func in _INDEXING and isinstance(args[0], SimulatedTensor):
            # torch copies indices from the host to the card.
            indices = [item for item in args[1] if item is not None and not isinstance(item, SimulatedTensor)]
            wrong = [item for item in wrong if not any(item is index for index in indices)]
            for index in indices:
                self.log.copy(index)
        if wrong:
            raise DeviceError(
                "Expected all tensors to be on the same device, but found at least two devices: "
                f"{func} at {where()} got {[tuple(item.shape) for item in wrong]} on the CPU."
            )

    def _count(self, func: Any, args: Any, kwargs: Any, ours: list[SimulatedTensor]) -> None:
        if func in _CROSSING:
            self._count_crossing(func, args, kwargs)
        elif ours:
            name = str(func)
            if func in _WAITING or name.startswith(("aten.unique", "aten._unique")):
                self.log.sync(name)
            elif func in _INDEXING and any(
                item is not None and item.dtype in (torch.bool, torch.uint8) for item in args[1]
            ):
                self.log.sync("index by a mask")

    def _count_crossing(self, func: Any, args: Any, kwargs: Any) -> None:
        if func is aten._to_copy.default:
            source, target = args[0], kwargs.get("device")
            ours = isinstance(source, SimulatedTensor)
            there = ours if target is None else self.owns(target, like_ours=ours)
        else:
            source, there = args[1], isinstance(args[0], SimulatedTensor)
        if isinstance(source, SimulatedTensor) and not there:
            self.log.sync("copy to the host")
        elif there and not isinstance(source, SimulatedTensor):
            self.log.copy(source)


active: list[Simulation] = []
"""The simulation that runs, or none: tensors cannot carry it through torch's constructors."""

_CROSSING = {aten._to_copy.default, aten.copy_.default, aten._copy_from.default}
_INDEXING = {
    aten.index.Tensor,
    aten.index_put_.default,
    aten.index_put.default,
    aten._unsafe_index.Tensor,
    aten._index_put_impl_.default,
}
_WAITING = {
    aten._local_scalar_dense.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten.bincount.default,
    aten.equal.default,
    aten.is_nonzero.default,
}


class SimulatedTensor(torch.Tensor):
    """A tensor whose values lie in `held`, on the CPU."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> SimulatedTensor:
        # "meta", since torch would ask a card's own allocator; `device` below says what the program is to believe.
        made: Any = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=torch.device("meta"),
            requires_grad=False,
        )
        made.held = inner
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return active[-1].device

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        return active[-1].kind == "cuda"

    @property
    def is_mps(self) -> bool:  # type: ignore[override]
        return active[-1].kind == "mps"

    @property
    def is_meta(self) -> bool:  # type: ignore[override]
        return False

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"SimulatedTensor({self.held})"

    def numpy(self, *, force: bool = False) -> Any:
        """As torch: only with `force` is there a copy to the host."""
        if force:
            return self.cpu().numpy()
        raise TypeError(
            f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host "
            f"memory first, at {where()}"
        )

    def __array__(self, *given: Any, **named: Any) -> Any:
        return self.numpy()

    def tolist(self) -> Any:
        """One wait, however many values."""
        active[-1].log.sync("tolist")
        return self.held.tolist()

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Remembers that what torch makes meanwhile is for tensors on the card."""
        simulation = active[-1]
        simulation.depth += 1
        try:
            with torch._C.DisableTorchFunctionSubclass():
                return func(*args, **(kwargs or {}))
        finally:
            simulation.depth -= 1

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return active[-1].run(func, args, kwargs or {})


class SimulatedMode(TorchDispatchMode):
    """Catches what makes tensors on the card out of nothing."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return active[-1].run(func, args, kwargs or {})
