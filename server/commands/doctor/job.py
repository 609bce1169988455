# SPDX-License-Identifier: Apache-2.0
"""One tiny job, really run: a server of its own in a temporary directory, over the wire, until maps are there."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from blender_addon.protocol.arrays import ArrayRef, array_ref, blob_of
from blender_addon.protocol.errors import ProtocolError
from blender_addon.protocol.messages import (
    Accepted,
    Attach,
    BlobOk,
    BlobPut,
    Event,
    Get,
    JobResult,
    JobState,
    Snapshot,
    Status,
    StatusReport,
    Submit,
)
from blender_addon.protocol.specs.job import (
    MeshSpec,
    ModelSpec,
    PromptSpec,
    SettingsSpec,
    TextureJobSpec,
    TileImage,
)
from server.commands.admin import Admin, NotRunningError
from server.commands.doctor.findings import Finding, Grade
from server.commands.spawning import spawn_server
from server.config import Device, ServerPaths
from server.errors import ServerError
from server.storage.ownership import claim_data_folder

__all__ = ["check_job", "tiny_job"]

_START_SECONDS = 60.0
_JOB_SECONDS = 240.0
_STOP_SECONDS = 20.0
_PIECE = 256 * 1024
_SIZE = 32
_OWN = "pgc-server: "


class TinyJobError(ServerError):
    """The tiny job did not come to its result."""


@dataclass
class _Job:
    """The job, and the bytes of its arrays."""

    blobs: dict[str, bytes] = field(default_factory=lambda: dict[str, bytes]())

    def put(self, array: npt.NDArray[Any]) -> ArrayRef:
        ref = array_ref(array)
        self.blobs[ref.sha256] = blob_of(array)
        return ref


def tiny_job() -> tuple[TextureJobSpec, dict[str, bytes]]:
    """Describes three steps towards a known red on a tetrahedron: no weights, so that it says whether all the rest
    works.
    """
    job = _Job()
    corners = np.array([[1, 1, 1], [-1, -1, 1], [-1, 1, -1], [1, -1, -1]], np.float32)
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32)
    uvs = np.array([[[x, y], [x + 0.4, y], [x, y + 0.4]] for x in (0.05, 0.55) for y in (0.05, 0.55)], np.float32)
    red = np.broadcast_to(np.array([220, 20, 20], np.uint8), (_SIZE, _SIZE, 3)).copy()
    mesh = MeshSpec(name="tetrahedron", positions=job.put(corners), faces=job.put(faces), corner_uvs=job.put(uvs))
    spec = TextureJobSpec(
        meshes=(mesh,),
        prompt=PromptSpec(text="red"),
        settings=SettingsSpec(steps=3, views=1, resolution=32, texture_size=_SIZE),
        guidance=ModelSpec(model="oracle", oracle_texture=(TileImage(tile=1001, array=job.put(red)),)),
        name="doctor",
    )
    return spec, job.blobs


def check_job(device: Device) -> Finding:
    """Runs the tiny job on a device; the finding says how long it took."""
    name = f"job on {device}"
    start = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory(prefix="pgc-doctor-") as folder:
            paths = ServerPaths(Path(folder) / "data")
            try:
                result = _run(paths, device)
            except (ServerError, ProtocolError, OSError) as error:
                hint = "A check above may say why. If none does: pgc-server logs, and please report what it shows."
                return Finding(name, Grade.FAILURE, f"The tiny job failed: {error}", hint)
    except OSError as error:
        return Finding(name, Grade.FAILURE, f"No temporary directory can be made: {error}", "Free some space.")
    seconds = time.perf_counter() - start
    return Finding(
        name,
        Grade.OK,
        f"server started, mesh sent, texture made, {len(result.maps)} map fetched and checked, in {seconds:.0f} s",
    )


def _refusal(paths: ServerPaths) -> str | None:
    """Why the worker ended of its own accord, in its own words; None where it did not."""
    path = paths.logs / "worker-0.stderr"
    lines = path.read_text("utf-8", "replace").splitlines() if path.is_file() else []
    return next((line.removeprefix(_OWN) for line in reversed(lines) if line.startswith(_OWN)), None)


def _run(paths: ServerPaths, device: Device) -> JobResult:
    process = _start(paths, device)
    try:
        with _connect(paths, process) as admin:
            return _submit(admin, paths)
    finally:
        _stop(process)


def _start(paths: ServerPaths, device: Device) -> subprocess.Popen[bytes]:
    claim_data_folder(paths)
    paths.logs.mkdir()
    command = ["start", "--data", str(paths.root), "--device", device, "--until-eof"]
    with (paths.logs / "start.stderr").open("wb") as errors:
        return spawn_server(command, errors, stdin=subprocess.PIPE)


def _connect(paths: ServerPaths, process: subprocess.Popen[bytes]) -> Admin:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            lines = (paths.logs / "start.stderr").read_text("utf-8", "replace").strip().splitlines()
            raise TinyJobError(f"The server ended at once: {lines[-1] if lines else process.returncode}")
        try:
            return Admin.open(paths, timeout=30.0)
        except NotRunningError:
            time.sleep(0.1)
    raise TinyJobError(f"The server was not ready within {_START_SECONDS:.0f} s.")


def _submit(admin: Admin, paths: ServerPaths) -> JobResult:
    spec, blobs = tiny_job()
    for sha256, data in blobs.items():
        answer = None
        for offset in range(0, len(data), _PIECE):
            piece = data[offset : offset + _PIECE]
            answer = admin.ask(BlobPut(sha256, len(data), offset), BlobOk, bulk=True, buffers=[piece])
        if answer is None or not answer.complete:
            raise TinyJobError("The server did not take the mesh.")
    job = admin.ask(Submit(uuid.uuid4().hex, spec), Accepted).job
    result = _wait(admin, admin.ask(Attach(job), Snapshot), paths)
    for file in result.maps:
        data = admin.fetch(Get(file.sha256, 0, file.bytes))
        if hashlib.sha256(data).hexdigest() != file.sha256:
            raise TinyJobError("The map came back with other bytes than were stored.")
    return result


def _wait(admin: Admin, snapshot: Snapshot, paths: ServerPaths) -> JobResult:
    deadline = time.monotonic() + _JOB_SECONDS
    state, result, error = snapshot.info.state, snapshot.result, snapshot.info.error
    while state in (JobState.QUEUED, JobState.RUNNING) and time.monotonic() < deadline:
        message = admin.next_message(0.5)
        if isinstance(message, Event):
            state, error = message.event.state, message.event.error
            result = message.event.result or result
        elif message is None and admin.ask(Status(), StatusReport).state == "degraded":
            raise TinyJobError("The worker process ends again and again.")
        if (refusal := _refusal(paths)) is not None:
            raise TinyJobError(f"The worker cannot start: {refusal}")
    if state is JobState.SUCCEEDED and result is not None:
        return result
    if error is not None:
        raise TinyJobError(error.text)
    raise TinyJobError(f"It was still {state} after {_JOB_SECONDS:.0f} s.")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
