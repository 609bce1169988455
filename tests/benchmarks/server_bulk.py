# SPDX-License-Identifier: Apache-2.0
"""A large mesh to the server and a set of maps back, against a bare CURVE echo in the same run.

    python -m tests.benchmarks.server_bulk --out tests/benchmarks/results/server_bulk.json

The product's client sends to the real broker. Each round measures product and echo after each other, in the same
direction, with the same size of chunks and the same bytes under way. A byte of the echo crosses once, which is harder
to keep up with than an echo to the letter, where each comes back.

Up is timed from `submit` on, with its snapshot of the arrays, until the server has confirmed the last byte: hashed, and
on the disk. The arrays' own hashes are part of the specification, and made before. Down is timed from the question for
four maps until all have arrived and were found to have their hashes.

The echo touches no disk and keeps nothing: `--folder` says where the server keeps its data, and `floors` tells what
disk and memory of this machine take alone. Meanwhile two other clients, and the one that transfers, ask the control
channel. Exit code 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from blender_addon import client as wire
from blender_addon.protocol.arrays import give_away
from tests.benchmarks.bulk_floors import CHUNK_DOWN, CHUNK_UP, WINDOW, measure_floors
from tests.benchmarks.conditions import Conditions, quantile
from tests.benchmarks.control_probe import Probe, ProbeClient
from tests.benchmarks.curve_echo import CurveEcho
from tests.benchmarks.standin_broker import StandinServer

SHARE_TARGET, CONTROL_TARGET = 0.4, 0.1
_MIB = 1 << 20
_ASK_EVERY = 0.1
_LIMIT = 300.0


@dataclass(frozen=True)
class Load:
    """What is sent: triangles up, four maps of size² texels down, so many times."""

    triangles: int = 5_000_000
    size: int = 4096
    rounds: int = 5


@dataclass
class Figures:
    """Rates in bytes a second, one a round; control: round trips in seconds, of whom."""

    echo: list[float] = field(default_factory=list)
    product: list[float] = field(default_factory=list)
    size: int = 0

    def table(self) -> dict[str, Any]:
        shares = [mine / bare for mine, bare in zip(self.product, self.echo, strict=True)]
        return {
            "mib": round(self.size / _MIB, 1),
            "echo_mib_s": [round(rate / _MIB, 1) for rate in self.echo],
            "product_mib_s": [round(rate / _MIB, 1) for rate in self.product],
            "share": [round(share, 3) for share in shares],
            "echo_median_mib_s": round(statistics.median(self.echo) / _MIB, 1),
            "product_median_mib_s": round(statistics.median(self.product) / _MIB, 1),
            "share_of_medians": round(statistics.median(self.product) / statistics.median(self.echo), 3),
            "share_median": round(statistics.median(shares), 3),
        }


def mesh_job(triangles: int, seed: int) -> tuple[wire.TextureJobSpec, dict[str, npt.NDArray[Any]]]:
    """A mesh that passes the gate: positions, faces, corner UVs and corner normals, with others for each seed."""
    random = np.random.default_rng(seed)
    vertices = triangles // 2 + 3
    first = random.integers(0, vertices - 2, triangles, dtype=np.int32)
    normals = np.zeros((triangles, 3, 3), np.float32)
    normals[..., 2] = 1.0
    normals[0, 0] = (np.sin(seed), np.cos(seed), 0.0)
    arrays: dict[str, npt.NDArray[Any]] = {}

    def add(array: npt.NDArray[Any]) -> wire.ArrayRef:
        reference = wire.array_ref(give_away(array))  # As the add-on does.
        arrays[reference.sha256] = array
        return reference

    mesh = wire.MeshSpec(
        name="large",
        positions=add(random.random((vertices, 3), np.float32)),
        faces=add(first[:, None] + np.arange(3, dtype=np.int32)),
        corner_uvs=add(random.random((triangles, 3, 2), np.float32)),
        corner_normals=add(normals),
    )
    return wire.TextureJobSpec(meshes=(mesh,), prompt=wire.PromptSpec(text="stone"), name="maps 16"), arrays


class Transfers:
    """Through the product's client. `control`: what that client's own questions took meanwhile, in seconds."""

    def __init__(self, client: wire.Client) -> None:
        self._client = client
        self.control: list[float] = []
        self._asked: dict[str, float] = {}

    def until(self, wanted: Callable[[wire.Event], bool], *, ask: bool = True) -> wire.Event:
        """The next event that is wanted; the client asks for the server's status meanwhile."""
        end, next_ask = time.monotonic() + _LIMIT, time.monotonic()
        while (now := time.monotonic()) < end:
            if ask and now >= next_ask and not self._asked:
                self._asked[self._client.status()] = now
                next_ask = now + _ASK_EVERY
            event = self._client.events.get(timeout=0.02)
            if isinstance(event, wire.ServerStatus):
                asked = self._asked.pop(event.request, None)
                if asked is not None:
                    self.control.append(time.monotonic() - asked)
            if isinstance(event, wire.JobFailed | wire.Refused | wire.ClientFailed | wire.RequestFailed):
                raise RuntimeError(f"The transfer failed: {event}")
            if event is not None and wanted(event):
                return event
        raise TimeoutError(f"A transfer took more than {_LIMIT:g} s.")

    def settle(self) -> None:
        """Wait for the answer that is awaited: read after something else, it would look late."""
        if self._asked:
            self.until(lambda event: isinstance(event, wire.ServerStatus) and not self._asked, ask=False)

    def up(self, triangles: int, seed: int) -> tuple[int, float, float]:
        """Bytes, seconds until all has arrived, and seconds from then until the job was accepted."""
        spec, arrays = mesh_job(triangles, seed)
        size = sum(array.nbytes for array in arrays.values())
        start = time.perf_counter()
        key = self._client.submit(spec, arrays, download=False)
        self.until(lambda event: isinstance(event, wire.Uploading) and event.done == event.total == size)
        seconds = time.perf_counter() - start
        self.until(lambda event: isinstance(event, wire.JobAccepted) and event.key == key, ask=False)
        accepted = time.perf_counter() - start - seconds
        self.until(lambda event: isinstance(event, wire.JobFinished) and event.key == key, ask=False)
        self.settle()
        return size, seconds, accepted

    def down(self, size: int) -> tuple[int, float]:
        """Bytes of a finished job's maps, and seconds until all have arrived."""
        spec, arrays = mesh_job(12, 0)
        spec = wire.TextureJobSpec(meshes=spec.meshes, prompt=spec.prompt, name=f"maps {size}")
        key = self._client.submit(spec, arrays, download=False)
        done = self.until(lambda event: isinstance(event, wire.JobFinished) and event.key == key, ask=False)
        assert isinstance(done, wire.JobFinished)
        start = time.perf_counter()
        waiting = {self._client.fetch(file) for file in done.result.maps}
        while waiting:
            event = self.until(lambda event: isinstance(event, wire.Fetched))
            assert isinstance(event, wire.Fetched)
            waiting.discard(event.request)
        seconds = time.perf_counter() - start
        self.settle()
        return sum(file.bytes for file in done.result.maps), seconds


def measure(load: Load, folder: Path | None = None) -> dict[str, Any]:
    """All rounds, as a table; the server's data lies in `folder` (None: where temporary files do)."""
    up, down = Figures(), Figures()
    accepted: list[float] = []
    spans: list[tuple[float, float]] = []
    resident = 0
    with StandinServer(folder=folder) as server, CurveEcho() as echo, wire.Client(server.address()) as client:
        transfers = Transfers(client)
        with Probe([ProbeClient(server.address()) for _ in range(2)], interval=0.02) as probe:
            for number in range(load.rounds):
                began = time.monotonic()
                up.size, seconds, gate = transfers.up(load.triangles, number)
                spans.append((began, time.monotonic()))
                resident = max(resident, server.resident)
                up.product.append(up.size / seconds)
                up.echo.append(echo.up(up.size, CHUNK_UP, WINDOW))
                accepted.append(gate)
                began = time.monotonic()
                down.size, seconds = transfers.down(load.size)
                spans.append((began, time.monotonic()))
                resident = max(resident, server.resident)
                down.product.append(down.size / seconds)
                down.echo.append(echo.down(down.size, CHUNK_DOWN, WINDOW))
        floors = measure_floors(echo, folder, up.size, down.size, load.rounds)
    others = [took for span in spans for took in probe.samples.seconds(*span)]
    return {
        "load": {"triangles": load.triangles, "maps": 4, "map_size": load.size, "rounds": load.rounds},
        "up": {**up.table(), "arrived_to_accepted_s": [round(seconds, 2) for seconds in accepted]},
        "down": down.table(),
        "control_meanwhile_ms": {"other_clients": _trips(others), "same_client": _trips(transfers.control)},
        "broker_resident_mib": round(resident / _MIB, 1),
        "floors": floors,
    }


def _trips(seconds: Sequence[float]) -> dict[str, float]:
    if not seconds:
        return {"count": 0}
    milliseconds = {"median": 0.5, "p99": 0.99, "most": 1.0}
    return {
        "count": len(seconds),
        **{name: round(1000 * quantile(seconds, share), 2) for name, share in milliseconds.items()},
    }


def missed(table: dict[str, Any]) -> list[str]:
    """Targets that were missed."""
    found = [
        f"{way}: {table[way]['share_median']} of the echo; expected {SHARE_TARGET} at least"
        for way in ("up", "down")
        if table[way]["share_median"] < SHARE_TARGET
    ]
    for who, trips in table["control_meanwhile_ms"].items():
        if not trips["count"] or trips["p99"] > 1000 * CONTROL_TARGET:
            found.append(f"control, {who}: {trips}; expected a p99 of {1000 * CONTROL_TARGET:g} ms at most")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--triangles", type=int, default=Load.triangles)
    parser.add_argument("--size", type=int, default=Load.size)
    parser.add_argument("--rounds", type=int, default=Load.rounds)
    parser.add_argument("--folder", type=Path, help="for the server's data, such as /dev/shm")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    conditions = Conditions()
    table = measure(Load(options.triangles, options.size, options.rounds), options.folder)
    table = {**table, "missed": missed(table), "conditions": conditions.as_dict()}
    text = json.dumps(table, indent=1) + "\n"
    if options.out is not None:
        options.out.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return int(bool(table["missed"]))


if __name__ == "__main__":
    sys.exit(main())
