# SPDX-License-Identifier: Apache-2.0
"""Kills the server's processes and the client at random moments of a job, and counts what it costs.

    python -m tests.e2e.faults.fault_harness --points 200 --out tests/benchmarks/results/faults.json

A job is 50 oracle steps at 64 texels. Its result must be that of a run that nobody disturbed, bit for bit; nothing
that was accepted may be lost, nothing may come twice.
"""

from __future__ import annotations

import argparse
import bisect
import contextlib
import json
import os
import random
import subprocess
import sys
import time
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from blender_addon import client as wire
from pgc.commands.texturing.remote import source_root
from pgc.remote.private_server import PrivateServer
from tests.benchmarks.conditions import Conditions
from tests.e2e.faults.fault_report import STEPS, VICTIMS, Point, Victim, as_text, summary
from tests.e2e.server_rig import base_color, oracle_job

LOST_AFTER = 180.0
"""Seconds without an end: the job counts as lost."""
INTERVAL = 0.5
"""Seconds between checkpoints: short enough that a job of 50 steps has some."""


@dataclass
class Watch:
    """A client's events of one submission."""

    client: wire.Client
    key: str
    job: str | None = None
    step: int = 0
    first_step_after: int | None = None
    killed_at: float | None = None
    returned_at: float | None = None
    finished: list[wire.JobFinished] = field(default_factory=list)
    error: str | None = None
    times: list[tuple[int, float]] = field(default_factory=list)
    """Step and time of each progress before the kill."""
    away: bool = False
    """The connection was cut, or soon will be seen to be: there is one more to wait for."""

    def take(self, timeout: float) -> None:
        """Look at what came, for so long at most."""
        event = self.client.events.get(timeout=timeout)
        match event:
            case wire.JobAccepted(key=self.key):
                self.job = event.job
            case wire.Connected():
                if self.killed_at is not None and self.returned_at is None:
                    self.returned_at = time.monotonic()
                    self.away = False
            case wire.JobProgress(job=self.job):
                self._progress(event.step)
            case wire.JobFinished(key=self.key):
                self.finished.append(event)
            case wire.JobFailed(key=self.key):
                self.error = f"{event.error.code}: {event.error.text}"
            case wire.ClientFailed() | wire.ServerStartFailed():
                self.error = event.text
            case wire.Refused():
                self.error = event.error.text
            case _:
                pass

    def _progress(self, step: int) -> None:
        if self.killed_at is None:
            self.step = max(self.step, step)
            self.times.append((step, time.monotonic()))
        elif self.first_step_after is None:
            self.first_step_after = step

    @property
    def step_seconds(self) -> float:
        """Of one step, from the first progress to the last; 0 where there were not two."""
        if not self.times or self.times[-1][0] <= self.times[0][0]:
            return 0.0
        (first, start), (last, end) = self.times[0], self.times[-1]
        return (end - start) / (last - first)

    def work_lost(self) -> float:
        """Seconds from the step that the job went on from to the kill; 0 where it went on from a later one."""
        if self.killed_at is None or self.first_step_after is None or self.first_step_after > self.step:
            return 0.0
        after = bisect.bisect_left(self.times, (self.first_step_after, 0.0))
        if after == len(self.times):
            return 0.0
        step, reached = self.times[after]
        if after > 0 and step > self.first_step_after:
            before, then = self.times[after - 1]
            reached = then + (reached - then) * (self.first_step_after - before) / (step - before)
        return self.killed_at - reached

    @property
    def over(self) -> bool:
        return (bool(self.finished) and not self.away) or self.error is not None


class FaultHarness:
    """One server for all points; whoever was killed comes back by the product's own means only."""

    def __init__(self, seed: int = 0, checkpoint_seconds: float = INTERVAL) -> None:
        self.random = random.Random(seed)
        self.checkpoint_seconds = checkpoint_seconds
        options = ("--checkpoint-seconds", str(checkpoint_seconds))
        self.server = PrivateServer("cpu", options, source=source_root())
        self.spec, self.arrays = oracle_job(steps=STEPS)
        self.truth = b""
        self.duration = 0.0
        self.step_seconds = 0.0

    def run(self, points: int, say: Any = lambda text: None) -> list[Point]:
        """Kill so many times, each kind of victim as often as the others."""
        with self.server, wire.Client(self.server.connection, starter=self.server) as client:
            self._measure(client)
            say(f"undisturbed: {self.duration:.2f} s")
            found: list[Point] = []
            for number in range(points):
                victim = VICTIMS[number % len(VICTIMS)]
                # A little beyond the end, too: a result that nobody has fetched yet is at stake there.
                point = Point(victim, self.random.uniform(0.0, 1.1 * self.duration))
                start = time.monotonic()
                with contextlib.ExitStack() as stack:
                    self._disturb(point, client, stack)
                point.seconds = time.monotonic() - start
                found.append(point)
                say(f"{number + 1}/{points} {json.dumps(asdict(point))}")
            return found

    def _measure(self, client: wire.Client) -> None:
        """The undisturbed result; twice, since the first one waits for the worker to come up."""
        for _ in range(2):
            watch = self._submit(client)
            start = time.monotonic()
            self._finish(watch)
            if watch.error is not None or not watch.finished:
                raise RuntimeError(f"The undisturbed job failed: {watch.error or 'no end'}")
            self.duration = time.monotonic() - start
            self.step_seconds = watch.step_seconds
            self.truth = base_color(watch.finished[0])

    def _submit(self, client: wire.Client, key: str | None = None) -> Watch:
        key = client.submit(self.spec, self.arrays, key=key)
        return Watch(client, key)

    @staticmethod
    def _finish(watch: Watch) -> None:
        deadline = time.monotonic() + LOST_AFTER
        while not watch.over and time.monotonic() < deadline:
            watch.take(0.2)

    def _disturb(self, point: Point, client: wire.Client, stack: contextlib.ExitStack) -> None:
        if point.victim == "client":
            watch = self._kill_client(point, stack)
        else:
            watch = self._submit(client)
            self._wait(point.delay, watch)
            self._note(point, watch)
            point.killed = self._kill(point.victim)
            watch.away = point.killed and point.victim == "broker"
        self._finish(watch)
        # What comes twice comes soon after.
        for _ in range(3):
            watch.take(0.05)
        self._judge(point, watch)

    @staticmethod
    def _wait(seconds: float, watch: Watch) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            watch.take(min(left, 0.05))

    @staticmethod
    def _note(point: Point, watch: Watch) -> None:
        watch.killed_at = time.monotonic()
        point.accepted_before = watch.job is not None
        point.step_before = watch.step

    def _kill(self, victim: Victim) -> bool:
        """kill -9. False where there is no such process at the moment."""
        if self.server.pid is None:
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            broker = psutil.Process(self.server.pid)
            if victim == "broker":
                broker.kill()
                return True
            for child in broker.children(recursive=True):
                if f"server.{victim}" in " ".join(child.cmdline()):
                    child.kill()
                    return True
        return False

    def _kill_client(self, point: Point, stack: contextlib.ExitStack) -> Watch:
        """A client in a process of its own is killed; another one with its key takes its place."""
        key = uuid.uuid4().hex
        command = [sys.executable, "-m", "tests.e2e.faults.fault_client", str(self.server.connection), key]
        process = subprocess.Popen(command, cwd=source_root(), stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        # It says when it has submitted: from then on the delay counts.
        process.stdout.readline()
        time.sleep(point.delay)
        process.kill()
        rest = process.communicate()[0]
        lines = [json.loads(line) for line in rest.splitlines() if line.endswith("}")]
        point.killed = True
        point.accepted_before = any("job" in line for line in lines)
        point.step_before = max((line.get("step", 0) for line in lines), default=0)
        client = stack.enter_context(wire.Client(self.server.connection, starter=self.server))
        killed_at = time.monotonic()
        watch = self._submit(client, key)
        watch.killed_at, watch.step = killed_at, point.step_before
        return watch

    def _judge(self, point: Point, watch: Watch) -> None:
        point.error = watch.error
        point.ends = len(watch.finished)
        point.equal = bool(watch.finished) and base_color(watch.finished[0]) == self.truth
        point.step_after = watch.first_step_after
        if watch.first_step_after is not None:
            point.steps_lost = max(0, point.step_before - watch.first_step_after)
            point.work_lost = watch.work_lost()
        if watch.returned_at is not None and watch.killed_at is not None:
            point.return_seconds = watch.returned_at - watch.killed_at


def main() -> int:
    """Run by hand; exit code 1 where something was lost, doubled or different."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--checkpoint-seconds", type=float, default=INTERVAL)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    conditions = Conditions()
    harness = FaultHarness(options.seed, options.checkpoint_seconds)

    def say(text: str) -> None:
        sys.stderr.write(text + "\n")

    points = harness.run(options.points, say)
    table = summary(points, harness.duration, harness.step_seconds, harness.checkpoint_seconds)
    table = {**table, "seed": options.seed, "conditions": conditions.as_dict()}
    if options.out is not None:
        options.out.write_text(as_text(table, points), encoding="utf-8")
    sys.stdout.write(json.dumps(table, indent=1) + "\n")
    return int(bool(table["jobs_lost"] or table["results_twice"] or table["results_different"]))


if __name__ == "__main__":
    sys.exit(main())
