# SPDX-License-Identifier: Apache-2.0
"""What a client is told when a job fails: a code, advice, one clear sentence; never a path or a traceback."""

from __future__ import annotations

import errno
import logging
import re

import torch

from blender_addon.protocol.errors import ErrorCode, ProtocolError, Retry, WireError
from pgc.errors import CheckpointError, GuidanceError, PgcError
from pgc.runs.memory.errors import error_chain
from server.children.log import new_error_id
from server.errors import BlobError

__all__ = ["is_disk_full", "memory_figures", "out_of_memory_error", "sticky_error", "wire_error", "without_paths"]

_LOG = logging.getLogger(__name__)
_DISK = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
_PATH = re.compile(r"(?<![\w:/.])(?:[A-Za-z]:)?(?:[/\\](?:[\w.+~@ -]*[\w.+~@-])?)+[/\\]([\w.+~@-]+)")
_GIB = 1 << 30


def is_disk_full(error: BaseException) -> bool:
    """Says whether a write failed for want of space."""
    return any(
        (isinstance(cause, OSError) and cause.errno in _DISK) or "No space left on device" in str(cause)
        for cause in error_chain(error)
    )


def sticky_error(error: BaseException) -> WireError:
    """Returns the error for a failure after which the worker must go: the job is tried again in a new one."""
    err_id = new_error_id()
    _LOG.error("CUDA is unusable from now on", exc_info=error, extra={"err_id": err_id})
    return WireError(
        ErrorCode.WORKER_CUDA,
        Retry.SAME,
        "The graphics card reported an error that ends its use by this worker; a new worker takes over.",
        hint="If it happens again, update the driver, or look into `pgc-server logs`.",
        err_id=err_id,
    )


def memory_figures() -> tuple[int | None, int | None]:
    """Returns the bytes that this process holds at its peak, and the bytes that are free on the graphics card; None
    without one.
    """
    if not (torch.cuda.is_available() and torch.cuda.is_initialized()):
        return None, None
    free, _total = torch.cuda.mem_get_info()
    return torch.cuda.max_memory_allocated(), free


def out_of_memory_error(used: int | None, free: int | None, suggestion: str) -> WireError:
    """Returns the error for a job that does not fit, not even with the last of its plans.

    Args:
        used: bytes that the job held at its peak, where that is known; free: bytes that were free when it failed.
    """
    figures = ""
    if used is not None and free is not None:
        figures = f" It held up to {used / _GIB:.1f} GiB and wanted more, while {free / _GIB:.1f} GiB were free."
    return WireError(
        ErrorCode.RES_OOM,
        Retry.CHANGED,
        f"There is not enough memory for this job, even with one small view a step.{figures}",
        hint=suggestion or None,
    )


def wire_error(error: Exception) -> WireError:
    """Says what a client is told of an error that ended a job."""
    if isinstance(error, ProtocolError):
        return error.error
    if is_disk_full(error):
        return WireError(
            ErrorCode.RES_DISK,
            Retry.LATER,
            "The server's disk is full, so the job's files cannot be written.",
            hint="Free some space on the server, then send the job again.",
        )
    if isinstance(error, GuidanceError):
        return WireError(ErrorCode.MODEL_REFUSED, Retry.CHANGED, without_paths(str(error)), field="guidance.model")
    if isinstance(error, PgcError) and not isinstance(error, CheckpointError):
        return WireError(ErrorCode.INPUT_INVALID, Retry.CHANGED, without_paths(str(error)))
    if isinstance(error, BlobError):
        return WireError(
            ErrorCode.INPUT_MISSING_BLOB,
            Retry.SAME,
            str(error),
            hint="Send the job again: what is missing is uploaded.",
        )
    err_id = new_error_id()
    _LOG.error("a job failed unexpectedly", exc_info=error, extra={"err_id": err_id})
    return WireError(
        ErrorCode.INTERNAL,
        Retry.NEVER,
        f"Something went wrong in the server that should not have (error {err_id}).",
        hint=f"`pgc-server logs {err_id}` shows what; please report it.",
        err_id=err_id,
    )


def without_paths(text: str) -> str:
    """Returns the text with folders of this machine taken out of it; names of files stay. URLs and hub ids are no
    paths.
    """
    return _PATH.sub(r"\1", text)
