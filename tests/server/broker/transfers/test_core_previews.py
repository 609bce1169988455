# SPDX-License-Identifier: Apache-2.0
"""Previews: the newest only, against credit, and no slow reader hinders another."""

import pytest

from blender_addon.protocol.messages import (
    Attach,
    Cancel,
    Credit,
    Detach,
    Done,
    Event,
    JobState,
    Preview,
    Snapshot,
)
from server.children.messages import WorkerPreview
from server.config import QuotaConfig
from tests.server.broker.core_rig import CoreRig, User, code_of


def _show(core: CoreRig, job: str, step: int, size: int = 100, tile: int = 1001) -> None:
    core.child("worker", WorkerPreview(job, step, "base_color", tile, 8, 8, 3, "raw_u8"), bytes([step]) * size)


@pytest.fixture
def watched(core: CoreRig) -> tuple[User, str]:
    """A user who watches a running job, and the job."""
    core.ready("worker")
    alice = core.user().upload()
    job = alice.submit()
    alice.ask(Attach(job))
    return alice, job


def _steps(user: User) -> list[int]:
    return [preview.step for preview in user.received(Preview, bulk=True)]


def test_previews_go_out_only_against_credit_and_the_newest_wins(core: CoreRig, watched) -> None:
    alice, job = watched
    for step in range(1, 6):
        _show(core, job, step)
    assert _steps(alice) == []
    alice.credit(150)
    assert _steps(alice) == [5]
    _show(core, job, 6)
    assert _steps(alice) == [5]
    alice.credit(50)
    assert _steps(alice) == [5, 6]
    assert core.state.metrics.counter("previews_replaced") == 4


def test_a_mesh_goes_to_none_but_sessions_of_1_2(core: CoreRig, watched) -> None:
    alice, job = watched
    (session,) = core.state.sessions
    for minor, seen in ((1, []), (2, [2])):
        session.minor = minor
        core.child("worker", WorkerPreview(job, 2, "shape", 1001, 1, 1, 3, "mesh"), bytes(24))
        alice.credit()
        assert _steps(alice) == seen
    session.minor = 1
    alice.ask(Detach(job))
    alice.ask(Attach(job))
    assert _steps(alice) == [2]


def test_each_tile_has_its_own_place(core: CoreRig, watched) -> None:
    alice, job = watched
    for step in (1, 2):
        for tile in (1001, 1002):
            _show(core, job, step, tile=tile)
    alice.credit()
    shown = [(preview.tile, preview.step) for preview in alice.received(Preview, bulk=True)]
    assert shown == [(1001, 2), (1002, 2)]
    seqs = [preview.seq for preview in alice.received(Preview, bulk=True)]
    assert seqs == sorted(set(seqs))


def test_a_slow_reader_gets_no_preview_and_hinders_no_other(core: CoreRig, watched) -> None:
    alice, job = watched
    other = core.user()
    other.ask(Attach(job))
    alice.credit()
    other.credit()
    core.ports.backlogs[alice.bulk] = 1
    for step in (1, 2):
        _show(core, job, step)
    assert (_steps(alice), _steps(other)) == ([], [1, 2])
    core.ports.backlogs.clear()
    core.core.turn()
    assert _steps(alice) == [2]


def test_who_attaches_later_gets_the_newest_preview_and_who_detaches_none(core: CoreRig, watched) -> None:
    _alice, job = watched
    _show(core, job, 3)
    late = core.user()
    late.credit()
    late.ask(Attach(job))
    assert _steps(late) == [3]
    assert late.ask(Detach(job)) == Done()
    _show(core, job, 4)
    assert _steps(late) == [3]


def test_credit_is_bounded(core: CoreRig, watched) -> None:
    alice, _job = watched
    for _ in range(10):
        alice.post(Credit(1 << 40), bulk=True)
    session = core.state.sessions.at(alice.ctl)
    assert session.credit <= 64 << 20


def test_pictures_that_are_too_many_or_of_an_unknown_kind_are_not_kept(core: CoreRig, watched) -> None:
    alice, job = watched
    alice.credit()
    for tile in range(1001, 1101):
        _show(core, job, 1, tile=tile)
    assert len(_steps(alice)) == 64
    core.child("worker", WorkerPreview(job, 9, "base_color", 1001, 8, 8, 3, "gif"), b"x")
    core.child("worker", WorkerPreview(job, 9, "base_color", 1001, 8, 8, 3, "raw_u8"))
    assert 9 not in _steps(alice)


def test_watched_jobs_are_limited(make_core) -> None:
    core = make_core(quotas=QuotaConfig(subscriptions_per_session=1, disk_floor=0))
    alice = core.user().upload()
    first, second = alice.submit(), alice.submit()
    alice.ask(Attach(first))
    assert alice.ask(Attach(first)).info.job == first
    assert code_of(alice.ask(Attach(second))) == "BUSY"
    alice.ask(Detach(first))
    assert alice.ask(Attach(second)).info.job == second


@pytest.mark.parametrize("attach_again", [False, True])
def test_jobs_that_have_ended_do_not_count_among_those_watched(make_core, attach_again: bool) -> None:
    core = make_core(quotas=QuotaConfig(subscriptions_per_session=1, disk_floor=0))
    alice = core.user().upload()
    for _ in range(3):
        job = alice.submit()
        answer = alice.ask(Attach(job))
        assert isinstance(answer, Snapshot), answer
        alice.ask(Cancel(job))
        ended = [event.event for event in alice.received(Event) if event.event.job == job]
        assert ended[-1].state is JobState.CANCELLED
        if attach_again:
            assert isinstance(alice.ask(Attach(job)), Snapshot)
    assert not core.state.sessions.by_sid(alice.session).watching
