# SPDX-License-Identifier: Apache-2.0
"""What a worker reads for a job: its specification, arrays and files, as the broker wrote them or not at all; and the
run that these make."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgpack  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
import numpy.typing as npt

from blender_addon.protocol.arrays import ArrayRef
from blender_addon.protocol.errors import ErrorCode, ProtocolError, Retry, WireError
from blender_addon.protocol.specs.job import TextureJobSpec
from blender_addon.protocol.structure import from_wire
from pgc.errors import PgcError
from server.config import ServerPaths
from server.errors import ServerError
from server.recipes import JobArrays, JobFiles, JobRun, MeshRun, prepare, prepare_mesh_job
from server.storage.blob_care import read_whole, require_whole
from server.storage.blobs import BlobStore
from server.storage.named_files import NamedFiles, find_named
from server.worker.tools import JobTools

__all__ = ["JobInputs", "make_ready", "read_spec"]

_unpackb: Callable[..., Any] = msgpack.unpackb  # pyright: ignore


def read_spec(paths: ServerPaths, job: str, digest: str = "") -> TextureJobSpec:
    """Reads the specification of a job. `digest`: the SHA-256 that it had when the job was accepted; empty: any will
    do.

    Raises:
        ProtocolError: it is gone, or a disk has damaged it: a changed seed or prompt would pass for what was asked for.
    """
    try:
        data = paths.spec(job).read_bytes()
    except OSError as error:
        raise _lost("cannot be read any more") from error
    if digest and hashlib.sha256(data).hexdigest() != digest:
        raise _lost("is no longer what was sent")
    return from_wire(TextureJobSpec, _unpackb(data, raw=False, strict_map_key=True))


@dataclass(frozen=True, kw_only=True)
class JobInputs:
    """What a specification refers to, each file whole or refused."""

    paths: ServerPaths
    store: BlobStore

    def file_of(self, ref: ArrayRef) -> Path:
        """Returns the path of an array's bytes."""
        require_whole(self.paths, self.store, ref.sha256)
        return self.store.path(ref.sha256)

    def named(self, kind: str, name: str) -> Path:
        """Returns the file or folder that the server's owner gave a name."""
        return Path(find_named(NamedFiles(self.paths.models), kind, name, "conditions").source)

    def read(self, ref: ArrayRef) -> npt.NDArray[Any]:
        """Returns an array that may be written into."""
        data = read_whole(self.paths, self.store, ref.sha256)
        return np.frombuffer(bytearray(data), dtype=ref.dtype.numpy).reshape(ref.shape)


def make_ready(
    tools: JobTools,
    inputs: JobInputs,
    spec: TextureJobSpec,
    plan: int,
    takes_steps: bool,
    tell: Callable[[str, float], None],
) -> tuple[JobRun | MeshRun, Exception | None]:
    """Returns the run of a specification, and why its report names no files of the prior where these are gone.

    Args:
        tools: of the worker.
        inputs: what the specification refers to.
        spec: the specification.
        plan: number of the memory plan.
        takes_steps: False where a result is made of what was kept: that needs none of the prior's files.
        tell: is called with each stage and its share.
    """
    files = JobFiles(spec=spec, file_of=inputs.file_of, named=inputs.named)
    load = files.loading(tools.guidance_for) if takes_steps else tools.guidance_for
    if spec.reshapes:
        arrays = JobArrays(read=inputs.read, file_of=inputs.file_of)
        run = prepare_mesh_job(spec, arrays, tools.device, load, plan=plan, progress=tell)
    else:
        run = prepare(spec, inputs.read, tools.device, load, plan=plan, rasterizer=tools.rasterizer, progress=tell)
    try:
        return replace(run, prior=files.told(run.prior)), None
    except (ProtocolError, PgcError, ServerError, OSError) as error:
        if takes_steps:
            raise
        return run, error


def _lost(how: str) -> ProtocolError:
    text = f"The job's specification {how}: the server's disk has lost or damaged it. The job cannot go on."
    return ProtocolError(WireError(ErrorCode.INTERNAL, Retry.CHANGED, text, hint="Send the job again."))
