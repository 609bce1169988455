# SPDX-License-Identifier: Apache-2.0
"""Three clients for an hour: two that work, and one that does the server all the harm that a key allows.

    python -m tests.benchmarks.server_soak --minutes 60 --out tests/benchmarks/results/server_soak.json

The broker and the gate are the real ones, in processes of their own; workers send what real ones would, without torch.
The two others each watch a running job's previews and ask the control channel four times a second. Each minute the
broker's memory and the machine's load are noted. Whatever else the machine does counts too: how late a bare timer is
and how long a bare CURVE round trip takes stand beside the figures. Where others share a Linux machine, `nice` alone
puts nobody first, since sessions share it evenly: `setsid -w bash -c 'echo -20 > /proc/$$/autogroup; exec python -m …'`
does, and the result says so. The hostile client keeps a session of its own. Exit code 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import zmq

from blender_addon import client as wire
from blender_addon.client import ServerAddress
from blender_addon.protocol.arrays import blob_of
from blender_addon.protocol.messages import Accepted, Attach, BlobOk, BlobPut, JobState, Snapshot, Submit
from tests.benchmarks.conditions import Conditions, quantile
from tests.benchmarks.control_probe import Probe, ProbeClient, Samples
from tests.benchmarks.curve_echo import CurveEcho
from tests.benchmarks.hostile_client import HostileClient
from tests.benchmarks.raw_client import RawClient
from tests.benchmarks.standin_broker import StandinServer
from tests.e2e.server_rig import oracle_job

CONTROL_TARGET, MEMORY_TARGET = 0.05, 300 << 20
_MIB = 1 << 20
_INTERVAL = 0.25
_LOOK = 1.0
_FLOORS = 8
"""Bare CURVE round trips each second, to another process of the same niceness: what the machine allows."""
_START_SECONDS = 30.0
_TIMER_SECONDS = 0.01


class BareTimer:
    """How late a sleep of 10 ms ends, in seconds: what no server could answer faster than, at that moment."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="timer")

    def __enter__(self) -> BareTimer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            due = time.monotonic() + _TIMER_SECONDS
            time.sleep(_TIMER_SECONDS)
            self.late.append(max(0.0, time.monotonic() - due))


def start_stream(context: zmq.Context, address: ServerAddress) -> str:
    """A job of a client that runs until it is cancelled, with two previews a second."""
    client = RawClient(context, address)
    client.hello()
    spec, arrays = oracle_job(steps=5)
    preview = wire.PreviewSpec(every_s=0.5, size=256)
    spec = wire.TextureJobSpec(
        meshes=spec.meshes, prompt=spec.prompt, guidance=spec.guidance, preview=preview, name="stream"
    )
    for sha256, array in arrays.items():
        data = blob_of(array)
        client.ask(BlobPut(sha256, len(data), 0), BlobOk, data, bulk=True)
    job = client.ask(Submit(os.urandom(16).hex(), spec), Accepted).job
    deadline = time.monotonic() + _START_SECONDS
    while client.ask(Attach(job), Snapshot).info.state is not JobState.RUNNING:
        if time.monotonic() > deadline:
            raise RuntimeError("The job does not run.")
        time.sleep(0.2)
    client.close()
    return job


def measure(minutes: float, niceness: int) -> dict[str, Any]:
    """Soak, and tell how it was."""
    context = zmq.Context()
    with StandinServer(workers=3, users=3) as server:
        addresses = [server.address(keys) for keys in server.users]
        jobs = [start_stream(context, address) for address in addresses[:2]]
        clients = [ProbeClient(address, watch=job) for address, job in zip(addresses, jobs, strict=False)]
        before, looks, begun = server.resident, list[tuple[float, int]](), time.monotonic()
        loads: list[list[float]] = []
        floor: list[float] = []
        with (
            CurveEcho() as echo,
            BareTimer() as timer,
            Probe(clients, _INTERVAL) as probe,
            HostileClient(addresses[2], niceness) as hostile,
        ):
            end = begun + 60.0 * minutes
            while (now := time.monotonic()) < end:
                looks.append((now, server.resident))
                floor += [echo.round_trip() for _ in range(_FLOORS)]
                if now - begun >= 60.0 * len(loads):
                    loads.append([round(load, 2) for load in os.getloadavg()])
                time.sleep(min(_LOOK, max(0.0, end - now)))
        looks.append((time.monotonic(), server.resident))
        ended = [_state(context, address, job) for address, job in zip(addresses, jobs, strict=False)]
        stored = sum(path.stat().st_size for path in server.paths.root.rglob("*") if path.is_file())
    context.term()
    table = _table(probe.samples, looks, begun, end)
    return {
        "minutes": minutes,
        **table,
        "broker_resident_before_mib": round(before / _MIB, 1),
        "load_averages_by_minute": loads,
        "attacks": hostile.attacks,
        "control_ms_by_attack": _by_attack(probe.samples, hostile.times),
        "hostile_exit_code": hostile.exit_code,
        "good_clients_jobs": ended,
        "data_folder_mib": round(stored / _MIB, 1),
        "floor_ms": _trips(floor),
        "timer_late_ms": _trips(timer.late),
    }


def _state(context: zmq.Context, address: ServerAddress, job: str) -> str:
    client = RawClient(context, address)
    client.hello()
    state = client.ask(Attach(job), Snapshot).info.state.value
    client.close()
    return state


def _table(samples: Samples, looks: list[tuple[float, int]], begun: float, end: float) -> dict[str, Any]:
    by_minute: list[dict[str, Any]] = []
    start = begun
    while start < end:
        last = min(start + 60.0, end)
        resident = [size for at, size in looks if start <= at < last + _LOOK]
        entry = {**_trips(samples.seconds(start, last)), "pictures": samples.pictures(start, last)}
        by_minute.append({**entry, "broker_resident_most_mib": round(max(resident, default=0) / _MIB, 1)})
        start += 60.0
    kinds = sorted({kind for _at, kind, _took in samples.requests})
    return {
        "control_ms": _trips(samples.seconds(begun, end)),
        "by_kind_ms": {kind: _trips(samples.seconds(begun, end, [kind])) for kind in kinds},
        "broker_resident_most_mib": round(max(size for _at, size in looks) / _MIB, 1),
        "broker_resident_at_the_end_mib": round(looks[-1][1] / _MIB, 1),
        "by_minute": by_minute,
    }


def _by_attack(samples: Samples, times: list[tuple[str, float, float]]) -> dict[str, Any]:
    """Round trips that ended during each kind of attack, or within a second after it."""
    found: dict[str, list[float]] = {}
    for name, begun, ended in times:
        found.setdefault(name, []).extend(samples.seconds(begun, ended + 1.0))
    return {name: _trips(seconds) for name, seconds in sorted(found.items())}


def _trips(seconds: list[float]) -> dict[str, Any]:
    if not seconds:
        return {"count": 0}
    figures = {name: quantile(seconds, share) for name, share in (("p50", 0.5), ("p99", 0.99), ("most", 1.0))}
    return {"count": len(seconds), **{name: round(1000 * value, 2) for name, value in figures.items()}}


def missed(table: dict[str, Any]) -> list[str]:
    """Sentences, one for each target that was not reached."""
    found: list[str] = []
    trips = table["control_ms"]
    if not trips["count"] or trips["p99"] > 1000 * CONTROL_TARGET:
        found.append(f"control p99 is {trips.get('p99')} ms; at most {1000 * CONTROL_TARGET:.0f} are allowed.")
    if table["broker_resident_most_mib"] > MEMORY_TARGET / _MIB:
        found.append(f"the broker took {table['broker_resident_most_mib']} MiB; {MEMORY_TARGET // _MIB} are allowed.")
    if set(table["good_clients_jobs"]) != {"running"}:
        found.append(f"the others' jobs ended as {table['good_clients_jobs']}; they were to run on.")
    if table["hostile_exit_code"] != 0:
        found.append(f"the hostile client ended with {table['hostile_exit_code']}.")
    return found


def _scheduled() -> str | None:
    """The niceness of this session against others, as Linux tells it; None where sessions have none."""
    try:
        return Path("/proc/self/autogroup").read_text(encoding="utf-8").strip()
    except OSError:
        return None


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--hostile-niceness", type=int, default=10, help="more than that of this program")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    conditions = Conditions()
    table = measure(options.minutes, options.hostile_niceness)
    niceness = os.nice(0) if hasattr(os, "nice") else None
    table = {
        **table,
        "niceness": niceness,
        "scheduled": _scheduled(),
        "missed": missed(table),
        "conditions": conditions.as_dict(),
    }
    text = json.dumps(table, indent=1) + "\n"
    if options.out is not None:
        options.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return int(bool(table["missed"]))


if __name__ == "__main__":
    sys.exit(main())
