# SPDX-License-Identifier: Apache-2.0
"""A text encoder that is loaded at the first prompt that it has to read: with all prompts known from before, never."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from pgc.guidance.diffusion.memory.waiting import wait_where_it_is

__all__ = ["LateEncoder"]


class LateEncoder:
    """Called as the encoder itself."""

    def __init__(self, load: Callable[[], nn.Module], device: torch.device) -> None:
        """`load` reads the weights to where they wait; `device` is where the encoder works."""
        self._load = load
        self._device = device
        self._network: nn.Module | None = None

    @property
    def is_loaded(self) -> bool:
        """Whether the weights were read."""
        return self._network is not None

    def __call__(self, *args: Any, **how: Any) -> Any:  # noqa: ANN401 - as transformers has it
        """Encodes as the encoder does. Raises GuidanceError where it cannot be loaded."""
        if self._network is None:
            network = self._load()
            wait_where_it_is(network, self._device)
            self._network = network
        return self._network(*args, **how)
