# SPDX-License-Identifier: Apache-2.0
"""Damaged and generated messages of several clients into the broker's whole logic, with journal, store and children.

A case is a conversation; each of its messages counts. Whatever comes, nothing unforeseen is raised, every message that
needs an answer has one that its client can read, no accepted job is lost or changed, and no blob goes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from blender_addon.protocol.codec import Envelope, decode, encode, peek_id, request_id
from blender_addon.protocol.errors import ErrorCode, ProtocolError, Retry, WireError
from blender_addon.protocol.messages import BlobPut, Bye, Credit, Error, Hello, Message, Submit
from server.broker.ports import Address
from server.children.messages import Run, WorkerCancelled, WorkerCheckpoint, WorkerFailed, WorkerNotice, WorkerProgress
from tests.blender_addon.protocol import samples
from tests.blender_addon.protocol.mutations import Mutator
from tests.server.broker.core_rig import ALICE, BOB, BOSS, CoreRig, User
from tests.server.broker.rig import BLOBS, spec
from tests.server.fuzzing.judge import WrongError

__all__ = ["Conversations"]

MESSAGES = 60
"""Of one conversation."""
_STRANGER = "d" * 40
_SILENT = (Bye, Credit)
_SHAS = tuple(hashlib.sha256(data).hexdigest() for data in BLOBS)


class Conversations:
    """A broker of its own for each conversation."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._seed = folder, seed
        self._mutator = Mutator(seed)

    def case(self, number: int) -> Sequence[str]:
        """See `Target`."""
        rng = Random(f"conversation {self._seed} {number}")
        self._mutator.reseed(rng.randrange(1 << 62))
        root = self._folder / "conversation"
        rig = _Rig(root)
        try:
            talk = _Talk(rig, rng, self._mutator)
            outcomes = [talk.message() for _ in range(MESSAGES)]
            talk.check()
            return outcomes
        finally:
            rig.crash()
            shutil.rmtree(root)

    def close(self) -> None:
        """See `Target`."""


class _Rig(CoreRig):
    """Remembers what went wrong inside, and reads each answer as the client would."""

    def boot(self) -> None:
        self.faults: list[str] = []
        super().boot()
        self.state.fault = self._fault
        send = self.ports.send

        def read_too(address: Address, envelope: Envelope) -> None:
            send(address, envelope)
            if decode([bytes(frame) for frame in encode(envelope)]) != envelope:
                raise WrongError(f"a client reads another message than {envelope}")

        self.ports.send = read_too

    def _fault(self, where: str, error: Exception) -> WireError:
        self.faults.append(f"{where}: {type(error).__name__}: {error}")
        return WireError(ErrorCode.INTERNAL, Retry.LATER, "fault")


class _Talk:
    """Three users, two jobs, and what is said."""

    def __init__(self, rig: _Rig, rng: Random, mutator: Mutator) -> None:
        self.rig, self._rng, self._mutator = rig, rng, mutator
        self._users = [rig.user(key) for key in (ALICE, BOB, BOSS)]
        self._users[0].upload()
        self._accepted = {self._users[0].submit("first"), self._users[0].submit("second", priority="batch")}
        if rng.random() < 0.8:
            rig.ready("worker")

    def message(self) -> str:
        """One message, and now and then what else happens to a server."""
        if self._rng.random() < 0.12:
            self._happen()
        user = self._rng.choice((*self._users, self._users[0], User(self.rig, _STRANGER)))
        envelope = self._envelope(user)
        frames = [bytes(frame) for frame in encode(envelope)]
        if self._rng.random() < 0.75:
            frames = self._mutator.damage(frames)
        bulk = isinstance(envelope.message, _BULK) != (self._rng.random() < 0.08)
        return self._say(user, frames, user.bulk if bulk else user.ctl)

    def _say(self, user: User, frames: list[bytes], address: Address) -> str:
        ports, faults = self.rig.ports, self.rig.faults
        ports.sent.clear()
        self.rig.core.received(address, frames)
        self.rig.settle()
        if faults:
            raise WrongError(f"{faults[0]} after {_shown(frames)}")
        answers = [envelope for to, envelope in ports.sent if to == address]
        meant, name = _read(frames)
        # A job that waits for a gate that died has no answer yet.
        if not answers and not isinstance(meant, (*_SILENT, Submit)):
            raise WrongError(f"no answer to {_shown(frames)}")
        wanted = peek_id(frames)
        found = [envelope.message for envelope in answers if wanted is not None and envelope.re == wanted]
        if isinstance(meant, Hello) and found and found[0].TYPE == "WELCOME" and address == user.ctl:
            user.session = found[0].session
        for answer in found:
            if answer.TYPE == "ACCEPTED":
                self._accepted.add(answer.job)
        if not found:
            return f"{name}: nothing" if not answers else f"{name}: unasked {answers[0].message.TYPE}"
        answer = found[0]
        return f"{name}: {answer.error.code.value if isinstance(answer, Error) else answer.TYPE}"

    def _envelope(self, user: User) -> Envelope:
        message, buffers = self._rng.choice(samples.MESSAGES)
        message, buffers = self._fitting(message, buffers)
        session = user.session if self._rng.random() < 0.96 else samples.SESSION
        return Envelope(message, request_id(), session=session, buffers=buffers)

    def _fitting(self, message: Message, buffers: tuple[bytes, ...]) -> tuple[Message, tuple[bytes, ...]]:
        """The sample with names of things that are there."""
        rng = self._rng
        if isinstance(message, Submit):
            key = f"{rng.randrange(6):032x}"
            return Submit(key, spec(rng.choice(("a", "b")), rng.choice(("batch", "interactive")))), ()
        if isinstance(message, BlobPut):
            data = rng.choice(BLOBS) if rng.random() < 0.5 else rng.randbytes(rng.choice((0, 1, 40, 5000)))
            sha = hashlib.sha256(data).hexdigest()
            at = rng.choice((0, 0, len(data) // 2, len(data)))
            return BlobPut(sha, len(data), at), (data[at : at + rng.choice((1, 100, 1 << 20))],)
        changes: dict[str, Any] = {}
        fields = {field.name for field in dataclasses.fields(message)}
        jobs = sorted(self.rig.state.jobs)
        for name in {"job", "before"} & fields:
            changes[name] = rng.choice((*jobs, samples.JOB, "x"))
        if "sha256" in fields:
            changes["sha256"] = rng.choice((*_SHAS, samples.SHA))
        if "hashes" in fields:
            changes["hashes"] = tuple(rng.choices((*_SHAS, samples.SHA), k=rng.randrange(5)))
        if isinstance(message, Hello):
            changes["session"] = rng.choice((None, *(user.session for user in self._users)))
        return dataclasses.replace(message, **changes), buffers

    def _happen(self) -> None:
        rig, rng = self.rig, self._rng
        match rng.randrange(9):
            case 0:
                rig.restart()
                self._users = [rig.user(user.ctl.user) for user in self._users]
            case 1:
                user = rng.choice(self._users)
                rig.core.unreachable(rng.choice((user.ctl, user.bulk)))
                user.hello()
            case 2 if ("worker", 0) in rig.ports.processes:
                rig.end("worker")
            case 3:
                rig.end("gate")
                rig.ready("gate")
            case 4 if ("worker", 0) in rig.ports.processes:
                rig.ready("worker")
            case 5 | 6 if rig.told(Run):
                self._of_worker(rig.told(Run)[-1])
            case _:
                rig.tick(rng.choice((0.1, 2.0, 31.0, 70.0)))
        rig.settle()

    def _of_worker(self, run: Run) -> None:
        job, attempt = run.job, run.attempt
        if self._rng.random() < 0.3:
            self.rig.finish(job)
            return
        messages = (
            WorkerProgress(job, attempt, 3, 10, 1.0),
            WorkerCheckpoint(job, 3),
            WorkerNotice(job, "hello"),
            WorkerCancelled(job, attempt),
            WorkerFailed(job, attempt, WireError(ErrorCode.RES_OOM, Retry.LATER, "no")),
        )
        self.rig.child("worker", self._rng.choice(messages))

    def check(self) -> None:
        """What was promised is there, in memory and on the disk."""
        rig = self.rig
        rows = {row.job: row for row in rig.journal.jobs()}
        if missing := self._accepted - rows.keys():
            raise WrongError(f"lost jobs {missing}")
        if any(rig.state.jobs[job].row != row for job, row in rows.items()):
            raise WrongError("journal and memory differ")
        for job, row in rows.items():
            if not row.is_terminal and not rig.paths.spec(job).is_file():
                raise WrongError(f"the specification of {job} is gone")
        for user, blobs in rig.state.grants.items():
            if absent := [sha for sha, size in blobs.items() if not rig.store.holds(sha, size)]:
                raise WrongError(f"blobs of {user[:1]} are gone: {absent}")


_BULK = tuple(type(message) for message, _ in samples.MESSAGES if message.TYPE in
              {"BLOB_QUERY", "BLOB_PUT", "GET", "CREDIT"})  # fmt: skip


def _read(frames: list[bytes]) -> tuple[Message | None, str]:
    try:
        message = decode(frames).message
    except ProtocolError:
        return None, "damaged"
    return message, message.TYPE


def _shown(frames: list[bytes]) -> str:
    return repr([frame[:1500] for frame in frames])
