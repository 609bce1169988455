# SPDX-License-Identifier: Apache-2.0
"""Fifty clients, five hundred waiting jobs, twenty preview streams, and one client that hardly ever reads.

    python -m tests.benchmarks.server_load --out tests/benchmarks/results/server_load.json

The broker and the gate are the real ones, in processes of their own; the workers send what real ones would, without
torch. All other clients ask the control channel at a steady pace. Stretches with and without the dead-slow client
take turns, so that the machine's other work falls on both. The floor is a bare CURVE round trip in the same run.
Exit code 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import zmq

from blender_addon import client as wire
from blender_addon.protocol.arrays import blob_of
from blender_addon.protocol.messages import Accepted, BlobOk, BlobPut, JobState, Submit
from tests.benchmarks.conditions import Conditions, quantile
from tests.benchmarks.control_probe import Probe, ProbeClient, Samples
from tests.benchmarks.curve_echo import CurveEcho
from tests.benchmarks.raw_client import RawClient
from tests.benchmarks.standin_broker import StandinServer
from tests.e2e.server_rig import oracle_job

CONTROL_TARGET, MEMORY_TARGET = 0.05, 300 << 20
SLOWED_TARGET = 1.25
"""Of the medians of all stretches with and without the slow client: more than that is no noise."""
_MIB = 1 << 20


@dataclass(frozen=True)
class Load:
    """Args: queued: jobs that wait; streams: jobs that run, each watched by one client; interval: seconds between two
    requests of a client; stretch: seconds; turns: stretches of each kind."""

    clients: int = 50
    queued: int = 500
    streams: int = 20
    interval: float = 0.5
    preview_s: float = 0.5
    preview_size: int = 256
    stretch: float = 8.0
    turns: int = 5


@dataclass
class Stretch:
    """From when to when (monotonic seconds), and whether the slow client was there."""

    slow: bool
    begun: float
    ended: float = 0.0
    floor: list[float] = field(default_factory=list)


class Bench:
    """A server full of jobs."""

    def __init__(self, server: StandinServer, load: Load) -> None:
        self._server = server
        self._load = load
        self._context = zmq.Context()
        self.resident = 0
        self.submit_seconds: list[float] = []
        self.exit_codes: list[int | None] = []
        """Of the slow client's processes, one a stretch."""

    def close(self) -> None:
        """Close the sockets."""
        self._context.term()

    def fill(self) -> None:
        """Submit all jobs, as many more than are to wait as there are streams."""
        load = self._load
        spec, arrays = oracle_job(steps=5, every_s=load.preview_s)
        preview = wire.PreviewSpec(every_s=load.preview_s, size=load.preview_size)
        spec = wire.TextureJobSpec(
            meshes=spec.meshes, prompt=spec.prompt, guidance=spec.guidance, preview=preview, name="stream"
        )
        # The first job of everybody comes first, so that those that run belong to different users.
        for first in (True, False):
            for number, keys in enumerate(self._server.users):
                client = RawClient(self._context, self._server.address(keys))
                client.hello()
                for sha256, array in arrays.items():
                    data = blob_of(array)
                    client.ask(BlobPut(sha256, len(data), 0), BlobOk, data, bulk=True)
                all_jobs = load.queued + load.streams
                own = all_jobs // load.clients + (number < all_jobs % load.clients)
                for _ in range(1 if first else own - 1):
                    self._submit(client, spec)
                client.close()
                self._look()

    def _submit(self, client: RawClient, spec: wire.TextureJobSpec) -> None:
        begun = time.monotonic()
        client.ask(Submit(uuid.uuid4().hex, spec), Accepted)
        self.submit_seconds.append(time.monotonic() - begun)

    def running(self, seconds: float = 120.0) -> dict[int, str]:
        """Once all streams run: one such job of each user that has one, by the user's number."""
        deadline = time.monotonic() + seconds
        while True:
            jobs = [(number, job) for number in range(self._load.clients) for job in self._running_of(number)]
            if len(jobs) >= self._load.streams:
                return dict(jobs)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(jobs)} of {self._load.streams} streams run after {seconds:g} s.")

    def _running_of(self, number: int) -> list[str]:
        client = RawClient(self._context, self._server.address(self._server.users[number]))
        jobs = [info.job for info in client.hello().jobs if info.state is JobState.RUNNING]
        client.close()
        return jobs

    def _look(self) -> None:
        self.resident = max(self.resident, self._server.resident)

    def turns(self, slow: ProbeClient, echo: CurveEcho) -> list[Stretch]:
        """Stretches by turns, without the slow client first."""
        found: list[Stretch] = []
        for _ in range(self._load.turns):
            found.append(self._stretch(False, echo))
            with Probe([slow], interval=self._load.interval) as probe:
                found.append(self._stretch(True, echo))
            self.exit_codes.append(probe.exit_code)
        return found

    def _stretch(self, slow: bool, echo: CurveEcho) -> Stretch:
        stretch = Stretch(slow, time.monotonic())
        while time.monotonic() - stretch.begun < self._load.stretch:
            stretch.floor.append(echo.round_trip())
            self._look()
            time.sleep(0.1)
        stretch.ended = time.monotonic()
        return stretch


def measure(load: Load) -> dict[str, Any]:
    """All stretches, as a table."""
    with StandinServer(workers=load.streams, users=load.clients) as server, CurveEcho() as echo:
        bench = Bench(server, load)
        bench.fill()
        watched = bench.running()
        clients = [ProbeClient(server.address(keys), watched.get(at)) for at, keys in enumerate(server.users)]
        # The slow one watches a running job too, has all the credit there is, and asks for long lists.
        last = max(watched)
        slow = replace(clients.pop(last), slow=True)
        with Probe(clients, load.interval) as probe:
            stretches = bench.turns(slow, echo)
        bench.close()
        resident = max(bench.resident, server.resident)
    return {
        "load": {name: getattr(load, name) for name in load.__dataclass_fields__},
        **_table(probe.samples, stretches),
        "submit_ms": _trips(bench.submit_seconds),
        "slow_client_exit_codes": bench.exit_codes,
        "broker_resident_mib": round(resident / _MIB, 1),
    }


def _table(samples: Samples, stretches: list[Stretch]) -> dict[str, Any]:
    def of(slow: bool) -> dict[str, Any]:
        mine = [stretch for stretch in stretches if stretch.slow is slow]
        seconds = [took for stretch in mine for took in samples.seconds(stretch.begun, stretch.ended)]
        time_all = sum(stretch.ended - stretch.begun for stretch in mine)
        pictures = sum(samples.pictures(stretch.begun, stretch.ended) for stretch in mine)
        return {
            "control_ms": _trips(seconds),
            "previews_per_s": round(pictures / time_all, 2),
            "medians_ms": [
                round(1000 * statistics.median(samples.seconds(stretch.begun, stretch.ended)), 2) for stretch in mine
            ],
            "floor_ms": _trips([took for stretch in mine for took in stretch.floor]),
        }

    without, with_slow = of(False), of(True)
    kinds = sorted({kind for _at, kind, _took in samples.requests})
    return {
        "without_slow": without,
        "with_slow": with_slow,
        "slowed_by": round(statistics.median(with_slow["medians_ms"]) / statistics.median(without["medians_ms"]), 3),
        "previews_kept": round(with_slow["previews_per_s"] / max(without["previews_per_s"], 1e-9), 3),
        "by_kind_ms": {
            kind: _trips(
                [took for s in stretches for took in samples.seconds(s.begun, s.ended, (kind,))],
            )
            for kind in kinds
        },
    }


def _trips(seconds: Sequence[float]) -> dict[str, float]:
    if not seconds:
        return {"count": 0}
    shares = {"median": 0.5, "p95": 0.95, "p99": 0.99, "most": 1.0}
    return {
        "count": len(seconds),
        **{name: round(1000 * quantile(seconds, share), 2) for name, share in shares.items()},
    }


def missed(table: dict[str, Any]) -> list[str]:
    """Targets that were missed."""
    found = [
        f"control, {name}: p99 of {table[name]['control_ms']['p99']} ms; expected {1000 * CONTROL_TARGET:g} at most"
        for name in ("without_slow", "with_slow")
        if table[name]["control_ms"]["p99"] > 1000 * CONTROL_TARGET
    ]
    if table["broker_resident_mib"] > MEMORY_TARGET / _MIB:
        found.append(f"memory: {table['broker_resident_mib']} MiB; expected {MEMORY_TARGET / _MIB:g} at most")
    if table["slowed_by"] > SLOWED_TARGET or table["previews_kept"] < 1 / SLOWED_TARGET:
        found.append(f"the slow one: medians x {table['slowed_by']}, previews x {table['previews_kept']}")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=Load.clients)
    parser.add_argument("--queued", type=int, default=Load.queued)
    parser.add_argument("--streams", type=int, default=Load.streams)
    parser.add_argument("--turns", type=int, default=Load.turns)
    parser.add_argument("--stretch", type=float, default=Load.stretch)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    load = Load(options.clients, options.queued, options.streams, turns=options.turns, stretch=options.stretch)
    conditions = Conditions()
    table = measure(load)
    table = {**table, "missed": missed(table), "conditions": conditions.as_dict()}
    text = json.dumps(table, indent=1) + "\n"
    if options.out is not None:
        options.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return int(bool(table["missed"]))


if __name__ == "__main__":
    sys.exit(main())
