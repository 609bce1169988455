# SPDX-License-Identifier: Apache-2.0
"""Jobs before the gate, one at a time, so that it is clear which one a gate died of.

Users take turns: however many jobs one of them sends, another's waits for one check at most before its own.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from blender_addon.protocol.errors import ErrorCode, Retry, WireError
from server.broker import refusals
from server.broker.state import BrokerState
from server.broker.supervision.supervisor import Child, Supervisor
from server.children.messages import ROLE_GATE, GateVerdict, Validate

_TRIES = 2
_SILENT_SECONDS = 10.0
_CRASHES = frozenset({"SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE"})
_AGAIN = "Send the job again; where only this one does it, send less, or simpler, geometry."


@dataclass
class _Check:
    job: str
    verdict: Callable[[WireError | None], None]
    user: str
    turn: int
    """Lower ones go first: a user's first job gets the turn that is on, each further one the next."""
    tries: int = 0
    started: float | None = None
    timed_out: bool = False
    """It took too long though the gate was alive, which is the job's own doing."""
    silent: bool = False
    """The gate gave no sign of life while it should have looked at it."""


class Validation:
    """The line of jobs before the gate."""

    def __init__(self, state: BrokerState, supervisor: Supervisor) -> None:
        self._state = state
        self._supervisor = supervisor
        self._line: deque[_Check] = deque()
        self._turn = 0
        supervisor.listen(ROLE_GATE, self)

    def check(self, job: str, user: str, verdict: Callable[[WireError | None], None]) -> None:
        """Lets the gate look at a user's job; `verdict` gets None, or what is wrong with it."""
        own = [check.turn + 1 for check in self._line if check.user == user]
        check = _Check(job, verdict, user, max([self._turn, *own]))
        at = next((at for at, other in enumerate(self._line) if other.turn > check.turn), len(self._line))
        self._line.insert(at, check)
        self._go_on()

    def _go_on(self) -> None:
        if not self._line or self._line[0].started is not None:
            return
        if self._state.draining:
            self._refuse_all(refusals.draining())
            return
        if not self._supervisor.ensure(ROLE_GATE, 0):
            self._refuse_all(refusals.busy("The server cannot check jobs at the moment."))
            return
        gate = self._supervisor.child(ROLE_GATE, 0)
        if gate is not None and gate.is_ready:
            first = self._line[0]
            first.started = self._state.ports.now()
            first.tries += 1
            self._turn = first.turn
            self._supervisor.send(gate, Validate(first.job))

    def _refuse_all(self, error: WireError) -> None:
        while self._line:
            self._line.popleft().verdict(error)

    def decided(self, child: Child, message: GateVerdict) -> None:
        """Takes the gate's answer. One for a job that is not the first in line is late, and ignored."""
        if not self._line or self._line[0].job != message.job or self._line[0].started is None:
            return
        child.useful = True
        check = self._line.popleft()
        if message.ok:
            check.verdict(None)
        else:
            check.verdict(message.error or refusals.invalid(None, "The job was refused without a reason."))
        self._go_on()

    def child_ready(self, child: Child) -> None:
        """Goes on with the line, since a gate is ready."""
        self._go_on()

    def child_lost(self, child: Child, code: int | None) -> None:
        """Handles the death of the gate. In the same job twice: it is refused, with what happened."""
        if self._line and self._line[0].started is not None:
            first = self._line[0]
            first.started = None
            if first.timed_out or first.tries >= _TRIES:
                self._line.popleft()
                child.useful = True
                first.verdict(
                    gate_failed(first.timed_out, first.silent, code, self._state.config.supervision.gate_limit)
                )
        self._go_on()

    def tick(self, now: float) -> None:
        """Starts a gate that is not there again; a job that takes too long costs it its life."""
        if not self._state.draining:
            self._supervisor.ensure(ROLE_GATE, 0)
        limit = self._state.config.supervision.gate_limit
        gate = self._supervisor.child(ROLE_GATE, 0)
        first = self._line[0] if self._line else None
        if first is None:
            return
        overdue = first.started is not None and now - first.started > limit
        if overdue and not first.timed_out and gate is not None and gate.reason is None:
            # It beats in a thread of its own, also while it is busy. A stopped process does not.
            first.silent = now - gate.last_beat > _SILENT_SECONDS
            first.timed_out = not first.silent
            self._supervisor.kill(gate, f"a job took more than {limit:g} s to check")
        self._go_on()


def gate_failed(timed_out: bool, silent: bool, code: int | None, limit: float) -> WireError:
    """Says what became of a gate that gave no verdict. `code`: of its end; below 0 the signal that ended it."""
    if timed_out:
        text = f"The job's data could not be checked within {limit:g} s. Send less, or simpler, geometry."
        return refusals.invalid(None, text)
    if silent:
        text = f"The process that checks jobs gave no sign of life for {limit:g} s, twice: it was stopped, or hangs."
        return WireError(ErrorCode.WORKER_STALLED, Retry.LATER, text, hint=_AGAIN)
    name = _signal(code)
    if name in _CRASHES:
        text = f"The job's data made the process that checks it crash ({name}), twice."
        hint = "Please report it; other geometry may pass."
        return WireError(ErrorCode.INPUT_INVALID, Retry.CHANGED, text, hint=hint)
    how = f"was ended by a signal ({name})" if name else f"ended with exit code {code}"
    text = f"The process that checks jobs {how} while it looked at this one, twice."
    return WireError(ErrorCode.WORKER_LOST, Retry.LATER, text, hint=_AGAIN)


def _signal(code: int | None) -> str:
    if code is None or code >= 0:
        return ""
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
