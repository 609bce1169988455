# SPDX-License-Identifier: Apache-2.0
"""How much memory tensors hold while something runs, counted: on the meta device without any memory at all.

Counted is what torch's allocator would give to each storage (in blocks of 512 bytes), from the operator that makes it
to the moment nothing holds it: an operator's result, what autograd keeps, a parameter. Not counted are workspaces of
cuDNN and cuBLAS, the driver's own memory and holes between blocks. Attention is counted as the fused kernels of a card
compute it, which keep its inputs, its result and a number a row, never the matrix.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["LiveBytes", "counted"]

_BLOCK = 512


@dataclass
class LiveBytes:
    """What is held by storages that were made meanwhile."""

    now: int = 0
    peak: int = 0

    def came(self, size: int) -> None:
        """Adds a storage."""
        self.now += size
        self.peak = max(self.peak, self.now)

    def went(self, size: int) -> None:
        """Takes one off."""
        self.now -= size

    def restart(self) -> None:
        """Forgets the peak so far."""
        self.peak = self.now


class _Watch(TorchDispatchMode):
    def __init__(self, live: LiveBytes) -> None:
        super().__init__()
        self._live = live
        self._known: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {id(self._storage(item)) for item in tree_leaves((args, kwargs or {})) if isinstance(item, Tensor)}
        out = func(*args, **(kwargs or {}))
        for item in tree_leaves(out):
            if isinstance(item, Tensor):
                storage = self._storage(item)
                # Views share their storage with what they are views of.
                if id(storage) not in given and id(storage) not in self._known:
                    self._see(storage)
        return out

    def _storage(self, tensor: Tensor) -> torch.UntypedStorage:
        return tensor.untyped_storage()

    def _see(self, storage: torch.UntypedStorage) -> None:
        size = -(-storage.nbytes() // _BLOCK) * _BLOCK
        key, live, known = id(storage), self._live, self._known

        def gone(_: object) -> None:
            del known[key]
            live.went(size)

        known[key] = weakref.ref(storage, gone)
        live.came(size)


class _Fused(torch.autograd.Function):
    """Attention as the fused kernels hold it."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        rows = query.new_empty(query.shape[:-1], dtype=torch.float32)
        out = query.new_empty((*query.shape[:-1], value.shape[-1]))
        ctx.save_for_backward(query, key, value, out, rows)
        return out

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:
        query, key, value, _, _ = ctx.saved_tensors
        return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)


class _FusedAttention(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        if func is F.scaled_dot_product_attention:
            given = [args[at] if at < len(args) else named[name] for at, name in enumerate(("query", "key", "value"))]
            if given[0].device.type == "meta":
                apply: Callable[..., Tensor] = _Fused.apply
                return apply(*given)
        return func(*args, **named)


@contextmanager
def counted() -> Iterator[LiveBytes]:
    """Counts what is made while it is open."""
    live = LiveBytes()
    with _FusedAttention(), _Watch(live):
        yield live
