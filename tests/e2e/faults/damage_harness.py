# SPDX-License-Identifier: Apache-2.0
"""Kills the server's processes at random moments while jobs are sent, and after each ten kills damages a random file of
its data folder before it starts again.

    python -m tests.e2e.faults.damage_harness --kills 200 --seed 1 --out tests/benchmarks/results/kills_and_damage.json

What was accepted is there after each start and ends once, in the bytes of an undisturbed run; or its own record, blobs
or specification were damaged, and it says so. Nothing is deleted, and the server starts each time. With an `--out` that
is there, the rounds in it count, and the run goes on after them. Exit code 1 where a promise was broken.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from blender_addon.protocol.arrays import blob_of
from blender_addon.protocol.messages import Accepted, Attach, Error, Jobs, JobState, ListJobs, Snapshot, Submit
from server.storage.jobs import TERMINAL
from tests.benchmarks.conditions import Conditions
from tests.e2e.faults.damaged_server import DamagedServer, damage
from tests.e2e.server_rig import oracle_job
from tests.server.broker.rig import Client
from tests.server.fuzzing.judge import contents, lost

VICTIMS = ("broker", "worker", "gate")
STEPS = 50
END_SECONDS = 240.0
"""Without a step of a job, or of one before it, after which it counts as stuck."""
VOLATILE = ("logs/", "journal", "connection.json", "clock.json", "pgc-server.json", "server.lock", "blobs/tmp/",
            "blobs/partial/", "quarantine/", "keys/")  # fmt: skip
"""What a server writes anew as it likes. The journal and its copies are judged by the jobs in them."""


@dataclass
class Round:
    """Some kills, and the damage after them."""

    number: int
    kills: dict[str, int] = field(default_factory=dict)
    damaged: str = ""
    how: str = ""
    accepted: int = 0
    succeeded: int = 0
    failed: list[str] = field(default_factory=list)
    """Jobs that say that what they need was damaged: the error's code and text."""
    unknown_after_journal_damage: int = 0
    start_seconds: float = 0.0
    seconds: float = 0.0
    broken: list[str] = field(default_factory=list)
    """Promises that were not kept."""


class DamageHarness:
    """One data folder for all rounds of a run."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._seed = seed
        self.server = DamagedServer(folder / "data")
        self._spec, arrays = oracle_job(steps=STEPS)
        self._blobs = [blob_of(array) for array in arrays.values()]
        self._inputs = set(arrays)
        self.truth: tuple[str, ...] = ()
        self.jobs: dict[str, str] = {}
        """Accepted jobs that are not over, with their keys; and those that are, until the round's end."""
        self._client: Client | None = None

    def run(self, rounds: range, kills: int, say: Callable[[Round], None], choose: str | None = None) -> None:
        """`choose`: part of the name of the files that are damaged; any by default."""
        try:
            self.server.start()
            self._measure()
            for number in rounds:
                say(self._round(number, kills, choose))
        finally:
            self._leave()
            self.server.end()

    def _round(self, number: int, kills: int, choose: str | None) -> Round:
        rng, found = Random(f"damage {self._seed} {number}"), Round(number)
        started = time.monotonic()
        for _ in range(kills):
            self._submit(found)
            time.sleep(rng.uniform(0.0, 2.0))
            victim = rng.choice(VICTIMS)
            killed = self.server.kill(victim)
            found.kills[victim] = found.kills.get(victim, 0) + killed
            if victim == "broker":
                self._start(found)
            self._check_listed(found, "after a kill")
        self._submit(found)
        self.server.kill("broker")
        self._leave()
        before = self._files()
        found.damaged, found.how = damage(rng, self.server.paths.root, choose)
        self._start(found)
        gone = [path for path in lost(before, self._files(everything=True)) if path != found.damaged]
        if gone:
            found.broken.append(f"gone are {gone}")
        self._judge(found)
        found.seconds = round(time.monotonic() - started, 1)
        return found

    # Steps of a round

    def _measure(self) -> None:
        """The result of an undisturbed run."""
        nobody = Round(-1)
        self._submit(nobody)
        self._judge(nobody)
        if nobody.broken or not self.truth:
            raise RuntimeError(f"The undisturbed job failed: {nobody}")

    def _start(self, found: Round) -> None:
        self._leave()
        began = time.monotonic()
        sentence = self.server.start()
        found.start_seconds = max(found.start_seconds, round(time.monotonic() - began, 1))
        if sentence is not None:
            found.broken.append(f"the server did not start after {found.how or 'a kill'} {found.damaged}: {sentence}")
            self.server.mend(found.damaged)
            if (again := self.server.start()) is not None:
                raise RuntimeError(f"The server does not start any more: {again}")

    def _leave(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def client(self) -> Client:
        """A client with a session, as the local user."""
        if self._client is None:
            self._client = Client(self.server.connection(), timeout=60.0)
            self._client.hello()
        return self._client

    def _submit(self, found: Round) -> None:
        key, answer = uuid.uuid4().hex, None
        for _ in range(3):
            answer = self.client().ask(Submit(key, self._spec))
            if isinstance(answer, Accepted):
                self.jobs[answer.job] = key
                found.accepted += 1
                return
            if isinstance(answer, Error) and answer.error.code.value == "INPUT.MISSING_BLOB":
                self.client().upload(*self._blobs)
            time.sleep(0.5)
        found.broken.append(f"a job was not accepted: {answer}")

    def _listed(self) -> set[str]:
        answer = self.client().ask(ListJobs())
        if not isinstance(answer, Jobs):
            raise RuntimeError(f"LIST was answered with {answer}.")
        return {info.job for info in answer.jobs}

    def _check_listed(self, found: Round, when: str) -> None:
        for job in self.jobs.keys() - self._listed():
            del self.jobs[job]
            found.broken.append(f"{job} is not known any more {when}")

    def _judge(self, found: Round) -> None:
        """Every job's end: one, and the right one."""
        listed = self._listed()
        for job in list(self.jobs):
            if job not in listed:
                if "journal" in found.damaged and self.server.journal_was_damaged():
                    found.unknown_after_journal_damage += 1
                else:
                    found.broken.append(f"{job} is not known any more after {found.how} {found.damaged}")
            elif (snapshot := self._end_of(job)) is None:
                found.broken.append(f"{job} did not end")
            else:
                self._judge_end(found, job, snapshot)
            del self.jobs[job]

    def _judge_end(self, found: Round, job: str, snapshot: Snapshot) -> None:
        info, result = snapshot.info, snapshot.result
        ends = [event for event in snapshot.events if event.kind == "state" and event.state in TERMINAL]
        if len(ends) > 1 or (not ends and "journal" not in found.damaged):
            found.broken.append(f"{job} has {len(ends)} ends")
        if info.state is JobState.SUCCEEDED and result is not None:
            maps = tuple(file.sha256 for file in result.maps)
            self.truth = self.truth or maps
            if maps != self.truth:
                found.broken.append(f"{job} has another result")
            found.succeeded += 1
        elif info.error is None:
            found.broken.append(f"{job} ended as {info.state.value} and says nothing")
        else:
            told = f"{info.error.code.value}: {info.error.text}"
            found.failed.append(told)
            if not self._is_its_own(job, found, info.error.field or ""):
                found.broken.append(f"{job}: {told} after {found.how} {found.damaged}")

    def _is_its_own(self, job: str, found: Round, field: str) -> bool:
        """Whether what was damaged belongs to the job: its folder, its inputs, or the table that its row stands in."""
        name = found.damaged.rsplit("/", 1)[-1]
        return job in found.damaged or name in self._inputs or found.damaged.startswith("journal.sqlite")

    def _end_of(self, job: str) -> Snapshot | None:
        deadline, seen = time.monotonic() + END_SECONDS, None
        while time.monotonic() < deadline:
            answer = self.client().ask(Attach(job, 0))
            if isinstance(answer, Snapshot) and answer.info.state in TERMINAL:
                return answer
            place = (answer.info.position, answer.info.step) if isinstance(answer, Snapshot) else seen
            if place != seen:  # It gets on, however busy the machine is.
                seen, deadline = place, time.monotonic() + END_SECONDS
            self.client().unasked.clear()
            time.sleep(0.3)
        return None

    def _files(self, everything: bool = False) -> dict[str, str]:
        found: dict[str, str] = {}
        for _ in range(5):
            with suppress(FileNotFoundError):  # A running server renames as it likes.
                found = contents(self.server.paths.root)
                break
        return found if everything else {path: digest for path, digest in found.items() if _is_kept(path)}


def _is_kept(path: str) -> bool:
    return not path.startswith(VOLATILE) and not path.endswith((".tmp", ".new.safetensors"))


def summary(rounds: list[Round]) -> dict[str, Any]:
    """Counts over all rounds."""
    kills = [sum(item.kills.values()) for item in rounds]
    return {
        "kills": sum(kills),
        "kills_by_victim": {victim: sum(item.kills.get(victim, 0) for item in rounds) for victim in VICTIMS},
        "damages": sum(bool(item.damaged) for item in rounds),
        "jobs_accepted": sum(item.accepted for item in rounds),
        "jobs_succeeded_with_equal_bytes": sum(item.succeeded for item in rounds),
        "jobs_that_say_that_they_were_damaged": sum(len(item.failed) for item in rounds),
        "jobs_unknown_after_damage_to_the_journal": sum(item.unknown_after_journal_damage for item in rounds),
        "promises_broken": [text for item in rounds for text in item.broken],
        "slowest_start_seconds": max((item.start_seconds for item in rounds), default=0.0),
        "seconds": round(sum(item.seconds for item in rounds), 1),
    }


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--every", type=int, default=10, help="kills between two damages")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--choose", help="part of the name of the files that are damaged")
    parser.add_argument("--quick", action="store_true", help="four kills, two damages")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    kills, every = (4, 2) if options.quick else (options.kills, options.every)
    stored = json.loads(options.out.read_text()) if options.out is not None and options.out.is_file() else {}
    rounds = [Round(**item) for item in stored.get("rounds", [])]
    conditions = Conditions()

    def say(found: Round) -> None:
        rounds.append(found)
        sys.stderr.write(json.dumps(asdict(found)) + "\n")
        content = {**summary(rounds), "seed": options.seed, "conditions": conditions.as_dict()}
        content["looked_into"] = stored.get("looked_into", [])  # By people, who wrote what they found.
        content["rounds"] = [asdict(item) for item in rounds]
        if options.out is not None:
            options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    with tempfile.TemporaryDirectory(prefix="pgc-damage-", ignore_cleanup_errors=True) as folder:
        DamageHarness(Path(folder), options.seed).run(range(len(rounds), kills // every), every, say, options.choose)
    table = summary(rounds)
    sys.stdout.write(json.dumps(table, indent=1) + "\n")
    return int(bool(table["promises_broken"]))


if __name__ == "__main__":
    sys.exit(main())
