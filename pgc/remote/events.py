# SPDX-License-Identifier: Apache-2.0
"""The client's events, sorted by job, and what they mean to a person who waits at a terminal."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from blender_addon import client as wire
from pgc.errors import PgcError

__all__ = ["JobEvents", "RemoteError"]

_BY_KEY = (wire.Uploading, wire.JobAccepted)
_BY_JOB = (
    wire.JobStateChanged,
    wire.JobProgress,
    wire.JobNotice,
    wire.JobPreview,
    wire.JobShapePreview,
    wire.Downloading,
    wire.JobFinished,
    wire.JobFailed,
    wire.JobCancelled,
)


_AFTER_FAILED_START = 3.0


class RemoteError(PgcError):
    """The server refused a job, lost it, or cannot be reached."""

    @staticmethod
    def of(error: wire.WireError) -> RemoteError:
        """Repeats the server's own words, with its hint."""
        place = f"{error.field}: " if error.field and not error.text.startswith(error.field) else ""
        hint = f" {error.hint}" if error.hint else ""
        return RemoteError(f"{place}{error.text}{hint}")


class JobEvents:
    """Hands each waiting run its own events; several jobs share one client.

    Args:
        say: tells the person what concerns the connection.
        patience: seconds to wait for a first connection.
    """

    def __init__(self, client: wire.Client, say: Callable[[str], None], patience: float) -> None:
        self.client = client
        self.place: dict[str, Any] = {}
        """What reports say of where the server is, so that a run goes on there."""
        self._say = say
        self._waiting: dict[str, deque[wire.Event]] = {}
        self._keys: dict[str, str] = {}
        self._connected = False
        self._give_up_at = time.monotonic() + patience
        self._last_reason = "No server answers."
        self._start_failed = self._away = False

    @property
    def connected(self) -> bool:
        """Whether there was ever a connection."""
        return self._connected

    @property
    def away(self) -> bool:
        """Whether there is no connection now."""
        return self._away or not self._connected

    def expect(self, key: str) -> None:
        """Keeps events of this submission for it from now on."""
        self._waiting.setdefault(key, deque())

    def next(self, key: str, timeout: float) -> wire.Event | None:
        """Returns the next event of a submission; None where none comes in time.

        Raises:
            RemoteError: there is no server, it refuses us, or the client broke.
        """
        mine = self._waiting[key]
        end = time.monotonic() + timeout
        while not mine:
            event = self.client.events.get(max(0.0, end - time.monotonic()))
            if event is None:
                self._check_patience()
                return None
            self._sort(event)
        return mine.popleft()

    def _sort(self, event: wire.Event) -> None:
        if isinstance(event, wire.JobAccepted):
            self._keys[event.job] = event.key
        if isinstance(event, _BY_KEY):
            key: str | None = event.key
        elif isinstance(event, _BY_JOB):
            own = getattr(event, "key", None)
            key = own if own is not None else self._keys.get(event.job or "")
        else:
            self._connection(event)
            return
        if key in self._waiting:
            mine = self._waiting[key]
            for old in [old for old in mine if _supersedes(event, old)]:
                mine.remove(old)
            mine.append(event)

    def _connection(self, event: wire.Event) -> None:
        match event:
            case wire.ServerStarting():
                self._say("Starting the server …")
            case wire.Connected():
                if self._away:
                    self._say("The server is back.")
                self._connected, self._away = True, False
            case wire.Disconnected():
                if self._connected and not self._away:
                    self._away = True
                    self._say(f"{event.reason} Trying again; no accepted job is lost.")
                if not self._start_failed:
                    self._last_reason = event.reason
            case wire.Refused():
                raise RemoteError.of(event.error)
            case wire.ServerStartFailed():
                # Somebody else may have started one in the same moment: a short wait tells.
                self._last_reason, self._start_failed = event.text, True
                self._give_up_at = min(self._give_up_at, time.monotonic() + _AFTER_FAILED_START)
            case wire.ClientFailed():
                raise RemoteError(event.text)
            case _:
                pass

    def _check_patience(self) -> None:
        if not self._connected and time.monotonic() >= self._give_up_at:
            raise RemoteError(f"{self._last_reason} Look with: pgc-server status")


def _supersedes(event: wire.Event, old: wire.Event) -> bool:
    """Whether a later event makes an earlier one worthless, so that a run that nobody looks at needs no memory."""
    match event, old:
        case (wire.JobProgress(), wire.JobProgress()) | (wire.JobShapePreview(), wire.JobShapePreview()):
            return True
        case wire.JobPreview(), wire.JobPreview():
            return (event.map, event.tile) == (old.map, old.tile)
        case _:
            return False
