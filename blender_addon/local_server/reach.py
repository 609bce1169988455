# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether Blender may talk to the server, and whether one that was started comes up."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from pathlib import Path

import bpy

from ..client import ConnectionFileError, ServerAddress, ServerStarter
from ..model.problems import offline_problem, start_problem
from ..model.reducer import start_failed
from ..model.state import AppState, ServerState

__all__ = ["StarterWatch", "is_loopback", "may_connect"]

_START_LIMIT = 30.0
"""Seconds after the start command has ended until a server that nobody sees counts as failed."""


class StarterWatch:
    """A server that was started must come up, or the panel says why not.

    Args:
        connection: gives the place of the connection file, which the preferences may change.
    """

    def __init__(self, state: AppState, connection: Callable[[], Path]) -> None:
        self._state, self._connection = state, connection
        self._starter: ServerStarter | None = None
        self._ended_at: float | None = None

    def start(self, starter: ServerStarter) -> None:
        """Makes a server come up. Raises OSError where not even that works."""
        starter.start()
        self.close()
        self._starter, self._ended_at = starter, None
        self._state.server.state, self._state.server.problem = ServerState.STARTING, None
        self._state.changed()

    def look(self) -> None:
        """Looks at each turn whether the server has come up, or has failed to."""
        if self._starter is None or self._state.server.state is not ServerState.STARTING:
            return
        failure = self._starter.failure()
        if failure is not None:
            start_failed(self._state, failure)
        elif not self._starter.running:
            self._ended_at = self._ended_at or time.monotonic()
            if time.monotonic() - self._ended_at > _START_LIMIT:
                server = self._state.server
                server.state = ServerState.ABSENT
                server.problem = start_problem(f"The server was started, but did not write {self._connection()}")
                self._state.changed()

    def close(self) -> None:
        """Lets go of the starter; the server stays."""
        if self._starter is not None:
            self._starter.close()
            self._starter = None


def may_connect(state: AppState, connection: Path) -> bool:
    """Says whether a connection is allowed: a server on this machine needs no leave; another machine's does, and the
    panel says so.
    """
    try:
        host = ServerAddress.from_connection_file(connection).host
    except ConnectionFileError:
        return True
    if is_loopback(host) or bpy.app.online_access:
        return True
    state.server.state = ServerState.REFUSED
    problem = offline_problem(host)
    if state.server.problem != problem:
        state.server.problem = problem
        state.changed()
    return False


def is_loopback(host: str) -> bool:
    """Says whether an address is of this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
