# SPDX-License-Identifier: Apache-2.0
"""Tables of how the server does under attack, among damaged files, and when it is killed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.benchmarks.markdown import table

__all__ = ["damage", "server_fuzzing", "soak"]

ATTACKS = {
    "broken_uploads": "forty uploads that break off",
    "damaged_frames": "three thousand damaged messages",
    "endless_jobs": "a hundred jobs of 100,000 steps",
    "huge_specs": "jobs that name 20 MiB 64 times",
    "long_headers": "320 headers of 180 KiB",
    "many_frames": "a message of 1.2 GiB",
    "never_reads": "3,000 questions, and no answer read",
    "pings": "PINGs as fast as they go",
    "raw_bytes": "other bytes than the protocol's",
    "sessions": "a hundred new sessions",
    "strangers": "a hundred connections with unknown keys",
    "tiny_frames": "a message of 400,000 frames",
}
"""What the hostile client does, by the name in the result file."""

DAMAGED = {
    "conversations": "messages, in conversations",
    "specs": "specifications of jobs",
    "journals": "journals",
    "checkpoints": "checkpoints",
    "blobs": "blobs and uploads",
    "small_files": "small files of the data folder",
}


def soak(read: Callable[[str], Any]) -> str:
    """Returns how long two clients wait for answers beside a hostile one."""
    found = read("server_soak")
    of_attacks = found["control_ms_by_attack"]
    rows = [_trips("all", found["control_ms"])]
    rows += [_trips(f"during: {words}", of_attacks[name]) for name, words in ATTACKS.items() if name in of_attacks]
    rows.append(_trips("a bare round trip of ZeroMQ, meanwhile", found["floor_ms"]))
    rows.append(_trips("how late a bare timer of 10 ms is, meanwhile", found["timer_late_ms"]))
    return table(["answers to the two others, ms", "count", "median", "99 of 100", "most"], rows)


def _trips(name: str, trips: dict[str, float]) -> list[str]:
    return [name, f"{trips['count']:,}", *(f"{trips[key]:.1f}" for key in ("p50", "p99", "most"))]


def server_fuzzing(read: Callable[[str], Any]) -> str:
    """Returns what damaged input for the server was tried, by kind."""
    found = read("fuzz_server")
    rows = [
        [
            DAMAGED[name],
            f"{item['parts']:,}",
            str(item["failure_count"]),
            f"{item['slowest_ms']:.0f} ms",
        ]
        for name, item in found["targets"].items()
    ]
    earlier = found["earlier_runs"]
    mended = sum(run["failures"] for run in earlier)
    rows.append(["all of these, in earlier runs", f"{sum(run['cases'] for run in earlier):,}", str(mended), ""])
    last = found["after_the_last_mending"]
    rows.append(["all of these, after the last mending", f"{last['cases']:,}", str(last["failures"]), ""])
    cases = found["cases_with_earlier_runs"] + last["cases"]
    rows.append(["together", f"{cases:,}", str(found["failures_together"] + mended + last["failures"]), ""])
    return table(["damaged", "cases", "failures", "slowest"], rows)


def damage(read: Callable[[str], Any]) -> str:
    """Returns what became of jobs while processes were killed and files damaged."""
    found = read("kills_and_damage")
    rows = [
        ["kills", str(found["kills"])],
        ["files damaged, one after each ten kills", str(found["damages"])],
        ["jobs accepted", str(found["jobs_accepted"])],
        ["of these with the bytes of an undisturbed run", str(found["jobs_succeeded_with_equal_bytes"])],
        ["that say that their own file was damaged", str(found["jobs_that_say_that_they_were_damaged"])],
        ["promises broken, as the harness saw them", str(len(found["promises_broken"]))],
        ["slowest start of the server", f"{found['slowest_start_seconds']:.1f} s"],
    ]
    return table(["killed and damaged", ""], rows)
