# SPDX-License-Identifier: Apache-2.0
"""Events on their way to the owner's thread."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from .events import Event, JobPreview, JobShapePreview, superseded_by

__all__ = ["EventQueue"]


class EventQueue:
    """Thread-safe. Memory stays bounded however late the owner looks: an event that only says how things stand
    (previews, progress) is replaced by its successor; every other event is kept, in order.

    Args:
        released: called with the credit of a preview that was taken or replaced; from either thread.
    """

    def __init__(self, released: Callable[[int], None] = lambda cost: None) -> None:
        self._released = released
        self._condition = threading.Condition()
        self._events: OrderedDict[object, Event] = OrderedDict()
        self._number = 0

    def put(self, event: Event) -> None:
        """Adds an event; one that it supersedes goes, and the new one stands at the end."""
        slot: object = superseded_by(event)
        with self._condition:
            if slot is None:
                self._number += 1
                slot = self._number
            old = self._events.pop(slot, None)
            self._events[slot] = event
            self._condition.notify_all()
        self._give_back(old)

    def get(self, timeout: float | None = 0.0) -> Event | None:
        """Returns the oldest event; None where there is none within `timeout` seconds (None: wait for ever)."""
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._condition:
            while not self._events:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self._condition.wait(left)
            _slot, event = self._events.popitem(last=False)
        self._give_back(event)
        return event

    def drain(self, most: int = 256) -> list[Event]:
        """Returns all events that are there, at most `most`, without waiting."""
        taken: list[Event] = []
        while len(taken) < most and (event := self.get()) is not None:
            taken.append(event)
        return taken

    def __len__(self) -> int:
        with self._condition:
            return len(self._events)

    def _give_back(self, event: Event | None) -> None:
        if isinstance(event, JobPreview | JobShapePreview):
            self._released(event.cost)
