# SPDX-License-Identifier: Apache-2.0
"""Figures of the broker as OpenMetrics text.

metrics = Metrics()
metrics.count("jobs_accepted")
text = metrics.text({"queue_depth": 3.0})
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

COUNTERS: Mapping[str, str] = {
    "jobs_accepted": "Jobs taken on",
    "jobs_succeeded": "Jobs that ended well",
    "jobs_failed": "Jobs that failed",
    "jobs_cancelled": "Jobs that were cancelled",
    "jobs_poisoned": "Jobs set aside after killing their workers",
    "submits_refused": "SUBMITs answered with an error",
    "messages_received": "Messages of clients",
    "messages_refused": "Messages that broke the protocol",
    "bytes_received": "Blob bytes from clients",
    "bytes_sent": "Blob bytes to clients",
    "previews_sent": "Previews delivered",
    "previews_replaced": "Previews that a newer one replaced before they were sent",
    "credit_stalls": "Times that a preview waited for a client's credit",
    "sessions_dropped": "Sessions ended because they read too slowly or went silent",
    "out_of_memory": "Jobs that failed for lack of memory",
    "preemptions": "Batch jobs that made room for interactive ones",
    "respawns": "Child processes started again",
    "checkpoints": "Checkpoints of workers",
    "clock_jumps": "Sleeps of the machine that were noticed",
    "auth_failures": "Connections refused for their key",
    "turned_away": "Connections ended because there were too many without a key or a session",
    "connections_cut": "Connections cut for messages without end",
    "clients_cut_off": "Clients cut off for floods",
}
GAUGES: Mapping[str, str] = {
    "queue_depth": "Jobs that wait",
    "jobs_running": "Jobs that run",
    "sessions": "Connected sessions",
    "queue_wait_seconds": "Wait of the job that started last",
    "step_seconds": "Median time of a step of the newest run",
    "loop_lag_seconds": "99th percentile of the loop's newest turns",
    "resident_bytes": "Memory of the broker",
    "disk_free_bytes": "Room where the data directory is",
    "degraded": "1 when a child process kept dying",
}
_PREFIX = "pgc_server"
_KEPT = 1024


class Metrics:
    """Counters and gauges; names that are not declared above are an error."""

    def __init__(self) -> None:
        self._counters = dict.fromkeys(COUNTERS, 0.0)
        self._gauges = dict.fromkeys(GAUGES, 0.0)
        self._turns: deque[float] = deque(maxlen=_KEPT)

    def count(self, name: str, amount: float = 1.0) -> None:
        """Adds an amount to a counter."""
        self._counters[name] += amount

    def set(self, name: str, value: float) -> None:
        """Sets a gauge. Raises KeyError for one that does not exist."""
        if name not in self._gauges:
            raise KeyError(name)
        self._gauges[name] = value

    def set_total(self, name: str, value: float) -> None:
        """Takes over a counter that is kept elsewhere."""
        if name not in self._counters:
            raise KeyError(name)
        self._counters[name] = value

    def turn(self, seconds: float) -> None:
        """Notes the length of one turn of the loop, without its waiting."""
        self._turns.append(seconds)

    def loop_lag(self) -> float:
        """Returns the 99th percentile of the newest turns, in seconds."""
        ordered = sorted(self._turns)
        return ordered[int(0.99 * (len(ordered) - 1))] if ordered else 0.0

    def counter(self, name: str) -> float:
        """Returns what a counter has come to."""
        return self._counters[name]

    def gauge(self, name: str) -> float:
        """Returns what a gauge was set to last."""
        return self._gauges[name]

    def text(self) -> str:
        """Returns all figures as OpenMetrics 1.0."""
        self.set("loop_lag_seconds", self.loop_lag())
        lines: list[str] = []
        for name, help_text in COUNTERS.items():
            full = f"{_PREFIX}_{name}"
            lines += [f"# TYPE {full} counter", f"# HELP {full} {help_text}."]
            lines.append(f"{full}_total {self._counters[name]:g}")
        for name, help_text in GAUGES.items():
            full = f"{_PREFIX}_{name}"
            lines += [f"# TYPE {full} gauge", f"# HELP {full} {help_text}.", f"{full} {self._gauges[name]:.9g}"]
        return "\n".join([*lines, "# EOF", ""])
