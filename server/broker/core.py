# SPDX-License-Identifier: Apache-2.0
"""The broker's logic: messages in, messages out, and no socket, file, thread or clock of its own.

`server.broker.loop` calls it from one thread; all that it does to the world goes through `Ports`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from blender_addon.protocol.codec import Envelope, decode
from blender_addon.protocol.errors import ErrorCode, ProtocolError, Retry, WireError
from blender_addon.protocol.messages import (
    Attach,
    BlobPut,
    BlobQuery,
    Bye,
    Cancel,
    Credit,
    Detach,
    Drain,
    Error,
    FreeGpu,
    Get,
    Hello,
    ListJobs,
    Metrics,
    Pause,
    Ping,
    Pong,
    Reject,
    Reorder,
    ResultAck,
    Resume,
    Status,
    Submit,
    Welcome,
)
from blender_addon.protocol.specs.offers import maps_of_version, models_of_version
from blender_addon.protocol.version import PROTOCOL_MAJOR, PROTOCOL_MINOR
from server.broker import refusals
from server.broker.children import Children
from server.broker.ports import Address, Buffer, Channel
from server.broker.scheduling.controls import Controls, server_name
from server.broker.scheduling.lifecycle import Lifecycle
from server.broker.scheduling.lists import Lists
from server.broker.scheduling.runner import Runner
from server.broker.scheduling.submissions import Submissions
from server.broker.sessions.auth import AllowedClient
from server.broker.sessions.sessions import Session
from server.broker.state import BrokerState, Request
from server.broker.supervision.departures import Departures
from server.broker.supervision.supervisor import Supervisor
from server.broker.supervision.validation import Validation
from server.broker.transfers.downloads import Downloads
from server.broker.transfers.feeds import Feeds
from server.broker.transfers.uploads import Uploads
from server.children.messages import ROLE_GATE, ROLE_WORKER
from server.storage.blobs import BlobStore
from server.unwrapper import offered_maps

_LOG = logging.getLogger(__name__)
_JUMP_SECONDS = 5.0
"""A longer pause between two ticks, on either clock, means that the machine slept or was stopped."""


class BrokerCore:
    """The broker's logic: it takes messages, and acts by its ports. `bulk_port`: told in WELCOME."""

    def __init__(self, state: BrokerState, store: BlobStore, bulk_port: int = 0) -> None:
        self.state = state
        self._bulk_port = bulk_port
        self._maps = offered_maps()
        self.feeds = Feeds(state)
        self.supervisor = Supervisor(state)
        self.uploads = Uploads(state, store)
        self.downloads = Downloads(state, store)
        lifecycle = Lifecycle(state, self.feeds)
        self.runner = Runner(state, self.supervisor, lifecycle, store)
        self._validation = Validation(state, self.supervisor)
        self.submissions = Submissions(state, self._validation.check, self.runner.assign)
        self._lists = Lists(state)
        self.controls = Controls(state, self.supervisor, lifecycle, self.runner, self.drain, self._lists)
        self.departures = Departures(state, self.uploads, self.controls.end)
        self._children = Children(state, self.supervisor, self.runner, self._validation, lifecycle)
        self.child_received = self._children.received
        self._last_tick = (state.ports.now(), state.ports.wall())
        handlers: dict[Channel, Mapping[type, Callable[[Request, Any], None]]] = {
            Channel.CTL: {
                Submit: self.submissions.submit,
                Attach: self.feeds.attach,
                Detach: self.feeds.detach,
                Cancel: self.controls.cancel,
                Pause: self.controls.pause,
                Resume: self.controls.resume,
                Reorder: self.controls.reorder,
                ResultAck: self.controls.acknowledge,
                ListJobs: self.controls.list_jobs,
                Status: self.controls.status,
                Metrics: self.controls.metrics,
                FreeGpu: self.controls.free_gpu,
                Drain: self.controls.drain,
            },
            Channel.BULK: {
                BlobQuery: self.uploads.query,
                BlobPut: self.uploads.put,
                Get: self.downloads.get,
                Credit: lambda request, message: self.feeds.credit(request.session, message),
            },
        }
        self._handlers = handlers

    # Start and end

    def start(self) -> None:
        """Starts the gate, and a worker where there is work or it is to be warm."""
        self.supervisor.ensure(ROLE_GATE, 0)
        if self.state.config.prewarm:
            self.supervisor.ensure(ROLE_WORKER, 0)
        self.runner.assign()

    def drain(self) -> None:
        """Takes no more jobs, has the running ones saved, and ends all children."""
        if self.state.draining:
            return
        _LOG.info("draining")
        self.state.draining = True
        for child in self.supervisor.children():
            self.supervisor.stop(child, self.state.config.supervision.drain_limit)

    def is_drained(self) -> bool:
        """Says whether nothing is left to wait for."""
        return self.state.draining and not self.supervisor.children() and not len(self.runner)

    # Messages

    def received(self, address: Address, frames: Sequence[Buffer]) -> None:
        """Handles the frames of a client, without the routing id. Whatever they are, there is an answer."""
        self.state.metrics.count("messages_received")
        try:
            envelope = decode(frames, of_client=True)
        except ProtocolError as error:
            self.state.metrics.count("messages_refused")
            self.state.refuse(address, error.error, error.re)
            return
        if address.user not in self.state.clients:
            self.state.refuse(address, refusals.refused_user(), envelope.id)
            self.state.ports.cut(address)
            return
        try:
            self._dispatch(address, envelope)
        except Exception as error:  # noqa: BLE001 - one message must not end the broker; the log has it whole
            self.state.refuse(address, self.state.fault(f"message {envelope.message.TYPE}", error), envelope.id)

    def _dispatch(self, address: Address, envelope: Envelope) -> None:
        message = envelope.message
        if isinstance(message, Hello):
            self._hello(address, envelope, message)
            return
        session = self.state.sessions.find(address, envelope.session)
        if session is not None:
            session.last_seen = self.state.ports.now()
        if isinstance(message, Ping) and (session is not None or envelope.session is None):
            self.state.send(address, Pong(message.n), envelope.id)
        elif session is None:
            self.state.refuse(address, refusals.session_unknown(), envelope.id)
        elif isinstance(message, Bye):
            self._drop(session)
        else:
            handler = self._handlers[address.channel].get(type(message))
            if handler is None:
                self.state.refuse(address, refusals.not_for_clients(message.TYPE), envelope.id)
            else:
                handler(Request(session, address, envelope), message)

    def _hello(self, address: Address, envelope: Envelope, message: Hello) -> None:
        minors = [minor for major, minor in message.protocols if major == PROTOCOL_MAJOR and minor >= 0]
        if not minors:
            self.state.send(address, Reject(_version_error(message)), envelope.id)
            return
        if address.channel is Channel.BULK:
            session = self.state.sessions.bind_bulk(message.session, address)
            if session is None:
                self.state.send(address, Error(refusals.session_unknown()), envelope.id)
                return
        else:
            session, gone = self.state.sessions.open(address, self.state.ports.now())
            for other in gone:
                self._left(other)
        session.minor = min(PROTOCOL_MINOR, max(minors))
        welcome = Welcome(
            protocol=(PROTOCOL_MAJOR, session.minor),
            server=server_name(),
            session=session.sid,
            bulk_port=self._bulk_port,
            limits=self.state.limits,
            models=models_of_version(self.state.models, session.minor),
            devices=self.state.devices,
            jobs=self._lists.of(address.user) if address.channel is Channel.CTL else (),
            draining=self.state.draining,
            maps=maps_of_version(self._maps, session.minor),
        )
        self.state.send(address, welcome, envelope.id)

    # Connections

    def unreachable(self, address: Address) -> None:
        """Takes note that the connection is gone, or takes nothing more."""
        session = self.state.sessions.at(address)
        if session is None:
            return
        if address.channel is Channel.CTL:
            self._drop(session)
        else:
            self.state.sessions.unbind(session)
            self.downloads.left(session.sid)

    def _drop(self, session: Session) -> None:
        self.state.sessions.drop(session)
        self._left(session)

    def _left(self, session: Session) -> None:
        self.feeds.left(session)
        self.downloads.left(session.sid)

    def set_clients(self, clients: dict[str, AllowedClient]) -> None:
        """Takes over a new allow-list. Who is not on it any more is not heard any more; see
        `server.broker.supervision.departures`.
        """
        self.state.clients = clients
        for session in self.state.sessions:
            if session.user not in clients:
                self.departures.leave(session)
                self._drop(session)

    # Time

    def turn(self) -> None:
        """Sends what waited for a connection to take it, once a turn of the loop."""
        self.downloads.pump()
        self.feeds.pump_all()

    def tick(self) -> None:
        """Does what is due by now; called about ten times a second."""
        now, wall = self.state.ports.now(), self.state.ports.wall()
        if max(now - self._last_tick[0], abs(wall - self._last_tick[1])) > _JUMP_SECONDS:
            _LOG.info("the clock jumped: deadlines count from now")
            self.state.metrics.count("clock_jumps")
            self.state.sessions.rearm(now)
            self.supervisor.rearm(now)
            self.runner.rearm(now)
        self._last_tick = (now, wall)
        for session in self.state.sessions.silent(now):
            self.state.metrics.count("sessions_dropped")
            self._drop(session)
        self.supervisor.tick(now)
        self._validation.tick(now)
        self.runner.tick(now)
        self.uploads.tick(now)
        self.departures.tick(now)


def _version_error(message: Hello) -> WireError:
    majors = sorted({major for major, _minor in message.protocols})
    newer = bool(majors) and majors[0] > PROTOCOL_MAJOR
    text = f"The client speaks protocol {majors}, this server {PROTOCOL_MAJOR}.{PROTOCOL_MINOR}."
    hint = "Update the server." if newer else "Update the add-on."
    return WireError(ErrorCode.PROTO_VERSION, Retry.CHANGED, text, field="protocols", hint=hint)
