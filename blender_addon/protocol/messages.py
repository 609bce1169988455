# SPDX-License-Identifier: Apache-2.0
"""Every message of the protocol. PROTOCOL.md says who sends what, when, on which channel."""

from __future__ import annotations

from typing import TypeAlias

from .fields import check_id
from .job_messages import (
    Accepted,
    Attach,
    Cancel,
    Detach,
    Event,
    Jobs,
    ListJobs,
    Pause,
    Reorder,
    ResultAck,
    Resume,
    Snapshot,
    Submit,
)
from .limits import DEFAULT_LIMITS
from .records import (
    BlobProgress,
    EventKind,
    JobEvent,
    JobInfo,
    JobResult,
    JobState,
    MapFile,
    ModelInfo,
    PreviewCodec,
)
from .session_messages import (
    Bye,
    Done,
    Drain,
    Error,
    FreeGpu,
    Hello,
    Metrics,
    MetricsText,
    Ping,
    Pong,
    Reject,
    Status,
    StatusReport,
    Welcome,
)
from .transfer_messages import BlobNeed, BlobOk, BlobPut, BlobQuery, Chunk, Credit, Get, Preview

__all__ = [
    "LARGE_HEADERS",
    "MESSAGES",
    "Accepted",
    "Attach",
    "BlobNeed",
    "BlobOk",
    "BlobProgress",
    "BlobPut",
    "BlobQuery",
    "Bye",
    "Cancel",
    "Chunk",
    "Credit",
    "Detach",
    "Done",
    "Drain",
    "Error",
    "Event",
    "EventKind",
    "FreeGpu",
    "Get",
    "Hello",
    "JobEvent",
    "JobInfo",
    "JobResult",
    "JobState",
    "Jobs",
    "ListJobs",
    "MapFile",
    "Message",
    "Metrics",
    "MetricsText",
    "ModelInfo",
    "Pause",
    "Ping",
    "Pong",
    "Preview",
    "PreviewCodec",
    "Reject",
    "Reorder",
    "ResultAck",
    "Resume",
    "Snapshot",
    "Status",
    "StatusReport",
    "Submit",
    "Welcome",
    "check_id",
]  # fmt: skip

Message: TypeAlias = (
    Hello | Welcome | Reject | Ping | Pong | Bye | Submit | Accepted | Attach | Snapshot | Detach | Event | Credit
    | Preview | BlobQuery | BlobNeed | BlobPut | BlobOk | Get | Chunk | ResultAck | Cancel | Pause | Resume | Reorder
    | Done | ListJobs | Jobs | Status | StatusReport | Metrics | MetricsText | FreeGpu | Drain | Error
)  # fmt: skip

_ALL: tuple[type[Message], ...] = (
    Hello, Welcome, Reject, Ping, Pong, Bye, Submit, Accepted, Attach, Snapshot, Detach, Event, Credit, Preview,
    BlobQuery, BlobNeed, BlobPut, BlobOk, Get, Chunk, ResultAck, Cancel, Pause, Resume, Reorder, Done, ListJobs, Jobs,
    Status, StatusReport, Metrics, MetricsText, FreeGpu, Drain, Error,
)  # fmt: skip
MESSAGES: dict[str, type[Message]] = {message.TYPE: message for message in _ALL}
"""The class of each message by its name on the wire."""

LARGE_HEADERS: dict[type[Message], int] = {Submit: DEFAULT_LIMITS.header, BlobQuery: 96 << 10}
"""Bytes of the header of a client's message, where it may have more than `limits.SMALL_HEADER`."""
