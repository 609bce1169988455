# SPDX-License-Identifier: GPL-3.0-or-later
"""The one client of this Blender, and the server that was started for it. Main thread only."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..client import Client, Event, ServerStarter
from ..local_server.reach import StarterWatch, may_connect
from ..model.preview_frames import FrameComposer
from ..model.problems import broken_problem
from ..model.reducer import Follow, SendCancel
from ..model.state import AppState, ServerState

__all__ = ["ServerLink"]


class ServerLink:
    """The way to the server. There is no client before the first need, and none where Blender may not go online.

    Args:
        connection: gives the place of the connection file, which the preferences may change.
    """

    def __init__(self, state: AppState, connection: Callable[[], Path]) -> None:
        self._state, self._connection = state, connection
        self._starter = StarterWatch(state, connection)
        self.client: Client | None = None

    def connect(self) -> Client | None:
        """Returns the client, made at the first need; None where Blender may not go online and the server is
        elsewhere.
        """
        if self.client is None and may_connect(self._state, self._connection()):
            self.client = Client(self._connection(), prepare=FrameComposer())
            if self._state.server.state is ServerState.REFUSED:
                # Leave was given meanwhile.
                self._forget_server()
        return self.client

    def renew(self) -> Client | None:
        """Returns a new client: after a defect, or for another connection file."""
        self.hang_up()
        self._forget_server()
        return self.connect()

    def hang_up(self) -> None:
        """Ends the client's thread; jobs go on on the server."""
        if self.client is not None:
            self.client.close()
            self.client = None

    def start_server(self, starter: ServerStarter) -> bool:
        """Makes a server come up, which `look` watches; returns whether a client that has ended must be renewed.

        Raises OSError where not even that works.
        """
        self._starter.start(starter)
        return self.client is not None and not self.client.alive

    def look(self) -> None:
        """Looks at each turn whether a server that was started has come up, or has failed to."""
        self._starter.look()

    def close(self) -> None:
        """Lets go of a starter; the server stays."""
        self._starter.close()

    def next_event(self) -> Event | None:
        """Returns what the server said next, if it said something."""
        return None if self.client is None else self.client.events.get(timeout=0.0)

    def ask(self, effect: SendCancel | Follow) -> None:
        """Sends a cancel, or follows a job."""
        if self.client is None:
            return
        if isinstance(effect, SendCancel):
            self.client.cancel(effect.job)
        else:
            self.client.attach(effect.job)

    def list_jobs(self) -> None:
        """Asks what can be fetched again."""
        if self.client is not None:
            self.client.list_jobs()

    def watch(self) -> None:
        """Tells the panel where the client's thread has ended."""
        server = self._state.server
        if self.client is not None and not self.client.alive and server.state is not ServerState.BROKEN:
            server.state, server.problem = ServerState.BROKEN, broken_problem("its thread has ended")
            self._state.changed()

    def _forget_server(self) -> None:
        self._state.server.state, self._state.server.problem = ServerState.UNKNOWN, None
        self._state.changed()
