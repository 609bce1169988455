# SPDX-License-Identifier: Apache-2.0
"""Rows of the journal as jobs, events and grants. What a disk has changed into something that none of ours can be is
found here, before it reaches a list that its owner could then not read."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgpack  # pyright: ignore[reportMissingTypeStubs]

from blender_addon.protocol.errors import ProtocolError, WireError
from blender_addon.protocol.fields import check_id, check_text
from blender_addon.protocol.messages import JobEvent, JobResult, JobState
from server.storage.blobs import is_sha256
from server.storage.jobs import JobRow
from server.storage.records import dump, load

__all__ = ["COLUMNS", "LARGEST", "DamagedRow", "Grant", "event_of", "grant_of", "is_owner", "row_of", "values_of"]

_LOG = logging.getLogger(__name__)
COLUMNS: tuple[str, ...] = (
    "job", "user", "key", "digest", "name", "interactive", "created", "rank", "state", "paused", "cancelling",
    "attempt", "crashes", "restarts", "checkpoint_step", "steps", "seq", "finished", "acked", "error", "result",
)  # fmt: skip
_TYPES: dict[str, type] = {
    **dict.fromkeys(COLUMNS, int),
    **dict.fromkeys(("job", "user", "key", "digest", "name", "state"), str),
    **dict.fromkeys(("created", "finished", "acked"), float),
    **dict.fromkeys(("error", "result"), bytes),
}
_OPTIONAL = frozenset({"finished", "acked", "error", "result"})
_FLAGS = ("interactive", "paused", "cancelling")
LARGEST = 1 << 53
"""Of every whole number: what is counted up from it still fits into 64 bits, and into a float."""
_LONGEST_USER = 64
# What reading a record of arbitrary bytes can raise; ProtocolError and msgpack's own errors among them.
_NO_RECORD = (ValueError, TypeError, KeyError, ProtocolError, msgpack.exceptions.UnpackException)


@dataclass(frozen=True)
class Grant:
    """A user may read, and use in jobs, a blob of this many bytes; `used`: when it was last uploaded or named."""

    user: str
    sha256: str
    size: int
    used: float


@dataclass(frozen=True)
class DamagedRow:
    """A row of the journal that is no job: its values by column, and what is wrong."""

    values: dict[str, Any]
    reason: str


def values_of(row: JobRow) -> dict[str, Any]:
    """Returns what the table holds of a job, by column."""
    values = {name: getattr(row, name) for name in COLUMNS}
    values["state"] = row.state.value
    values["error"] = None if row.error is None else dump(row.error)
    values["result"] = None if row.result is None else dump(row.result)
    return values


def row_of(values: Sequence[Any]) -> JobRow | DamagedRow:
    """Returns the job in a row of `COLUMNS`, or what is wrong with it."""
    try:
        return _row(values)
    except _NO_RECORD as error:
        return DamagedRow(dict(zip(COLUMNS, values, strict=True)), f"{type(error).__name__}: {error}")


def event_of(job: str, seq: int, data: Any) -> JobEvent | None:  # noqa: ANN401 - whatever stands in the table
    """Returns the event in a record; None, and a line in the log, where it is none, or another job's."""
    try:
        event = load(JobEvent, data)
        if (event.job, event.seq) != (job, seq):
            raise ValueError(f"it is event {event.seq} of {event.job}")
    except _NO_RECORD as error:
        _LOG.error("journal: an event cannot be read (%s)", error, extra={"job": job})
        return None
    return event


def grant_of(values: Sequence[Any]) -> Grant | None:
    """Returns the grant in a row; None where it is none."""
    if not _has_types(values, (str, str, int, float)):
        return None
    user, sha256, size, used = values
    fine = is_owner(user) and is_sha256(sha256) and 0 <= size < LARGEST and math.isfinite(used)
    return Grant(user, sha256, size, used) if fine else None


def is_owner(user: object) -> bool:
    """Says whether this can be a user: a key, or another short text."""
    return isinstance(user, str) and 0 < len(user) <= _LONGEST_USER and user.isascii() and user.isprintable()


def _has_types(values: Sequence[Any], types: Sequence[type]) -> bool:
    # A whole number is a number too, as SQLite keeps 3.0.
    return all(isinstance(v, (int, float) if t is float else t) for v, t in zip(values, types, strict=True))


def _row(values: Sequence[Any]) -> JobRow:
    fields = dict(zip(COLUMNS, values, strict=True))
    for name, value in fields.items():
        if not (name in _OPTIONAL and value is None):
            _check_value(name, value)
    for name in _FLAGS:
        fields[name] = bool(fields[name])
    fields["state"] = JobState(fields["state"])
    fields["error"] = None if fields["error"] is None else load(WireError, fields["error"])
    fields["result"] = None if fields["result"] is None else load(JobResult, fields["result"])
    # What is old is deleted. A time from before the job was made comes from a clock that was put back, or from a disk.
    for name, least in (("finished", "created"), ("acked", "finished")):
        if fields[name] is not None and fields[least] is not None:
            fields[name] = max(fields[name], fields[least])
    row = JobRow(**fields)
    _check_row(row)
    return row


def _check_value(name: str, value: Any) -> None:  # noqa: ANN401 - whatever stands in the table
    """Raises ValueError or TypeError. No text of theirs names the value, which may be an artist's words."""
    if not _has_types([value], [_TYPES[name]]):
        raise TypeError(f"{name} is of type {type(value).__name__}")
    if isinstance(value, int | float) and not 0 <= value < LARGEST:
        raise ValueError(f"{name} is out of range")
    if name in _FLAGS and value > 1:
        raise ValueError(f"{name} is neither yes nor no")


def _check_row(row: JobRow) -> None:
    check_id("job", row.job)
    check_id("key", row.key)
    check_text("name", row.name)
    if not is_owner(row.user):
        raise ValueError("user is no key")
    told = {JobState.SUCCEEDED: row.result, JobState.FAILED: row.error}
    if row.is_terminal and (row.finished is None or told.get(row.state, row) is None):
        raise ValueError("the end is not complete")
