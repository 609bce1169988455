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
from blender_addon.protocol.messages import Accepted, BlobOk, BlobPut, Error, Submit
from blender_addon.protocol.specs.job import MeshSpec, PromptSpec, TextureJobSpec
from tests.benchmarks.raw_client import RawClient
from tests.benchmarks.standin_broker import StandinServer
from tests.e2e.server_rig import oracle_job

JOBS, MESHES, MIB = 20, 64, 20
_PIECE = 1 << 20


def heavy_job() -> tuple[TextureJobSpec, list[np.ndarray]]:
    """A job that names one mesh of 20 MiB of faces many times; only its last triangle has an area."""
    count = MIB * (1 << 20) // 12
    faces = np.zeros((count, 3), np.int32)
    faces[-1] = (0, 1, 2)
    uvs = np.zeros((count, 3, 2), np.float32)
    positions = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    arrays = [positions, faces, uvs]
    refs = [array_ref(array) for array in arrays]
    mesh = MeshSpec(name="heavy", positions=refs[0], faces=refs[1], corner_uvs=refs[2])
    return TextureJobSpec(meshes=(mesh,) * MESHES, prompt=PromptSpec(text="oak")), arrays


def upload(client: RawClient, arrays: list[np.ndarray]) -> None:
    """Each array once, piece by piece."""
    for array in arrays:
        data, sha256 = blob_of(array), array_ref(array).sha256
        for start in range(0, len(data), _PIECE):
            client.ask(BlobPut(sha256, len(data), start), BlobOk, data[start : start + _PIECE], bulk=True)


def main() -> int:
    """Measure once."""
    with StandinServer(users=2) as server:
        context = zmq.Context()
        hostile, other = (RawClient(context, server.address(keys)) for keys in server.users)
        hostile.hello()
        other.hello()
        spec, arrays = heavy_job()
        upload(hostile, arrays)
        small, small_arrays = oracle_job()
        upload(other, list(small_arrays.values()))
        other.ask(Submit(uuid.uuid4().hex, small), Accepted)
        begun = time.monotonic()
        ids = {hostile.post(Submit(uuid.uuid4().hex, replace(spec, name=str(number)))) for number in range(JOBS)}
        time.sleep(0.5)
        asked = time.monotonic()
        other.ask(Submit(uuid.uuid4().hex, small), Accepted, timeout=300.0)
        waited = time.monotonic() - asked
        refused = 0
        while ids and time.monotonic() - begun < 300.0:
            hostile.ctl.poll(1000)
            for envelope in hostile.received(hostile.ctl):
                if envelope.re in ids:
                    ids.discard(envelope.re)
                    refused += isinstance(envelope.message, Error)
        table = {
            "all_jobs_s": round(time.monotonic() - begun, 2),
            "other_waited_s": round(waited, 3),
            "refused": refused,
        }
        hostile.close()
        other.close()
        context.term()
    sys.stdout.write(json.dumps(table) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
