# SPDX-License-Identifier: Apache-2.0
"""Errors that go over the wire: a code, whether to try again, and a sentence for a person."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

__all__ = ["ErrorCode", "FieldError", "ProtocolError", "Retry", "WireError", "invalid"]


class ErrorCode(enum.StrEnum):
    """What went wrong. PROTOCOL.md says for each what to do."""

    PROTO_BAD_FRAME = "PROTO.BAD_FRAME"
    PROTO_TOO_LARGE = "PROTO.TOO_LARGE"
    PROTO_UNKNOWN_TYPE = "PROTO.UNKNOWN_TYPE"
    PROTO_VERSION = "PROTO.VERSION"
    PROTO_SESSION = "PROTO.SESSION"
    AUTH_REFUSED = "AUTH.REFUSED"
    AUTH_FORBIDDEN = "AUTH.FORBIDDEN"
    INPUT_INVALID = "INPUT.INVALID"
    INPUT_UNKNOWN_FIELD = "INPUT.UNKNOWN_FIELD"
    INPUT_CONFLICT = "INPUT.CONFLICT"
    INPUT_MISSING_BLOB = "INPUT.MISSING_BLOB"
    INPUT_HASH = "INPUT.HASH"
    QUOTA_JOBS = "QUOTA.JOBS"
    QUOTA_BYTES = "QUOTA.BYTES"
    BUSY = "BUSY"
    DRAINING = "DRAINING"
    MODEL_MISSING = "MODEL.MISSING"
    MODEL_REFUSED = "MODEL.REFUSED"
    MODEL_HASH = "MODEL.HASH"
    RES_OOM = "RES.OOM"
    RES_DISK = "RES.DISK"
    JOB_UNKNOWN = "JOB.UNKNOWN"
    JOB_FINISHED = "JOB.FINISHED"
    JOB_POISONED = "JOB.POISONED"
    WORKER_LOST = "WORKER.LOST"
    WORKER_STALLED = "WORKER.STALLED"
    WORKER_CUDA = "WORKER.CUDA"
    INTERNAL = "INTERNAL"


class Retry(enum.StrEnum):
    """Whether the same request may work another time."""

    NEVER = "never"
    SAME = "same"
    """At once, with the same id."""
    LATER = "later"
    CHANGED = "changed"
    """Only after the person has changed something."""


@dataclass(frozen=True, slots=True)
class WireError:
    """An error as it travels. Holds no paths of the server's machine and no traceback.

    Args:
        text: one sentence for a person: what came, what was expected.
        field: path of the offending field, such as `meshes[0].faces[12]`; for INPUT.MISSING_BLOB the hashes, separated
            by spaces.
        hint: what to do.
        err_id: finds the entry in the server's log.
    """

    code: ErrorCode
    retry: Retry
    text: str
    field: str | None = None
    hint: str | None = None
    err_id: str | None = None


class ProtocolError(Exception):
    """Something does not follow the protocol. `error` may be sent to the other side as it is, as an answer to `re`."""

    def __init__(self, error: WireError) -> None:
        super().__init__(f"{error.field}: {error.text}" if error.field else error.text)
        self.error = error
        self.re: str | None = None

    def inside(self, path: str) -> ProtocolError:
        """Returns the same error, seen from one level further out: `path` goes before its field."""
        return ProtocolError(replace(self.error, field=join(path, self.error.field)))


class FieldError(ValueError):
    """A field of a message is out of range. Raised by `__post_init__`, where the path from outside is not known.

    Args:
        field: path inside the object at hand.
        text: one sentence.
    """

    def __init__(self, field: str, text: str) -> None:
        super().__init__(f"{field}: {text}")
        self.field = field
        self.text = text


def join(outer: str, inner: str | None) -> str:
    """Joins two parts of a path."""
    if not inner or not outer:
        return outer or inner or ""
    return f"{outer}{inner}" if inner.startswith("[") else f"{outer}.{inner}"


def invalid(field: str, text: str, code: ErrorCode = ErrorCode.INPUT_INVALID) -> ProtocolError:
    """Returns a ProtocolError about one field, which the sender has to change."""
    return ProtocolError(WireError(code, Retry.CHANGED, text, field=field or None))
