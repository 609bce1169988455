# SPDX-License-Identifier: Apache-2.0
"""What the figures of a benchmark depend on: machine, load, commit, versions.

conditions = Conditions()
...measure...
result["conditions"] = conditions.as_dict()
"""

from __future__ import annotations

import os
import platform
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import zmq

ROOT = Path(__file__).resolve().parents[2]
MEASURED = ("server", "blender_addon/protocol", "blender_addon/client")
"""What the server's benchmarks measure: a change there that is not committed is told."""


class Conditions:
    """Made before the measurement, read after it: the load counts at both ends."""

    def __init__(self) -> None:
        self._load = _load()
        self._began = time.time()
        self._idle = psutil.cpu_times().idle
        self._commit = _git("rev-parse", "--short=12", "HEAD")
        self._changed = [line.split()[-1] for line in _git("status", "--porcelain", "--", *MEASURED).splitlines()]

    def as_dict(self) -> dict[str, Any]:
        """Load averages are of 1, 5 and 15 minutes; None where the system has none."""
        seconds = time.time() - self._began
        cores = os.cpu_count() or 1
        idle = (psutil.cpu_times().idle - self._idle) / max(seconds * cores, 1e-9)
        affinity = len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else cores
        return {
            "commit": self._commit or None,
            "uncommitted": self._changed,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._began)),
            "seconds": round(seconds, 1),
            "processor": _processor(),
            "cores": cores,
            "cores_allowed": affinity,
            "memory_gib": round(psutil.virtual_memory().total / (1 << 30), 1),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "python": platform.python_version(),
            "libzmq": zmq.zmq_version(),
            "load_before": self._load,
            "load_after": _load(),
            "idle_share": round(idle, 3),
        }


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest of `values` that at least `share` of them do not exceed. `values`: one at least."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, -int(-share * len(ordered) // 1) - 1))]


def _load() -> list[float] | None:
    return [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None


def _git(*arguments: str) -> str:
    """Empty where this is no checkout, or git is missing."""
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
