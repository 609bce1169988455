# SPDX-License-Identifier: Apache-2.0
"""The gate process: looks at one submission after another, and says what is wrong with it."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import platform
from pathlib import Path
from typing import IO

import psutil

from blender_addon.protocol.errors import ErrorCode, ProtocolError, Retry, WireError
from blender_addon.protocol.specs.mesh_checks import Passed
from server.children.link import BrokerGone, Link
from server.children.log import new_error_id
from server.children.messages import GateVerdict, Ready, Stop, Validate
from server.children.settings import ChildSettings
from server.config import ServerPaths
from server.gate.validation import validate
from server.platform import limit_cpu, limit_memory
from server.storage.blobs import BlobStore

__all__ = ["Caps", "judge", "serve"]

_LOG = logging.getLogger(__name__)
_GIB = 1 << 30


class Caps:
    """What looking at one submission may cost.

    Args:
        memory: bytes beyond what the process has at its start; cpu: seconds of processor time.
    """

    def __init__(self, memory: int = 2 * _GIB, cpu: float = 30.0) -> None:
        self.memory = memory
        self.cpu = cpu


class _TakesTooLongError(Exception):
    """The processor time of one submission is used up."""


def serve(settings: ChildSettings, stdin: IO[bytes], caps: Caps | None = None) -> int:
    """Validates until the broker says stop or is gone; returns the exit code."""
    caps = caps or Caps()
    paths = ServerPaths(Path(settings.data_dir))
    # Address space, so what is mapped at the start (libraries, thread stacks) is not counted.
    limited = limit_memory(psutil.Process().memory_info().vms + caps.memory)
    if not limited:
        _LOG.info("this system cannot cap the gate's memory; sizes are checked before anything is read")
    store, passed = BlobStore(paths.blobs), Passed()
    link = Link(settings, stdin, watchdog=True)
    link.watch(lambda message: os._exit(0) if isinstance(message, BrokerGone) else None)
    link.start(Ready(settings.role, settings.index, os.getpid(), _versions(), ()))
    try:
        while True:
            message = link.receive(timeout=0.5)
            if isinstance(message, Stop | BrokerGone):
                return 0
            if isinstance(message, Validate):
                error = judge(paths, store, message.job, caps, passed)
                link.step_counter += 1
                link.send(GateVerdict(message.job, error is None, error))
    finally:
        link.close()


def judge(paths: ServerPaths, store: BlobStore, job: str, caps: Caps, passed: Passed | None = None) -> WireError | None:
    """Says what is wrong with a submission; None where nothing is. Nothing is raised, whatever the submission holds."""

    def exceeded() -> None:
        raise _TakesTooLongError

    limit_cpu(caps.cpu, exceeded)
    try:
        validate(paths, store, job, passed)
    except ProtocolError as error:
        return error.error
    except _TakesTooLongError:
        return WireError(
            ErrorCode.PROTO_TOO_LARGE,
            Retry.CHANGED,
            f"Checking the job took more than {caps.cpu:.0f} s; send a smaller mesh.",
        )
    except MemoryError:
        return WireError(
            ErrorCode.PROTO_TOO_LARGE,
            Retry.CHANGED,
            f"Checking the job took more than {caps.memory / _GIB:.0f} GiB of memory; send a smaller mesh.",
        )
    except Exception as error:  # noqa: BLE001 - untrusted input must not end the gate
        err_id = new_error_id()
        _LOG.error("a submission could not be checked", exc_info=error, extra={"job": job, "err_id": err_id})
        return WireError(
            ErrorCode.INTERNAL,
            Retry.NEVER,
            f"The job could not be checked because of an error in the server (error {err_id}).",
            hint=f"`pgc-server logs {err_id}` shows what; please report it.",
            err_id=err_id,
        )
    finally:
        limit_cpu(10 * 365 * 86400.0, lambda: None)
    return None


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), "numpy": importlib.metadata.version("numpy")}
