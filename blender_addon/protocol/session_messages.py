# SPDX-License-Identifier: Apache-2.0
"""Messages about the connection and the server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from .errors import FieldError, WireError
from .fields import check_id
from .limits import DEFAULT_LIMITS, Limits
from .records import JobInfo, ModelInfo

__all__ = [
    "Bye",
    "Done",
    "Drain",
    "Error",
    "FreeGpu",
    "Hello",
    "Metrics",
    "MetricsText",
    "Ping",
    "Pong",
    "Reject",
    "Status",
    "StatusReport",
    "Welcome",
]


@dataclass(frozen=True, slots=True)
class Hello:
    """First message on each channel. protocols: (major, highest minor) that the client speaks, best first."""

    TYPE: ClassVar[str] = "HELLO"
    protocols: tuple[tuple[int, int], ...]
    client: str
    session: str | None = None

    def __post_init__(self) -> None:
        check_id("session", self.session)


@dataclass(frozen=True, slots=True)
class Welcome:
    """Answer to HELLO. jobs: this user's; maps: what jobs may ask for."""

    TYPE: ClassVar[str] = "WELCOME"
    protocol: tuple[int, int]
    server: str
    session: str
    bulk_port: int
    limits: Limits = DEFAULT_LIMITS
    models: tuple[ModelInfo, ...] = ()
    devices: tuple[str, ...] = ()
    jobs: tuple[JobInfo, ...] = ()
    draining: bool = False
    maps: tuple[str, ...] = ("base_color",)

    def __post_init__(self) -> None:
        check_id("session", self.session)
        if not 1 <= self.bulk_port <= 65535:
            raise FieldError("bulk_port", f"Got {self.bulk_port}; expected 1 to 65535.")


@dataclass(frozen=True, slots=True)
class Reject:
    """Answer to a HELLO that cannot be served."""

    TYPE: ClassVar[str] = "REJECT"
    error: WireError


@dataclass(frozen=True, slots=True)
class Ping:
    """Is the application there? Answered by PONG with the same number."""

    TYPE: ClassVar[str] = "PING"
    n: int


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to PING."""

    TYPE: ClassVar[str] = "PONG"
    n: int


@dataclass(frozen=True, slots=True)
class Bye:
    """A side ends the connection. Jobs go on."""

    TYPE: ClassVar[str] = "BYE"


@dataclass(frozen=True, slots=True)
class Error:
    """A request could not be met; the envelope's `re` is the request's id, where it was read."""

    TYPE: ClassVar[str] = "ERROR"
    error: WireError


@dataclass(frozen=True, slots=True)
class Done:
    """Yes, to a request that has no other answer."""

    TYPE: ClassVar[str] = "DONE"


@dataclass(frozen=True, slots=True)
class Status:
    """A question for the state of the server."""

    TYPE: ClassVar[str] = "STATUS"


@dataclass(frozen=True, slots=True)
class StatusReport:
    """Answer to STATUS. uptime_s: seconds; sizes in bytes; facts: further figures by name."""

    TYPE: ClassVar[str] = "STATUS_REPORT"
    server: str
    state: Literal["starting", "ready", "degraded", "draining"]
    uptime_s: float
    queued: int
    running: int
    sessions: int
    workers: int
    devices: tuple[str, ...] = ()
    models: tuple[ModelInfo, ...] = ()
    memory: int = 0
    disk_free: int = 0
    facts: dict[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Metrics:
    """Figures for a monitoring system, please."""

    TYPE: ClassVar[str] = "METRICS"


@dataclass(frozen=True, slots=True)
class MetricsText:
    """Answer to METRICS, in OpenMetrics' text format."""

    TYPE: ClassVar[str] = "METRICS_TEXT"
    text: str


@dataclass(frozen=True, slots=True)
class FreeGpu:
    """Leave the GPU's memory as soon as no job runs (admin)."""

    TYPE: ClassVar[str] = "FREE_GPU"


@dataclass(frozen=True, slots=True)
class Drain:
    """Take no more jobs, save the running ones, end (admin)."""

    TYPE: ClassVar[str] = "DRAIN"
