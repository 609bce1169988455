# SPDX-License-Identifier: Apache-2.0
"""Twenty jobs that name the same 20 MiB 64 times, and how long another user's small job waits behind them.

    python -m tests.benchmarks.gate_queue

The broker and the gate are the real ones. Prints seconds as JSON.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from dataclasses import replace

import numpy as np
import zmq

from blender_addon.protocol.arrays import array_ref, blob_of
from blender_addon.protocol.messages import Accepted, BlobOk, BlobPut, Error, Message, Submit
from blender_addon.protocol.specs.job import MeshSpec, PromptSpec, TextureJobSpec
from tests.benchmarks.raw_client import RawClient
from tests.benchmarks.standin_broker import StandinServer
from tests.e2e.server_rig import oracle_job

JOBS, MESHES, MIB = 20, 64, 20
_PIECE = 1 << 20
_LONGEST = 300.0


def heavy_job(meshes: int = MESHES, mebibytes: int = MIB) -> tuple[TextureJobSpec, list[np.ndarray]]:
    """A job that names one mesh of so many MiB of faces many times; only its last triangle has an area."""
    count = mebibytes * (1 << 20) // 12
    faces = np.zeros((count, 3), np.int32)
    faces[-1] = (0, 1, 2)
    uvs = np.zeros((count, 3, 2), np.float32)
    positions = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    arrays = [positions, faces, uvs]
    refs = [array_ref(array) for array in arrays]
    mesh = MeshSpec(name="heavy", positions=refs[0], faces=refs[1], corner_uvs=refs[2])
    return TextureJobSpec(meshes=(mesh,) * meshes, prompt=PromptSpec(text="oak")), arrays


def upload(client: RawClient, arrays: list[np.ndarray]) -> None:
    """Each array once, piece by piece."""
    for array in arrays:
        data, sha256 = blob_of(array), array_ref(array).sha256
        for start in range(0, len(data), _PIECE):
            client.ask(BlobPut(sha256, len(data), start), BlobOk, data[start : start + _PIECE], bulk=True)


def measure(jobs: int = JOBS, meshes: int = MESHES, mebibytes: int = MIB) -> dict[str, float]:
    """One user's heavy jobs, and another's small one behind them."""
    with StandinServer(users=2) as server:
        context = zmq.Context()
        hostile, other = (RawClient(context, server.address(keys)) for keys in server.users)
        hostile.hello()
        other.hello()
        spec, arrays = heavy_job(meshes, mebibytes)
        upload(hostile, arrays)
        small, small_arrays = oracle_job()
        upload(other, list(small_arrays.values()))
        other.ask(Submit(uuid.uuid4().hex, small), Accepted)
        begun = time.monotonic()
        ids = {hostile.post(Submit(uuid.uuid4().hex, replace(spec, name=str(number)))) for number in range(jobs)}
        time.sleep(0.5)
        asked = time.monotonic()
        other.ask(Submit(uuid.uuid4().hex, small), Accepted, timeout=_LONGEST)
        waited = time.monotonic() - asked
        kinds = _answers(hostile, ids, begun + _LONGEST)
        took = time.monotonic() - begun
        hostile.close()
        other.close()
        context.term()
    refused = sum(kind is Error for kind in kinds)
    return {
        "answered": len(kinds),
        "all_jobs_s": round(took, 2),
        "other_waited_s": round(waited, 3),
        "refused": refused,
    }


def _answers(client: RawClient, ids: set[str], end: float) -> list[type[Message]]:
    """The kinds of the answers to these requests, of those that came until `end`."""
    found: list[type[Message]] = []
    while len(found) < len(ids) and time.monotonic() < end:
        client.ctl.poll(1000)
        found += [type(envelope.message) for envelope in client.received(client.ctl) if envelope.re in ids]
    return found


def main() -> int:
    """Measure once."""
    sys.stdout.write(json.dumps(measure()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
