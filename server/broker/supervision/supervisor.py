# SPDX-License-Identifier: Apache-2.0
"""Life of the gate and the workers: started with a key of their own, watched by their beats, ended in steps.

A child that dies again and again without having done anything useful is not started any more for a while, and the
server counts as degraded. A child that did something and then died is not held against the installation: what to
think of the job that it ran is the business of `server.broker.scheduling.runner`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from server.broker.sessions.auth import KeyPair, new_key_pair
from server.broker.state import BrokerState
from server.children.executor import ChildProcess
from server.children.messages import ROLE_GATE, Ready, Stop, ToChild
from server.children.settings import ChildSettings
from server.config import Supervision

_LOG = logging.getLogger(__name__)

Slot = tuple[str, int]
"""Role and index."""


@dataclass
class Child:
    """A process, from the decision to start it until its exit code is there.

    Args:
        useful: it has done something, so that its end is not one of an installation that cannot work.
        stopping: its end is wanted; reason: why it was killed, for messages.
        stalled: it was ended because it did not get on, or gave no sign of life.
    """

    role: str
    index: int
    keys: KeyPair
    started: float
    last_beat: float
    process: ChildProcess | None = None
    rid: bytes | None = None
    ready: Ready | None = None
    counter: int = 0
    useful: bool = False
    stopping: bool = False
    terminate_at: float | None = None
    signal_at: float | None = None
    kill_at: float | None = None
    reason: str | None = None
    stalled: bool = False

    @property
    def slot(self) -> Slot:
        """The child's role and number."""
        return self.role, self.index

    @property
    def is_ready(self) -> bool:
        """Whether the child has said that it is ready, and is not about to end."""
        return self.ready is not None and not self.stopping and self.reason is None


class Listener(Protocol):
    """Who wants to know of a role's children."""

    def child_ready(self, child: Child) -> None:
        """Takes note that a child of the role is ready."""
        ...

    def child_lost(self, child: Child, code: int | None) -> None:
        """Takes note that a child of the role has ended, with its exit code."""
        ...


class Supervisor:
    """All children. `listen` before anything is started."""

    def __init__(self, state: BrokerState, key_maker: Callable[[], KeyPair] = new_key_pair) -> None:
        self._state = state
        self._key_maker = key_maker
        self._listeners: dict[str, Listener] = {}
        self._children: dict[Slot, Child] = {}
        self._by_key: dict[str, Child] = {}
        self._failures: dict[Slot, deque[float]] = {}

    def listen(self, role: str, listener: Listener) -> None:
        """Sets who hears of the children of a role."""
        self._listeners[role] = listener

    def child(self, role: str, index: int) -> Child | None:
        """Returns the child of this role and number; None where it was not started."""
        return self._children.get((role, index))

    def children(self) -> list[Child]:
        """Returns all children that are there."""
        return list(self._children.values())

    def by_key(self, key: str) -> Child | None:
        """Returns the child with this public key, if it is one that still counts."""
        return self._by_key.get(key)

    def degraded(self, role: str, index: int) -> bool:
        """Says whether this child failed so often that it is not started for now."""
        now, limits = self._state.ports.now(), self._state.config.supervision
        failures = self._failures.get((role, index), deque())
        while failures and now - failures[0] > limits.respawn_window:
            failures.popleft()
        return len(failures) > limits.respawns

    def ensure(self, role: str, index: int) -> bool:
        """Starts the child unless it is there; returns whether it is, or comes."""
        if (role, index) in self._children:
            return True
        if self.degraded(role, index):
            return False
        now = self._state.ports.now()
        child = Child(role, index, self._key_maker(), now, now)
        self._children[child.slot] = child
        self._by_key[child.keys.public] = child
        if self._failures.get(child.slot):
            self._state.metrics.count("respawns")
        ports = self._state.ports
        ports.allow_children(tuple(self._by_key))
        endpoint, server_public = ports.child_endpoint()
        config = self._state.config
        settings = ChildSettings(
            endpoint=endpoint,
            server_public=server_public,
            own_public=child.keys.public,
            own_secret=child.keys.secret,
            role=role,
            index=index,
            data_dir=str(config.paths.root),
            device="cpu" if role == ROLE_GATE else config.device,
            rasterizer=config.rasterizer,
            checkpoint_seconds=config.checkpoint_seconds,
            low_priority=config.low_priority,
        )
        ports.spawn(settings, lambda process, error: self._spawned(child, process, error))
        return True

    def _spawned(self, child: Child, process: ChildProcess | None, error: Exception | None) -> None:
        if process is None:
            _LOG.error("%s %d cannot be started: %s", child.role, child.index, error)
            self._gone(child, None)
            return
        child.process = process
        child.started = child.last_beat = self._state.ports.now()
        _LOG.info("%s %d started, process %d", child.role, child.index, process.pid)
        if child.stopping or child.reason is not None:  # Asked for meanwhile.
            self.kill(child, child.reason or "not needed any more")

    def heard(self, child: Child, rid: bytes) -> None:
        """Takes any message of a child as a sign of life."""
        child.rid = rid
        child.last_beat = self._state.ports.now()

    def ready(self, child: Child, message: Ready) -> None:
        """Handles the first message of a child."""
        if child.ready is None:
            child.ready = message
            if child.is_ready:
                self._listeners[child.role].child_ready(child)

    def send(self, child: Child, message: ToChild) -> None:
        """Sends to a child; nothing happens before its first message came."""
        if child.rid is not None:
            self._state.ports.to_child(child.rid, message)

    def stop(self, child: Child, patience: float) -> None:
        """Asks a child to end by itself; `patience` seconds later the system ends it, first by a signal, then
        by force.
        """
        if child.stopping:
            return
        child.stopping = True
        child.terminate_at = self._state.ports.now() + patience
        if child.ready is None:
            self.kill(child, "stopped before it was ready")
        else:
            self.send(child, Stop())

    def terminate(self, child: Child, reason: str) -> None:
        """Ends a child: its stacks into its log, the system's signal, and soon after force."""
        child.terminate_at = None
        if child.signal_at is None and child.kill_at is None:
            self._dump(child, reason)
            child.signal_at = self._state.ports.now() + self._state.config.supervision.stack_dump

    def end_hung(self, child: Child, reason: str) -> None:
        """Ends a child that would heed no signal: its stacks into its log, then force."""
        if child.kill_at is None:
            child.stalled = child.stalled or child.reason is None
            self._dump(child, reason)
            child.kill_at = self._state.ports.now() + self._state.config.supervision.stack_dump

    def _dump(self, child: Child, reason: str) -> None:
        child.reason = child.reason or reason
        where = f"{child.role}-{child.index}.stderr"
        _LOG.warning("%s %d: %s; %s shows what it does", child.role, child.index, child.reason, where)
        if child.process is not None and child.ready is not None:
            child.process.dump_stacks()

    def _signal(self, child: Child, now: float) -> None:
        child.signal_at = None
        child.kill_at = now + self._state.config.supervision.cancel_kill
        _LOG.warning("%s %d is told to end: %s", child.role, child.index, child.reason)
        if child.process is not None:
            child.process.stop()

    def kill(self, child: Child, reason: str) -> None:
        """Ends a child by force."""
        child.reason = child.reason or reason
        _LOG.warning("%s %d is killed: %s", child.role, child.index, child.reason)
        if child.process is not None:
            child.process.kill()

    def tick(self, now: float) -> None:
        """Looks after all children: who has ended, who has to."""
        for child in self.children():
            if child.process is None:
                continue
            code = child.process.poll()
            if code is not None:
                self._gone(child, code)
            else:
                self._watch(child, now)

    def _watch(self, child: Child, now: float) -> None:
        limits = self._state.config.supervision
        if child.kill_at is not None and now >= child.kill_at:
            child.kill_at = now + limits.cancel_kill  # Once more, should it ever be needed.
            self.kill(child, "it did not end")
        elif child.signal_at is not None and now >= child.signal_at:
            self._signal(child, now)
        elif child.terminate_at is not None and now >= child.terminate_at:
            self.terminate(child, "it did not end by itself")
        elif child.reason is not None:
            return
        elif child.ready is None and now - child.started > _start_limit(child, limits):
            self.kill(child, f"it was not ready within {_start_limit(child, limits):g} s")
        elif child.ready is not None and now - child.last_beat > limits.beat_limit:
            self.end_hung(child, f"no sign of life for {limits.beat_limit:g} s")

    def _gone(self, child: Child, code: int | None) -> None:
        self._children.pop(child.slot, None)
        self._by_key.pop(child.keys.public, None)
        self._state.ports.allow_children(tuple(self._by_key))
        _LOG.info("%s %d has ended, exit code %s", child.role, child.index, code)
        if not child.stopping and not child.useful:
            self._failures.setdefault(child.slot, deque()).append(self._state.ports.now())
        if child.process is not None:
            child.process.stdin.close()
        self._listeners[child.role].child_lost(child, code)

    def rearm(self, now: float) -> None:
        """Counts silence from now on, since the machine slept: nobody is to blame for it."""
        for child in self.children():
            child.last_beat = now
            child.started = max(child.started, now) if child.ready is None else child.started


def _start_limit(child: Child, limits: Supervision) -> float:
    """Returns the seconds that a child may take until it is ready."""
    return limits.gate_start_limit if child.role == ROLE_GATE else limits.start_limit
