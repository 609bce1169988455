# SPDX-License-Identifier: Apache-2.0
"""server/FAILURES.md promises nothing without a test."""

import re
from pathlib import Path

from server.config import Supervision

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "server" / "FAILURES.md").read_text("utf-8")


def test_every_line_names_tests_that_there_are() -> None:
    lines = [line for line in PAGE.splitlines() if line.startswith("| ") and "What fails" not in line]
    assert len(lines) > 10
    for line in lines:
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", line.split(" | ")[2])
        assert named, line
        for file, test in named:
            path = ROOT / "tests" / file
            assert path.is_file(), file
            assert f"def {test}(" in path.read_text("utf-8"), f"{file} has no {test}"


def test_the_times_on_the_page_are_the_servers() -> None:
    limits = Supervision()
    signal = limits.cancel_terminate + limits.stack_dump
    times = f"Stacks after {limits.cancel_terminate:g} s, SIGTERM after {signal:g} s"
    assert f"{times}, SIGKILL after {signal + limits.cancel_kill:g} s" in PAGE
    worker = (ROOT / "server" / "worker" / "main.py").read_text("utf-8")
    sticky = re.search(r"EXIT_STICKY = (\d+)", worker)
    assert f"exit code {sticky[1]}" in PAGE
    assert f"{limits.stall_factor:g} times the usual, at least {limits.stall_floor:g} s" in PAGE
    assert f"no sign of life for {limits.beat_limit:g} s" in PAGE
    assert f"After {limits.respawns} tries in {limits.respawn_window / 60:g} minutes" in PAGE
    assert limits.attempts == 3
