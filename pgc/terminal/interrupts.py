# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C between two steps, so that what is saved is whole."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

__all__ = ["InterruptFlag"]


class InterruptFlag:
    """Once armed, the first SIGINT or SIGTERM only raises a flag; the second acts as ever.

    Leaving the context disarms it. Outside the main thread, which alone may handle signals, the flag stays down.
    """

    def __init__(self) -> None:
        self.raised = False
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> InterruptFlag:
        return self

    def arm(self) -> None:
        """Takes signals over: from here on a signal waits for whoever looks at the flag."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.raised = True
        self._restore()
