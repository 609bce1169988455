# SPDX-License-Identifier: Apache-2.0
"""Clients in a process of their own that ask the control channel and watch previews; every answer's time is kept.

    with Probe([ProbeClient(address, watch=job)], interval=0.25) as probe:
        ...
    samples = probe.samples  # None of them where the process did not end by itself, see exit_code

A sample is when the answer came (seconds of the monotonic clock, the same in all processes of a machine), its
request's kind, and how long it took. A dead-slow client sends without end and hardly ever reads.
"""

from __future__ import annotations

import itertools
import json
import random
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import zmq

from blender_addon.client import ServerAddress
from blender_addon.protocol.messages import (
    Attach,
    Credit,
    ListJobs,
    Message,
    Ping,
    Preview,
    Snapshot,
    Status,
)
from tests.benchmarks.raw_client import RawClient

ROOT = Path(__file__).resolve().parents[2]
MIX: tuple[Message, ...] = (*(Ping(n) for n in range(6)), Status(), ListJobs())
"""What a client asks in turn: mostly PING, as real ones do."""
_CREDIT = 2 << 20
_SLOW_REQUEST, _SLOW_READ = 0.1, 2.0


@dataclass(frozen=True)
class ProbeClient:
    """One client. `watch`: a job whose events and previews it follows; slow: it is the dead-slow one."""

    address: ServerAddress
    watch: str | None = None
    slow: bool = False


@dataclass(frozen=True)
class Samples:
    """Requests: (when, kind, seconds). Previews: (when, number of the client, bytes)."""

    requests: list[tuple[float, str, float]]
    previews: list[tuple[float, int, int]]

    def seconds(self, start: float, end: float, kinds: Sequence[str] | None = None) -> list[float]:
        """Round trips that ended in [start, end)."""
        return [took for at, kind, took in self.requests if start <= at < end and (kinds is None or kind in kinds)]

    def pictures(self, start: float, end: float) -> int:
        """Previews that came in [start, end)."""
        return sum(start <= at < end for at, _client, _size in self.previews)


class Probe:
    """The clients' process, from `with` until its end; `samples` are there after that."""

    def __init__(self, clients: Sequence[ProbeClient], interval: float) -> None:
        self._clients = clients
        self._interval = interval
        self.samples = Samples([], [])
        self.exit_code: int | None = None

    def __enter__(self) -> Probe:
        self._out = tempfile.NamedTemporaryFile(suffix=".json")
        command = [sys.executable, "-m", "tests.benchmarks.control_probe", self._out.name]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        settings = {"interval": self._interval, "clients": [asdict(client) for client in self._clients]}
        self._process.stdin.write(json.dumps(settings) + "\n")
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError("The probe did not start; see its error above.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self.exit_code = self._process.wait(60)
        if self._process.stdout is not None:
            self._process.stdout.close()
        with self._out as file:
            self.samples = Samples(**json.loads(Path(file.name).read_text() or '{"requests": [], "previews": []}'))


class _Client:
    """A `ProbeClient` at work: one request at a time."""

    def __init__(self, number: int, spec: ProbeClient, context: zmq.Context, samples: Samples, interval: float) -> None:
        self.raw = RawClient(context, spec.address, queue=1 if spec.slow else 64)
        self.raw.hello()
        self._spec = spec
        self._number = number
        self._samples = samples
        self._interval = _SLOW_REQUEST if spec.slow else interval
        self._mix = itertools.cycle(MIX)
        self._open: tuple[str, str, float] | None = None
        self.next_at = time.monotonic() + random.random() * interval
        self._next_read = 0.0
        if spec.watch is not None:
            self.raw.ask(Attach(spec.watch), Snapshot)
            self.raw.post(Credit(64 << 20 if spec.slow else _CREDIT), bulk=True)

    def send(self, now: float) -> None:
        """The next request, if its time has come and the last one is answered."""
        if now < self.next_at or (self._open is not None and not self._spec.slow):
            return
        self.next_at = max(self.next_at + self._interval, now)
        message = ListJobs() if self._spec.slow else next(self._mix)
        try:
            self._open = (self.raw.post(message), message.TYPE, time.monotonic())
        except zmq.Again:  # The slow one's own queue is full.
            return

    def read(self, now: float) -> None:
        """What came in; a slow client takes one message now and then."""
        if self._spec.slow and now < self._next_read:
            return
        self._next_read = now + _SLOW_READ
        for envelope in self.raw.received(self.raw.ctl, 1 if self._spec.slow else 1000):
            if self._open is not None and envelope.re == self._open[0]:
                at = time.monotonic()
                self._samples.requests.append((at, self._open[1], at - self._open[2]))
                self._open = None
        for envelope in self.raw.received(self.raw.bulk, 1 if self._spec.slow else 1000):
            if isinstance(envelope.message, Preview):
                size = sum(map(len, envelope.buffers))
                self._samples.previews.append((time.monotonic(), self._number, size))
                if not self._spec.slow:
                    self.raw.post(Credit(size), bulk=True)


def _address(fields: dict[str, object]) -> ServerAddress:
    return ServerAddress(**fields)  # pyright: ignore[reportArgumentType] - as asdict wrote it


def main() -> int:
    """Ask until standard input ends, then write the samples."""
    settings = json.loads(sys.stdin.readline())
    samples, context = Samples([], []), zmq.Context()
    specs = [
        ProbeClient(_address(fields["address"]), fields["watch"], fields["slow"]) for fields in settings["clients"]
    ]
    clients = [_Client(at, spec, context, samples, settings["interval"]) for at, spec in enumerate(specs)]
    poller = zmq.Poller()
    for client, spec in zip(clients, specs, strict=True):
        if not spec.slow:
            poller.register(client.raw.ctl, zmq.POLLIN)
            poller.register(client.raw.bulk, zmq.POLLIN)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while not select.select([sys.stdin], [], [], 0.0)[0]:
        now = time.monotonic()
        for client in clients:
            client.send(now)
        wait = max(0.0, min(client.next_at for client in clients) - time.monotonic())
        ready = {socket for socket, _event in poller.poll(int(1000 * min(wait, 0.1)) + 1)}
        for client, spec in zip(clients, specs, strict=True):
            if spec.slow or client.raw.ctl in ready or client.raw.bulk in ready:
                client.read(time.monotonic())
    for client in clients:
        client.raw.close()
    context.term()
    Path(sys.argv[1]).write_text(json.dumps(asdict(samples)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
