# SPDX-License-Identifier: Apache-2.0
"""The client's state machine. Pure: sockets, clocks and files are the thread's; time is handed in.

    WAITING --(the wait is over)--> OPENING --(WELCOME on both channels)--> READY
       ^------------- (loss, refusal, silence, another epoch) -------------'

`take()` gives what the thread is to do: open or close sockets, start a server, send.
"""

from __future__ import annotations

from collections.abc import Callable

from ..protocol.codec import Envelope, request_id
from ..protocol.errors import ErrorCode, ProtocolError, Retry, WireError
from ..protocol.messages import (
    Accepted,
    Bye,
    Error,
    Ping,
    Pong,
    Preview,
    Reject,
    Welcome,
)
from ..protocol.messages import Event as EventMessage
from .events import Connected, Disconnected, Event, Refused, ServerStarting
from .greeting import Greeting
from .jobs import Jobs
from .link import Action, Close, Link, Loss, Open, SessionConfig, StartServer
from .requests import Channel, Port, Send
from .timing import Backoff, Heartbeat, Now
from .transfer.downloads import Downloads
from .transfer.previews import Previews
from .transfer.uploads import Submissions

__all__ = ["Session"]


class Session:
    """One client's side of everything.

    Args:
        emit: takes the events.
        random: numbers in [0, 1), for the jitter.
        may_start: whether a starter is there.
    """

    def __init__(
        self, config: SessionConfig, emit: Callable[[Event], None], random: Callable[[], float], *, may_start: bool
    ) -> None:
        self._config = config
        self._emit = emit
        self._may_start = may_start
        self._backoff = Backoff(config.backoff, random)
        self._actions: list[Action] = []
        self.port = Port(emit)
        self.downloads = Downloads(self.port)
        self.jobs = Jobs(self.port, self.downloads)
        self.previews = Previews(self.port, self.jobs.follows)
        self.submissions = Submissions(self.port, self._accepted, config.upload)
        self.undownloaded: set[str] = set()
        """Keys of submissions whose maps nobody wants to have downloaded."""
        self.link = Link.WAITING
        self._next_try = float("-inf")
        self._open_until = 0.0
        self._greeting: Greeting | None = None
        self._epoch: str | None = None
        self._beats: dict[Channel, Heartbeat] = {}
        self._ping = 0
        self._hangups = 0
        self._last_refusal: WireError | None = None
        self._next_start = self._started_at = float("-inf")

    # What the thread reports.

    def tick(self, now: Now) -> None:
        """Does what is due by now. Call it at `deadline` at the latest, after what came in was handed over."""
        self.port.now = now.mono
        if self.link is Link.WAITING:
            if now.mono >= self._next_try:
                self._open(now.mono)
            return
        if self.link is Link.OPENING and now.mono >= self._open_until:
            self._lost(now.mono, "The server does not answer.")
            return
        if self.link is Link.READY:
            self._beat(now.mono)
            self.submissions.tick(now.mono)
            self.port.resend_overdue()

    def received(self, channel: Channel, envelope: Envelope, now: Now) -> None:
        """Handles a message that came in."""
        self.port.now = now.mono
        if self.link is Link.WAITING:
            return
        if channel in self._beats:
            self._beats[channel].heard(now.mono)
        if self._greeting is not None and self._greeting.awaits(envelope):
            self._greeted(self._greeting, envelope, now.mono)
        elif self.link is Link.READY and envelope.epoch not in (None, self._epoch):
            self._lost(now.mono, "The server was started again.", at_once=True)
        else:
            self._dispatch(envelope, now.mono)

    def lost(self, loss: Loss, now: Now, reason: str = "") -> None:
        """Takes note that the sockets saw that nobody is there, or that the connection ended."""
        self.port.now = now.mono
        if self.link is Link.WAITING:
            return
        match loss:
            case Loss.AUTH:
                self._refused(_wrong_key("The server does not know this client's key."), now.mono)
            case Loss.HANDSHAKE:
                self._hangups += 1
                if self._hangups >= self._config.handshake_tries:
                    self._refused(_wrong_key("The server hangs up: its key is not the one expected."), now.mono)
                else:
                    self._lost(now.mono, "The server hung up during the handshake.")
            case Loss.NOBODY | Loss.UNUSABLE:
                self._lost(now.mono, reason or "No server answers.", absent=loss is Loss.NOBODY)
                self._start(now.mono)
            case Loss.CLOSED:
                self._lost(now.mono, reason or "The server closed the connection.")

    def damaged(self, error: ProtocolError, now: Now) -> None:
        """Ends the connection over bytes that are no message of the protocol: it cannot be trusted any more."""
        self.port.now = now.mono
        # A message that a later minor version has brought is none of ours, but no damage either.
        if self.link is not Link.WAITING and error.error.code is not ErrorCode.PROTO_UNKNOWN_TYPE:
            self._lost(now.mono, f"The server sent what is no message: {error.error.text}")

    def unsendable(self, envelope: Envelope, error: ProtocolError, now: Now) -> None:
        """Answers a request of ours that is too large for the wire: its owner gets the error as the answer."""
        self.port.now = now.mono
        self.port.answered(Envelope(message=Error(error=error.error), id=request_id(), re=envelope.id))

    def gap(self, now: Now) -> None:
        """Asks the server and waits once more, since nothing ran for a while (a laptop's sleep): silence in it proves
        nothing.
        """
        self.port.now = now.mono
        for beat in self._beats.values():
            beat.probe(now.mono)
        self._open_until = max(self._open_until, now.mono + self._config.open_limit)
        self._backoff.reset()
        self._next_try = min(self._next_try, now.mono)

    def address_changed(self, now: Now) -> None:
        """Tries again at once, since the connection file is another one: a server was started."""
        self.port.now = now.mono
        self._backoff.reset()
        self._hangups = 0
        self._last_refusal = None
        self._next_try = now.mono

    def goodbye(self) -> None:
        """Says goodbye to the server, since the owner closes the client."""
        self.port.tell(Channel.CTL, Bye())

    def take(self) -> list[Action]:
        """Returns what is to be done, in order, and empties the list."""
        taken = [*self._actions, *self.port.take()]
        self._actions.clear()
        return taken

    @property
    def deadline(self) -> float:
        """When `tick` has something to do, on the monotonic clock."""
        match self.link:
            case Link.WAITING:
                return self._next_try
            case Link.OPENING:
                return self._open_until
            case Link.READY:
                beats = [beat.deadline for beat in self._beats.values()]
                retry = self.submissions.deadline
                return min([*beats, *([] if retry is None else [retry])])

    # Connection.

    def _open(self, now: float) -> None:
        self.link = Link.OPENING
        self._open_until = now + self._config.open_limit
        self._greeting = Greeting(self._config.client)
        self._actions += [Open(), self._greeting.begin()]

    def _greeted(self, greeting: Greeting, envelope: Envelope, now: float) -> None:
        outcome = greeting.answered(envelope)
        match outcome:
            case Send():
                self._actions.append(outcome)
            case Welcome():
                self._ready(outcome, envelope.epoch, now)
            case WireError(retry=Retry.NEVER | Retry.CHANGED):
                self._refused(outcome, now)
            case WireError():
                self._lost(now, outcome.text)

    def _ready(self, welcome: Welcome, epoch: str | None, now: float) -> None:
        again = self._epoch is not None and epoch != self._epoch
        self.link, self._epoch = Link.READY, epoch
        self._hangups, self._last_refusal = 0, None
        self._next_start = self._started_at + self._config.restart_wait
        self._backoff.reset()
        self._beats = {channel: Heartbeat(self._config.heartbeat, now) for channel in Channel}
        self._emit(
            Connected(
                server=welcome.server,
                epoch=epoch or "",
                models=welcome.models,
                devices=welcome.devices,
                jobs=welcome.jobs,
                draining=welcome.draining,
                again=again,
                maps=welcome.maps,
                limits=welcome.limits,
            )
        )
        for channel in Channel:
            self.port.opened(channel, welcome.session, epoch)
        self.previews.opened()
        self.submissions.opened(welcome.limits)
        self.jobs.opened()

    def _lost(self, now: float, reason: str, *, at_once: bool = False, absent: bool = False) -> None:
        wait = 0.0 if at_once else self._backoff.wait()
        self._disconnect()
        self._next_try = now + wait
        self._emit(Disconnected(reason, wait, absent))

    def _refused(self, error: WireError, now: float) -> None:
        self._disconnect()
        self._next_try = now + self._config.refused_wait
        if error != self._last_refusal:
            self._last_refusal = error
            self._emit(Refused(error))

    def _disconnect(self) -> None:
        self.link = Link.WAITING
        self._actions.append(Close())
        self._beats.clear()
        self.port.closed()
        self.downloads.closed()
        self.submissions.closed()
        self.jobs.closed()

    def _start(self, now: float) -> None:
        if self._may_start and now >= self._next_start:
            self._next_start = now + self._config.start_wait
            self._started_at = now
            self._actions.append(StartServer())
            self._emit(ServerStarting())

    # Messages.

    def _beat(self, now: float) -> None:
        for channel, beat in self._beats.items():
            if beat.lost(now):
                self._lost(now, "The server is silent.")
                return
            if beat.ping_due(now):
                self._ping += 1
                self.port.tell(channel, Ping(n=self._ping))

    def _dispatch(self, envelope: Envelope, now: float) -> None:
        message = envelope.message
        match message:
            case Pong() | Welcome():
                return
            case EventMessage():
                self.jobs.received(message.event)
            case Preview():
                try:
                    self.previews.received(message, envelope.buffers)
                except ProtocolError as error:
                    self._lost(now, f"The server sent a damaged preview: {error.error.text}")
            case Error() if message.error.code is ErrorCode.PROTO_SESSION:
                # It forgot us, as after its restart: say HELLO again; what was asked stays asked.
                self._lost(now, "The server does not know this session any more.", at_once=True)
            case Reject():
                self._refused(message.error, now)
            case Bye():
                self._lost(now, "The server ends.")
            case _:
                self.port.answered(envelope)

    def _accepted(self, accepted: Accepted) -> None:
        download = accepted.key not in self.undownloaded
        self.undownloaded.discard(accepted.key)
        self.jobs.follow(accepted.job, accepted.key, download=download)


def _wrong_key(text: str) -> WireError:
    return WireError(
        code=ErrorCode.AUTH_REFUSED,
        retry=Retry.CHANGED,
        text=text,
        hint="Use the connection file that the running server wrote, or pair this machine: pgc-server pair",
    )
