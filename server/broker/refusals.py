# SPDX-License-Identifier: Apache-2.0
"""The errors that the broker itself gives clients. None names a path, a process or another user's things."""

from __future__ import annotations

from blender_addon.protocol.errors import ErrorCode, Retry, WireError


def session_unknown() -> WireError:
    """Refuses a message whose session is not known."""
    return WireError(
        ErrorCode.PROTO_SESSION,
        Retry.SAME,
        "This session is not known here: the server or the connection is a new one.",
        hint="Say HELLO again, then send the request again with the same id.",
    )


def not_for_clients(message_type: str) -> WireError:
    """Refuses a message of a type that no client sends on this channel."""
    return WireError(
        ErrorCode.PROTO_UNKNOWN_TYPE, Retry.NEVER, f"{message_type} is nothing that a client sends on this channel."
    )


def job_unknown() -> WireError:
    """Refuses a request about a job that is not there, or is another user's: whether it exists is not told."""
    return WireError(ErrorCode.JOB_UNKNOWN, Retry.NEVER, "There is no such job.", hint="LIST tells the jobs that are.")


def job_finished() -> WireError:
    """Refuses a request about a job that has ended."""
    return WireError(ErrorCode.JOB_FINISHED, Retry.NEVER, "The job has ended already.")


def blob_unknown() -> WireError:
    """Refuses a request about a blob that is not there, or that only others may read."""
    return WireError(ErrorCode.INPUT_MISSING_BLOB, Retry.CHANGED, "There is no such blob.", hint="Upload it first.")


def blob_lost(sha256: str) -> WireError:
    """Refuses a request about a blob that the user may read, and that the store has no more as it was."""
    return WireError(
        ErrorCode.INPUT_MISSING_BLOB,
        Retry.CHANGED,
        "The server has lost these bytes, or its disk has damaged them.",
        field=sha256,
        hint="Upload an input again; make a result again.",
    )


def forbidden(message_type: str) -> WireError:
    """Refuses a message that only admins may send."""
    return WireError(
        ErrorCode.AUTH_FORBIDDEN, Retry.NEVER, f"{message_type} is for admins of this server.", hint="Ask its owner."
    )


def refused_user() -> WireError:
    """Refuses a user who was taken off the list."""
    return WireError(ErrorCode.AUTH_REFUSED, Retry.NEVER, "This key may not use the server any more.")


def draining() -> WireError:
    """Refuses a job, since the server is about to stop."""
    return WireError(ErrorCode.DRAINING, Retry.LATER, "The server is about to stop and takes no new jobs.")


def disk_full() -> WireError:
    """Refuses a request, since the server's disk is full."""
    return WireError(
        ErrorCode.RES_DISK,
        Retry.LATER,
        "The server's disk is full.",
        hint="Make room on the disk of the server's data directory.",
    )


def busy(text: str) -> WireError:
    """Refuses a request for now; `text` says why, and when to send it again."""
    return WireError(ErrorCode.BUSY, Retry.LATER, text)


def flood(seconds: float) -> WireError:
    """Refuses messages that are longer, or more, than any client of ours sends."""
    return WireError(
        ErrorCode.PROTO_TOO_LARGE,
        Retry.CHANGED,
        f"The messages are longer, or more, than this protocol allows; this key is cut off for {seconds:g} s.",
        hint="Send no more than PROTOCOL.md's section 12 says, and wait after BUSY.",
    )


def invalid(field: str | None, text: str, code: ErrorCode = ErrorCode.INPUT_INVALID) -> WireError:
    """Refuses a value that the sender has to change; `field` is its path."""
    return WireError(code, Retry.CHANGED, text, field=field)


def internal(err_id: str) -> WireError:
    """Answers for something that should not happen; the log has the rest under `err_id`."""
    return WireError(
        ErrorCode.INTERNAL,
        Retry.LATER,
        "The server could not do it because of an error of its own.",
        hint=f"Its log tells more under {err_id}.",
        err_id=err_id,
    )
