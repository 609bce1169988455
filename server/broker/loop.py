# SPDX-License-Identifier: Apache-2.0
"""The broker's one thread: sockets, what other threads have finished, and time, in turns of a few milliseconds.

In each turn control goes first, then children, control again, and only then a few messages of the bulk channel: a
client that sends a mesh of a gigabyte cannot delay another one's PING. Nothing here waits for a disk.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import zmq

from blender_addon.protocol.codec import Envelope, encode
from blender_addon.protocol.errors import ProtocolError
from blender_addon.protocol.messages import Error
from server.broker import refusals
from server.broker.calls import Calls
from server.broker.core import BrokerCore
from server.broker.descriptors import Room, patient
from server.broker.intake import Intake, Way
from server.broker.ports import Address, Channel, Done
from server.broker.sessions.auth import CHILD_DOMAIN, CLIENT_DOMAIN, KeyPair, ZapHandler, new_key_pair
from server.broker.sessions.channels import BULK, BULK_GUARD, CHILD, CTL, CTL_GUARD
from server.broker.sessions.door import Change, Door
from server.broker.sessions.sockets import Received, Router
from server.broker.sessions.tcp_counts import can_count
from server.children.executor import ChildProcess, Executor
from server.children.messages import ToChild, pack
from server.children.settings import ChildSettings
from server.config import ListenConfig
from server.errors import ListenError, ServerError
from server.storage.journal import Journal
from server.storage.journal_thread import JournalThread

_LOG = logging.getLogger(__name__)
_TICK_SECONDS = 0.1
_RETRY_SECONDS = 0.005
_CTL_PER_TURN, _CHILDREN_PER_TURN, _BULK_PER_TURN = 64, 64, 4
_BUDGET_SECONDS = 0.005
"""For one kind of work in a turn; what is left comes in the next turn, after a look at all the others."""
_MIB = 1 << 20


@dataclass(frozen=True)
class Endpoints:
    """Ports that were bound."""

    ctl_port: int
    bulk_port: int


class Loop:
    """The `Ports` of a real server. `run` returns when `core.is_drained()`.

    Raises:
        ListenError: the address is not there, or the port is taken.
    """

    def __init__(
        self,
        listen: ListenConfig,
        keys: KeyPair,
        executor: Executor,
        room: Room,
        children: ListenConfig | None = None,
    ) -> None:
        """`children`: where gate and workers connect; by default this machine alone."""
        self._executor = executor
        self._context = zmq.Context()
        self._zap = ZapHandler(self._context)
        self._calls = Calls(self._guarded)
        self._pool = ThreadPoolExecutor(3, "disk")
        self._bulk_pool = ThreadPoolExecutor(4, "bulk")
        self._spawn_pool = ThreadPoolExecutor(1, "spawn")
        self._core: BrokerCore | None = None
        self._journal: JournalThread | None = None
        self._spawned: list[ChildProcess] = []
        self._child_keys = new_key_pair()
        counts = can_count()
        if not counts:
            _LOG.info("this system does not count bytes of connections: messages without end are not noticed")
        ctl, bulk = replace(CTL, is_counted=counts), replace(BULK, is_counted=counts)
        self._routers = {
            Channel.CTL: Router(self._context, keys, ctl, lambda rid: self._gone(Channel.CTL, rid)),
            Channel.BULK: Router(self._context, keys, bulk, lambda rid: self._gone(Channel.BULK, rid)),
        }
        changes: queue.SimpleQueue[Change] = queue.SimpleQueue()
        self._door = Door({channel: router.socket for channel, router in self._routers.items()}, room, changes)
        ways = {
            Channel.CTL: Way(self._routers[Channel.CTL], CTL_GUARD),
            Channel.BULK: Way(self._routers[Channel.BULK], BULK_GUARD),
        }
        self._intake = Intake(ways, self._door, changes, self._zap.ban, self.now)
        self._children = Router(self._context, self._child_keys, CHILD, lambda _rid: None)
        self._child_listen = children or ListenConfig()
        try:
            self.endpoints = Endpoints(
                self._routers[Channel.CTL].bind(listen.endpoint(listen.ctl_port)),
                self._routers[Channel.BULK].bind(listen.endpoint(listen.bulk_port)),
            )
            self._child_port = self._children.bind(self._child_listen.endpoint(0))
        except ListenError:
            self.close()
            raise

    def use(self, core: BrokerCore, journal: Journal) -> None:
        """Sets the logic that this loop drives, and its journal, which gets a thread."""
        self._core = core
        self._intake.use(core)
        self._journal = JournalThread(journal, self.call, self._journal_stuck)

    def _journal_stuck(self, stuck: bool) -> None:
        core = self._core
        if core is not None:
            core.state.journal_stuck = stuck

    def allow_clients(self, keys: Sequence[str]) -> None:
        """Sets the public keys with which clients may connect."""
        self._zap.allow(CLIENT_DOMAIN, frozenset(keys))

    # Ports

    def now(self) -> float:
        """Returns monotonic seconds."""
        return time.monotonic()

    def wall(self) -> float:
        """Returns seconds since 1970."""
        return time.time()

    def send(self, address: Address, envelope: Envelope) -> None:
        """Sends, or keeps until the connection takes more; a message that cannot be encoded becomes an error."""
        try:
            frames = encode(envelope)
        except ProtocolError as error:
            _LOG.error("answer %s: %s", envelope.message.TYPE, error)
            frames = encode(
                Envelope(Error(refusals.internal(envelope.id[:12])), envelope.id, envelope.re, envelope.session)
            )
        self._routers[address.channel].send(address.rid, frames)

    def backlog(self, address: Address) -> int:
        """Returns how many bytes wait for this connection."""
        return self._routers[address.channel].backlog(address.rid)

    def cut(self, address: Address) -> None:
        """Ends this connection, soon: what was sent before still goes out."""
        self._door.cut(address)

    def journal(self, operation: Callable[[Journal], Any], done: Done, *, essential: bool = False) -> None:
        """Hands an operation to the journal's thread; see `Ports.journal`."""
        assert self._journal is not None
        self._journal.submit(operation, done, essential=essential)

    def disk(self, work: Callable[[], Any], done: Done, *, bulk: bool = False) -> None:
        """Runs something that takes time in a pool of threads; see `Ports.disk`."""
        self._in_pool(self._bulk_pool if bulk else self._pool, work, done)

    def spawn(self, settings: ChildSettings, done: Callable[[ChildProcess | None, Exception | None], None]) -> None:
        """Starts a child process in a thread and hands it its settings."""

        @patient
        def work() -> ChildProcess:
            process = self._executor.spawn(settings.role, settings.index)
            self._spawned = [*(child for child in self._spawned if child.poll() is None), process]
            try:
                process.stdin.write(json.dumps(settings.as_dict()).encode() + b"\n")
                process.stdin.flush()
            except (OSError, ValueError) as error:  # It died at once; its exit code tells.
                _LOG.warning("%s %d took no settings: %s", settings.role, settings.index, error)
            return process

        self._in_pool(self._spawn_pool, work, done)

    def allow_children(self, keys: Sequence[str]) -> None:
        """Sets the public keys with which child processes may connect."""
        self._zap.allow(CHILD_DOMAIN, frozenset(keys))

    def to_child(self, rid: bytes, message: ToChild) -> None:
        """Sends to a connected child; nothing happens when it is gone."""
        self._children.send(rid, [pack(message)])

    def child_endpoint(self) -> tuple[str, str]:
        """Says where children connect, and that socket's public key."""
        return self._child_listen.endpoint(self._child_port), self._child_keys.public

    # Other threads

    def call(self, function: Callable[[], None]) -> None:
        """Makes the loop's thread call this soon; from any thread."""
        self._calls.put(function)

    def _in_pool(self, pool: ThreadPoolExecutor, work: Callable[[], Any], done: Done) -> None:
        def finished(future: Future[Any]) -> None:
            error = future.exception()
            if error is None:
                result = future.result()
                self.call(lambda: done(result, None))
            else:
                failure = error if isinstance(error, Exception) else ServerError(repr(error))
                self.call(lambda: done(None, failure))

        pool.submit(patient(work)).add_done_callback(finished)

    def _guarded(self, function: Callable[[], None]) -> None:
        try:
            function()
        except Exception as error:  # noqa: BLE001 - one mishap must not end the jobs of everybody; the log has it whole
            assert self._core is not None
            self._core.state.fault("loop", error)

    # The loop

    def run(self, each_tick: Callable[[float], None]) -> None:
        """Serves until drained. `each_tick(now)` is called about ten times a second."""
        assert self._core is not None
        core = self._core
        poller = zmq.Poller()
        for router in (*self._routers.values(), self._children):
            poller.register(router.socket, zmq.POLLIN)
        poller.register(self._calls.fileno(), zmq.POLLIN)
        next_tick = self.now()
        more = False
        while not core.is_drained():
            wait = 0.0 if more else min(max(0.0, next_tick - self.now()), self._intake.wait)
            if any(router.waits() for router in self._routers.values()):
                wait = min(wait, _RETRY_SECONDS)
            poller.poll(int(wait * 1000))
            began = self.now()
            more = self._turn()
            if began >= next_tick:
                next_tick = began + _TICK_SECONDS
                self._guarded(core.tick)
                self._door.tick(began)
                self._guarded(lambda began=began: each_tick(began))
                core.state.metrics.set_total("auth_failures", self._zap.refused)
                core.state.metrics.set_total("turned_away", self._door.turned_away)
            core.state.metrics.turn(self.now() - began)

    def _turn(self) -> bool:
        """One turn; returns whether there is more to do at once."""
        assert self._core is not None
        self._calls.take(self.now() + _BUDGET_SECONDS)
        self._intake.begin()
        more = self._intake.receive(Channel.CTL, _CTL_PER_TURN)
        children = self._children.receive(_CHILDREN_PER_TURN, self.now() + _BUDGET_SECONDS)
        for count, message in enumerate(children, start=1):
            self._guarded(lambda message=message: self._of_child(message))
            more = more or count == _CHILDREN_PER_TURN
        more = self._intake.receive(Channel.CTL, _CTL_PER_TURN) or more
        more = self._intake.receive(Channel.BULK, _BULK_PER_TURN) or more
        more = self._intake.end() or more
        for router in (*self._routers.values(), self._children):
            router.flush()
        self._guarded(self._core.turn)
        if self._door.is_crowded():
            sessions = self._core.state.sessions
            self._door.make_room([address for channel in Channel for address in sessions.of_channel(channel)])
        return more or bool(self._calls)

    def _of_child(self, message: Received) -> None:
        assert self._core is not None
        self._core.child_received(message.user, message.rid, message.frames)

    def _gone(self, channel: Channel, rid: bytes) -> None:
        if self._core is not None:
            self._core.unreachable(Address(channel, rid))

    # The end

    def close(self) -> None:
        """Ends threads, children and sockets; the journal last, with all that waits for it."""
        self._spawn_pool.shutdown()
        for process in self._spawned:
            process.kill()
        self._bulk_pool.shutdown(cancel_futures=True)
        self._pool.shutdown()
        if self._journal is not None:
            self._journal.close()
        while self._calls:  # Last answers go out while the sockets are open.
            self._calls.take(self.now() + _BUDGET_SECONDS)
        self._door.close()
        for router in (*self._routers.values(), self._children):
            router.close()
        self._zap.close()
        self._calls.close()
        self._context.term()
        _LOG.info("ended, process %d", os.getpid())
