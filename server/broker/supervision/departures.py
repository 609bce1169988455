# SPDX-License-Identifier: Apache-2.0
"""A machine that is taken off the allow-list: its connections are cut, its jobs end, its uploads go."""

from __future__ import annotations

import logging
from collections.abc import Callable

from blender_addon.protocol.messages import Reject
from server.broker import refusals
from server.broker.sessions.sessions import Session
from server.broker.state import BrokerState
from server.broker.transfers.uploads import Uploads
from server.storage.jobs import Job

__all__ = ["GRACE_SECONDS", "Departures"]

_LOG = logging.getLogger(__name__)
GRACE_SECONDS = 5.0
"""Its jobs live on for so long, should its entry only be written anew, or be taken off by mistake."""
_LOOK_SECONDS = 1.0
_WHY = "The machine that sent this job was taken off the server's list."


class Departures:
    """Args: end: cancels a job, and says why; what it made is kept like that of any cancelled job.

    Attributes:
        is_sure: whether who is missing on the list was taken off. Nothing ends while that cannot be told.
    """

    def __init__(self, state: BrokerState, uploads: Uploads, end: Callable[[Job, str], None]) -> None:
        self._state = state
        self._uploads = uploads
        self._end = end
        self._gone: dict[str, float] = {}
        self._next_look = state.ports.now()
        self.is_sure = False

    def leave(self, session: Session) -> None:
        """Tells the client of a session why, and ends its connections."""
        self._state.send(session.ctl, Reject(refusals.refused_user()))
        for address in (session.ctl, session.bulk):
            if address is not None:
                self._state.ports.cut(address)

    def tick(self, now: float) -> None:
        """Ends what belongs to nobody on the list any more, in the end."""
        if now < self._next_look or not self.is_sure:
            return
        self._next_look = now + _LOOK_SECONDS
        open_jobs = [job for job in self._state.jobs.values() if not (job.row.is_terminal or job.row.cancelling)]
        absent = {job.row.user for job in open_jobs} | self._uploads.users()
        absent -= self._state.clients.keys()
        self._gone = {user: self._gone.get(user, now) for user in absent}
        for user in [user for user, since in self._gone.items() if now - since >= GRACE_SECONDS]:
            jobs = [job for job in open_jobs if job.row.user == user]
            _LOG.warning("a machine that was taken off the list leaves %d jobs, which end", len(jobs))
            for job in jobs:
                self._end(job, _WHY)
            self._uploads.forget(user)
