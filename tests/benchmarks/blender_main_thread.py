# SPDX-License-Identifier: Apache-2.0
"""How long the extension holds Blender's main thread, and how long a click takes until the server has the job.

    PGC_BPY_PYTHON=… [chrt -r 10] python tests/benchmarks/blender_main_thread.py

Blender runs in a process of its own (tests/blender/probes/session/probe_main_thread.py). Ticks are measured on a
replayed stream of events while no worker runs; the click goes to a real server. The result is written to
results/blender-main-thread.json, with the machine; the exit code is 1 where a promise is broken.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.conditions import Conditions
from tests.blender.blender_process import ROOT, BlenderProcess, find_blender

PROBE = ROOT / "tests" / "blender" / "probes" / "session" / "probe_main_thread.py"
RESULT = Path(__file__).with_name("results") / "blender-main-thread.json"
PROMISES = {
    "tick_p99_ms": 16.0,
    "longest_block_ms": 150.0,
    "draw_p50_ms": 1.0,
    "poll_p50_ms": 1.0,
    "click_to_accepted_p50_ms": 250.0,
}
"""CPU milliseconds of the main thread; the click in wall time, since most of it is the server's.

The block is that of maps with 5 random bits a value, 15 bits a pixel as PNG: the most that base colors of the built-in
prior were seen to take. Pure noise, which no PNG makes smaller, is measured beside it. Blender 4.2 copies the files
into its undo step, which takes as long as the system needs for fresh memory; 4.5 and later share them.
"""


@contextlib.contextmanager
def running_server(folder: Path) -> Iterator[Path]:
    """The connection file of a private server, which ends with its standard input."""
    command = [sys.executable, "-m", "server", "start", "--data", str(folder), "--device", "cpu", "--until-eof"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as server:
        path = folder / "connection.json"
        end = time.monotonic() + 60
        while not path.exists() and time.monotonic() < end:
            time.sleep(0.1)
        try:
            yield path
        finally:
            assert server.stdin is not None
            server.stdin.close()
            server.wait(60)


def measure(blender: BlenderProcess, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """All figures."""

    def call(probe: str, **given: object) -> Any:
        return blender.call(PROBE, probe, given, work=folder / "blender", limit=280)

    found = {
        "versions": call("version"),
        "previews_1024": call("previews", side=1024, count=arguments.previews),
        "finals_4096": call("finals", side=4096, bits=5),
        "finals_4096_of_noise": call("finals", side=4096, bits=8),
        "panel_1000_objects": call("panel", objects=1000),
    }
    with running_server(folder / "server") as connection:
        found["click"] = call("click", connection=str(connection), triangles=100_000, clicks=arguments.clicks)
    return found


def kept(found: dict[str, Any]) -> dict[str, float]:
    """The figures that something was promised of."""
    return {
        "tick_p99_ms": found["previews_1024"]["cpu_p99_ms"],
        "longest_block_ms": found["finals_4096"]["cpu_max_ms"],
        "draw_p50_ms": found["panel_1000_objects"]["draw"]["cpu_p50_ms"],
        "poll_p50_ms": found["panel_1000_objects"]["poll"]["cpu_p50_ms"],
        "click_to_accepted_p50_ms": found["click"]["click_to_accepted"]["wall_p50_ms"],
    }


def scheduling() -> str:
    """How this process and its children are scheduled: on a busy machine real-time priority stands for an idle one."""
    if not hasattr(os, "sched_getscheduler"):
        return "unknown"
    policies = {os.SCHED_OTHER: "normal", os.SCHED_RR: "real-time, round robin", os.SCHED_FIFO: "real-time, FIFO"}
    return f"{policies.get(os.sched_getscheduler(0), 'other')}, nice {os.getpriority(os.PRIO_PROCESS, 0)}"


def main() -> int:
    """Measure, write, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--previews", type=int, default=400, help="how many previews are replayed")
    parser.add_argument("--clicks", type=int, default=9, help="how many clicks are timed")
    parser.add_argument("--out", type=Path, default=RESULT)
    arguments = parser.parse_args()
    blender = find_blender(os.environ)
    if blender is None:
        sys.stderr.write("No Blender here: PGC_BPY_PYTHON names a Python with bpy, BLENDER_BIN Blender itself.\n")
        return 2
    conditions = Conditions()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(blender, Path(folder), arguments)
    figures = kept(found)
    broken = [name for name, value in figures.items() if value > PROMISES[name]]
    surroundings = conditions.as_dict() | {"scheduling": scheduling()}
    result = {"figures": figures, "promised": PROMISES, "broken": broken, **found, "conditions": surroundings}
    arguments.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for name, value in figures.items():
        sys.stdout.write(f"{name:28} {value:8.2f}  promised {PROMISES[name]:6.1f}\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
