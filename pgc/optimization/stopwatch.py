# SPDX-License-Identifier: Apache-2.0
"""Where the time of a step goes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

__all__ = ["Stopwatch"]


class Stopwatch:
    """Adds up wall-clock seconds by stage; what no stage claims is "other"."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._seconds: dict[str, float] = {}
        self._start = self._now()

    def _now(self) -> float:
        # Kernels on a GPU run behind the caller's back; without waiting, their time lands on the wrong stage.
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Counts the time inside the block towards `name`."""
        start = self._now()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + self._now() - start

    def finish(self) -> Mapping[str, float]:
        """Returns seconds by stage, "other" included."""
        total = self._now() - self._start
        return {**self._seconds, "other": max(0.0, total - sum(self._seconds.values()))}
