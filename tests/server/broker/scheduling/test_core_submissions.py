# SPDX-License-Identifier: Apache-2.0
"""SUBMIT: idempotent, checked, within quotas, and on the disk before ACCEPTED."""

import sqlite3
import uuid
from dataclasses import replace

import msgpack
import pytest

from blender_addon.protocol.arrays import ArrayRef, DType
from blender_addon.protocol.errors import ErrorCode, Retry, WireError
from blender_addon.protocol.messages import Accepted, Error, Submit
from blender_addon.protocol.specs.job import ModelSpec
from server.broker.disk_words import DiskRoom
from server.children.messages import GateVerdict, Validate
from server.config import QuotaConfig, Supervision
from tests.server.broker.core_rig import ALICE, BOB, BOSS, CoreRig, code_of
from tests.server.broker.rig import spec

KEY = "1" * 32


def test_the_same_key_gives_the_same_job_and_another_payload_a_conflict(core: CoreRig) -> None:
    alice, bob = core.user(ALICE).upload(), core.user(BOB).upload()
    first = alice.ask(Submit(KEY, spec("a")))
    again = alice.ask(Submit(KEY, spec("a")))
    assert (first.job, first.duplicate, again.job, again.duplicate) == (again.job, False, first.job, True)
    assert code_of(alice.ask(Submit(KEY, spec("b")))) == "INPUT.CONFLICT"
    assert bob.ask(Submit(KEY, spec("a"))).job != first.job
    core.restart()
    assert core.user(ALICE).ask(Submit(KEY, spec("a"))).job == first.job
    assert len(core.state.jobs) == 2


def test_the_same_key_twice_before_the_gate_has_spoken_is_one_job(core: CoreRig) -> None:
    core.auto_gate = False
    alice = core.user().upload()
    ids = [alice.post(Submit(KEY, spec("a"))) for _ in range(2)]
    core.settle()
    assert code_of(alice.ask(Submit(KEY, spec("b")))) == "INPUT.CONFLICT"
    core.judge_all()
    core.settle()
    answers = {e.re: e.message for _to, e in core.ports.sent if isinstance(e.message, Accepted)}
    assert answers.keys() == set(ids)
    assert len({answer.job for answer in answers.values()}) == 1
    assert [answers[name].duplicate for name in ids] == [False, True]


def test_accepted_comes_only_after_the_journal_has_the_job(core: CoreRig) -> None:
    alice = core.user().upload()
    core.ports.broken_journal = sqlite3.OperationalError("disk I/O error")
    assert code_of(alice.ask(Submit(KEY, spec()))) == "RES.DISK"
    core.ports.broken_journal = None
    job = alice.submit(key=KEY)
    assert [row.job for row in core.journal.jobs()] == [job]
    assert core.paths.spec(job).is_file()


def test_a_disk_that_takes_no_spec_is_told_as_such(core: CoreRig) -> None:
    alice = core.user().upload()
    alice.post(Submit(KEY, spec()))
    work, done = core.ports.todo.popleft()
    done(work(), None)
    core.ports.broken_disk = OSError(28, "No space left on device: /secret/place")
    core.settle()
    (error,) = alice.received(Error)
    assert error.error.code is ErrorCode.RES_DISK
    assert "/secret" not in repr(error)
    assert len(core.core.submissions) == 0


def test_missing_blobs_and_wrong_sizes_are_refused_with_their_place(core: CoreRig) -> None:
    alice = core.user()
    answer = alice.ask(Submit(KEY, spec()))
    assert code_of(answer) == "INPUT.MISSING_BLOB"
    assert len(answer.error.field.split()) == 3
    alice.upload()
    job = spec()
    faces = job.meshes[0].faces
    wrong = replace(job.meshes[0], faces=ArrayRef(faces.sha256, DType.I32, (2, 3)), corner_uvs=None)
    answer = alice.ask(Submit(KEY, replace(job, meshes=(wrong,))))
    assert code_of(answer) == "INPUT.INVALID"
    assert answer.error.field == "meshes[0].faces"


def test_the_gates_no_is_the_answer_and_leaves_nothing_behind(core: CoreRig) -> None:
    core.auto_gate = False
    alice = core.user().upload()
    alice.post(Submit(KEY, spec()))
    core.settle()
    (validate,) = core.told(Validate, "gate")
    error = WireError(ErrorCode.INPUT_INVALID, Retry.CHANGED, "index 9", "meshes[0].faces[12]")
    core.child("gate", GateVerdict(validate.job, False, error))
    core.settle()
    assert [message.error for message in alice.received(Error)] == [error]
    assert not core.paths.job(validate.job).exists()
    assert core.journal.jobs() == []


def test_a_gate_that_dies_of_a_job_gets_a_second_one_and_then_the_job_is_to_blame(core: CoreRig) -> None:
    core.auto_gate = False
    alice = core.user().upload()
    alice.post(Submit(KEY, spec("bad")))
    alice.post(Submit("2" * 32, spec("good")))
    core.settle()
    for _ in range(2):
        core.end("gate", code=-11)
        core.ready("gate")
    (answer,) = alice.received(Error)
    assert answer.error.code is ErrorCode.INPUT_INVALID
    assert "crash (SIGSEGV), twice" in answer.error.text
    core.judge_all()
    core.settle()
    assert len(alice.received(Accepted)) == 1


def test_a_job_that_takes_the_gate_too_long_is_refused_at_once(make_core) -> None:
    core = make_core(supervision=Supervision(gate_limit=30.0))
    core.auto_gate = False
    alice = core.user().upload()
    alice.post(Submit(KEY, spec()))
    core.settle()
    core.tick(29.0)
    assert core.ports.processes["gate", 0].calls == []
    core.tick(3.0)
    (answer,) = alice.received(Error)
    assert answer.error.code is ErrorCode.INPUT_INVALID
    assert "30 s" in answer.error.text


@pytest.mark.parametrize(
    ("code", "said"), [(-9, "SIGKILL"), (-15, "SIGTERM"), (3, "exit code 3"), (0, "exit code 0"), (-99, "signal 99")]
)
def test_a_gate_that_is_ended_from_outside_blames_no_geometry(core: CoreRig, code: int, said: str) -> None:
    """By a person, the system that ran out of memory, or a fault of its own."""
    core.auto_gate = False
    alice = core.user().upload()
    alice.post(Submit(KEY, spec()))
    core.settle()
    core.end("gate", code=code)
    core.ready("gate")
    assert alice.received(Error) == [], "once may be chance"
    core.end("gate", code=code)
    (answer,) = alice.received(Error)
    assert (answer.error.code, answer.error.retry) == (ErrorCode.WORKER_LOST, Retry.LATER)
    assert said in answer.error.text
    assert "geometry" not in answer.error.text


def _stand_still(core: CoreRig, seconds: int) -> None:
    """Time passes, and the gate does not beat."""
    for _ in range(seconds):
        core.ports.clock, core.ports.wall_clock = core.ports.clock + 1, core.ports.wall_clock + 1
        core.core.tick()
        core.settle()


def test_a_gate_that_is_stopped_is_replaced_and_the_job_goes_through(core: CoreRig) -> None:
    core.auto_gate = False
    alice = core.user().upload()
    alice.post(Submit(KEY, spec()))
    core.settle()
    _stand_still(core, 32)
    assert core.ports.processes["gate", 0].calls == [], "a new one"
    core.ready("gate")
    core.judge_all()
    core.settle()
    assert alice.received(Error) == []
    assert len(alice.received(Accepted)) == 1


def test_two_gates_that_are_stopped_blame_no_geometry(core: CoreRig) -> None:
    """What was seen: "Send less, or simpler, geometry" after a gate was sent SIGSTOP."""
    core.auto_gate = False
    alice = core.user().upload()
    alice.post(Submit(KEY, spec()))
    core.settle()
    for _ in range(2):
        _stand_still(core, 32)
        core.ready("gate")
    alice_was = [message.error for message in alice.received(Error)]
    assert [(error.code, error.retry) for error in alice_was] == [(ErrorCode.WORKER_STALLED, Retry.LATER)]
    assert "gave no sign of life for 30 s, twice" in alice_was[0].text
    assert "geometry" not in alice_was[0].text


def test_without_a_gate_that_lives_the_server_is_busy_and_degraded(core: CoreRig) -> None:
    alice = core.user().upload()
    for _ in range(core.config.supervision.respawns + 1):
        core.end("gate", code=1)
    assert code_of(alice.ask(Submit(KEY, spec()))) == "BUSY"
    assert core.core.controls.condition() == "degraded"
    core.tick(core.config.supervision.respawn_window + 1)
    core.ready("gate")
    alice = core.user()
    assert isinstance(alice.ask(Submit(KEY, spec())), Accepted)


@pytest.mark.parametrize(
    ("quotas", "code"),
    [(QuotaConfig(jobs_per_user=2, disk_floor=0), "QUOTA.JOBS"), (QuotaConfig(jobs=2, disk_floor=0), "BUSY")],
)
def test_jobs_are_limited(make_core, quotas: QuotaConfig, code: str) -> None:
    core = make_core(quotas=quotas)
    alice = core.user().upload()
    for _ in range(2):
        alice.submit()
    assert code_of(alice.ask(Submit(KEY, spec()))) == code


def test_submits_that_wait_for_the_gate_are_limited(core: CoreRig, monkeypatch) -> None:
    monkeypatch.setattr("server.broker.scheduling.submissions.MAX_PENDING_PER_USER", 3)
    core.auto_gate = False
    alice = core.user().upload()
    for number in range(4):
        alice.post(Submit(f"{number:032x}", spec()))
    core.settle()
    (answer,) = alice.received(Error)
    assert (answer.error.code, answer.error.retry) == (ErrorCode.BUSY, Retry.LATER)


def _checked(core: CoreRig, names: dict[str, str]) -> list[str]:
    """Who is looked at by the gate, in turn, until nobody waits."""
    order = []
    while waiting := core.told(Validate, "gate"):
        core.ports.to_children.clear()
        (check,) = waiting
        order.append(names[msgpack.unpackb(core.paths.spec(check.job).read_bytes())["name"]])
        core.child("gate", GateVerdict(check.job, True))
        core.settle()
    return order


def test_users_take_turns_before_the_gate(core: CoreRig) -> None:
    """One user's twenty jobs delay another's by the check that runs, and no more."""
    core.auto_gate = False
    users = {name: core.user(key).upload() for name, key in (("a", ALICE), ("b", BOB), ("c", BOSS))}
    for name in "aaaaabbc":
        users[name].post(Submit(uuid.uuid4().hex, spec(name)))
        core.settle()
    assert _checked(core, {name: name for name in users}) == list("abcabaaa")
    # Who had many turns before has no fewer now.
    for name in "aab":
        users[name].post(Submit(uuid.uuid4().hex, spec(name)))
        core.settle()
    assert _checked(core, {name: name for name in users}) == list("aba")


def test_a_job_that_the_gate_died_of_stays_the_first(core: CoreRig) -> None:
    core.auto_gate = False
    alice, bob = core.user(ALICE).upload(), core.user(BOB).upload()
    alice.post(Submit(KEY, spec("a")))
    core.settle()
    core.end("gate")
    bob.post(Submit(KEY, spec("b")))
    core.settle()
    core.ports.to_children.clear()
    core.tick(2.0)
    core.ready("gate")
    assert _checked(core, {"a": "a", "b": "b"}) == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "bad", "good", "code"),
    [
        ("draining", True, False, "DRAINING"),
        ("disk", DiskRoom(0, 1), DiskRoom(1, 1), "RES.DISK"),
        ("journal_stuck", True, False, "RES.DISK"),
    ],
)
def test_nothing_new_is_taken_on_while_it_cannot_be_kept(core: CoreRig, name: str, bad, good, code: str) -> None:
    alice = core.user().upload()
    setattr(core.state, name, bad)
    assert code_of(alice.ask(Submit(KEY, spec()))) == code
    setattr(core.state, name, good)
    assert isinstance(alice.ask(Submit(KEY, spec())), Accepted)


def test_a_drain_ends_the_wait_for_the_gate(core: CoreRig) -> None:
    core.auto_gate = False
    alice = core.user().upload()
    alice.post(Submit(KEY, spec()))
    alice.post(Submit("2" * 32, spec()))
    core.settle()
    core.core.drain()
    core.end("worker", code=0)
    core.end("gate", code=0)
    assert [message.error.code for message in alice.received(Error)] == [ErrorCode.DRAINING] * 2
    assert core.core.is_drained()
    assert core.journal.jobs() == []


def test_a_late_verdict_is_ignored(core: CoreRig) -> None:
    core.child("gate", GateVerdict("0" * 32, True))
    core.settle()
    assert core.state.jobs == {}


def test_the_jobs_position_counts_those_before_it(core: CoreRig) -> None:
    alice = core.user().upload()
    answers = [alice.ask(Submit(f"{number:032x}", spec())) for number in range(3)]
    assert [answer.position for answer in answers] == [0, 1, 2]


def test_a_model_that_the_server_does_not_know_is_refused_before_it_waits(core: CoreRig) -> None:
    alice = core.user().upload()
    unknown = replace(spec(), guidance=ModelSpec(model="sd99"))
    assert isinstance(alice.ask(Submit(uuid.uuid4().hex, unknown)), Accepted)  # No worker has told its models yet.
    core.ready("worker")
    answer = alice.ask(Submit(uuid.uuid4().hex, unknown))
    assert code_of(answer) == "MODEL.MISSING"
    assert answer.error.field == "guidance.model"
    assert "pocket" in answer.error.text
    for model in ("pocket", "sdxl", "oracle"):
        known = replace(spec(), guidance=ModelSpec(model=model))
        assert isinstance(alice.ask(Submit(uuid.uuid4().hex, known)), Accepted)
