# SPDX-License-Identifier: Apache-2.0
"""Weights that wait in main memory: each layer's visit the card while that layer works.

So a network needs next to no memory of the card, and all of its weights cross the bus at each call. For text encoders,
which run a few times in a whole run, that is nothing; for a UNet it is about a second a step.
accelerate's and diffusers' own offloading copy weights back, empty the allocator's cache or need a second stream; here
the weights in main memory simply stay, and the copy is dropped.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["place_of_weights", "wait_in_main_memory", "wait_where_it_is"]

_MAIN_MEMORY = torch.device("cpu")


def place_of_weights(device: torch.device, *, waits: bool) -> torch.device:
    """Returns where weights go that work on `device`: main memory for those that wait, if the device has other memory
    than the processor. A Mac has not."""
    return _MAIN_MEMORY if waits and device.type == "cuda" else device


def wait_where_it_is(network: nn.Module, device: torch.device, *, pinned: bool = False) -> None:
    """Makes a network that was left in main memory wait there (`wait_in_main_memory`); one on its device, or that waits
    already, stays as it is."""
    first = next(network.parameters(), None)
    waits = any(isinstance(visit, _Visits) for module in network.modules() for visit in _owners(module))
    if first is not None and first.device.type == "cpu" and device.type != "cpu" and not waits:
        wait_in_main_memory(network, device, pinned=pinned)


class _Visits:
    """The visits of one layer."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._home: tuple[dict[str, Any], dict[str, Any]] | None = None

    def come(self, module: nn.Module, args: object) -> None:
        """Puts copies on the card into the layer; what lies in main memory is only remembered."""
        inner: Any = module
        home = dict[str, Any](inner._parameters), dict[str, Any](inner._buffers)
        self._home = home
        inner._parameters.update(
            {name: nn.Parameter(self._there(value), requires_grad=False) for name, value in _given(home[0])}
        )
        inner._buffers.update({name: self._there(value) for name, value in _given(home[1])})

    def leave(self, module: nn.Module, args: object, output: object) -> None:
        """Puts back what lies in main memory."""
        inner: Any = module
        if self._home is not None:
            inner._parameters.update(self._home[0])
            inner._buffers.update(self._home[1])
            self._home = None

    def _there(self, value: Tensor) -> Tensor:
        return value.detach().to(self._device, non_blocking=True)


def _owners(module: nn.Module) -> list[Any]:
    """Whose methods are called before a layer works."""
    return [getattr(hook, "__self__", None) for hook in module._forward_pre_hooks.values()]


def _given(tensors: dict[str, Any]) -> list[tuple[str, Tensor]]:
    """Layers without a bias have a None in its place."""
    return [(name, value) for name, value in tensors.items() if value is not None]


def wait_in_main_memory(network: nn.Module, device: torch.device, *, pinned: bool = False) -> None:
    """Makes a network's weights wait: it may be called with tensors on `device` from now on.

    Args:
        network: its weights lie in main memory.
        device: where it works.
        pinned: the weights may not be swapped out, which doubles the speed of copies; for what is called often.
    """
    for module in network.modules():
        inner: Any = module
        own = [*inner._parameters.values(), *inner._buffers.values()]
        if all(value is None for value in own):
            continue
        if pinned:
            for value in own:
                if value is not None:
                    value.data = value.data.pin_memory()
        visits = _Visits(device)
        module.register_forward_pre_hook(visits.come)
        # Also where the layer fails: a retry with less memory must find the weights at home.
        module.register_forward_hook(visits.leave, always_call=True)
