# SPDX-License-Identifier: Apache-2.0
"""Blobs up and down, and previews: credit, order, resumption, limits."""

import hashlib
import os

import pytest

from blender_addon.protocol.messages import (
    BlobNeed,
    BlobOk,
    BlobProgress,
    BlobPut,
    BlobQuery,
    Chunk,
    Get,
)
from server.broker.disk_words import DiskRoom
from server.broker.transfers import downloads, uploads
from server.config import QuotaConfig
from tests.server.broker.core_rig import BOB, CoreRig, User, code_of

DATA = os.urandom(10_000)
SHA = hashlib.sha256(DATA).hexdigest()


def _put(user: User, start: int, end: int, data: bytes = DATA) -> object:
    return user.ask(BlobPut(hashlib.sha256(data).hexdigest(), len(data), start), data[start:end], bulk=True)


def test_a_blob_in_pieces_with_a_window_each_time(core: CoreRig) -> None:
    alice = core.user()
    assert _put(alice, 0, 6000) == BlobOk(SHA, 6000, False, uploads.MAX_WINDOW)
    last = _put(alice, 6000, 10_000)
    assert (last.received, last.complete) == (10_000, True)
    assert core.store.read(SHA) == DATA
    assert alice.ask(BlobQuery((SHA,)), bulk=True) == BlobNeed(())
    assert _put(alice, 0, 100).complete


def test_pieces_that_come_together_are_written_in_order_and_each_answered(core: CoreRig) -> None:
    alice = core.user()
    for start in range(0, 10_000, 1000):
        alice.post(BlobPut(SHA, 10_000, start), DATA[start : start + 1000], bulk=True)
    core.settle()
    answers = alice.received(BlobOk, bulk=True)
    assert [answer.received for answer in answers] == list(range(1000, 10_001, 1000))
    assert [answer.complete for answer in answers] == [False] * 9 + [True]


def test_an_upload_goes_on_after_the_servers_crash(core: CoreRig) -> None:
    _put(core.user(), 0, 6000)
    core.restart()
    alice = core.user()
    need = alice.ask(BlobQuery((SHA, "0" * 64)), bulk=True)
    assert [(missing.sha256, missing.received) for missing in need.missing] == [(SHA, 6000), ("0" * 64, 0)]
    assert _put(alice, 6000, 10_000).complete


def test_a_piece_in_the_wrong_place_is_passed_over_and_the_answer_says_where_to_go_on(core: CoreRig) -> None:
    alice = core.user()
    assert _put(alice, 3000, 6000).received == 0
    _put(alice, 0, 6000)
    assert _put(alice, 0, 3000).received == 6000


def test_wrong_bytes_are_refused_and_can_be_sent_again(core: CoreRig) -> None:
    alice = core.user()
    answer = alice.ask(BlobPut(SHA, 10_000, 0), b"x" * 10_000, bulk=True)
    assert code_of(answer) == "INPUT.HASH"
    assert not core.store.has(SHA)
    assert _put(alice, 0, 10_000).complete


def test_a_blob_of_another_user_is_sent_again_and_then_known(core: CoreRig) -> None:
    core.user().upload(DATA)
    bob = core.user(BOB)
    assert not _put(bob, 0, 5000).complete
    assert _put(bob, 5000, 10_000).complete
    assert bob.ask(Get(SHA, 0, 10), bulk=True) == Chunk(SHA, 0, 10_000)


def test_a_restart_forgets_no_blob(core: CoreRig) -> None:
    core.user().upload(DATA)
    core.restart()
    assert core.user().ask(BlobQuery((SHA,)), bulk=True) == BlobNeed(())


@pytest.mark.parametrize(
    ("message", "buffers", "code"),
    [
        (BlobPut(SHA, 10_000, 0), (b"x", b"y"), "INPUT.INVALID"),
        (BlobPut(SHA, 60_000, 0), (b"x",), "QUOTA.BYTES"),
    ],
)
def test_what_is_wrong_with_a_piece_is_told(make_core, message: BlobPut, buffers, code: str) -> None:
    core = make_core(quotas=QuotaConfig(bytes_per_user=50_000, disk_floor=0))
    assert code_of(core.user().ask(message, *buffers, bulk=True)) == code


def test_the_size_of_a_blob_cannot_change_on_the_way(core: CoreRig) -> None:
    alice = core.user()
    _put(alice, 0, 1000)
    assert code_of(alice.ask(BlobPut(SHA, 9000, 1000), b"x", bulk=True)) == "INPUT.INVALID"


def test_uploads_together_are_limited_and_idle_ones_make_room(make_core) -> None:
    core = make_core(quotas=QuotaConfig(uploads_per_user=2, disk_floor=0))
    alice = core.user()
    blobs = [os.urandom(100) for _ in range(3)]
    for data in blobs[:2]:
        _put(alice, 0, 10, data)
    assert code_of(_put(alice, 0, 10, blobs[2])) == "BUSY"
    core.tick(30.0)
    alice.credit(0)
    core.tick(31.0)
    alice.hello()
    assert _put(alice, 0, 10, blobs[2]).received == 10
    assert _put(alice, 10, 100, blobs[2]).complete
    assert _put(alice, 10, 100, blobs[0]).complete


def test_a_client_that_sends_more_than_its_window_is_told_to_wait(core: CoreRig, monkeypatch) -> None:
    monkeypatch.setattr(uploads, "QUEUED_LIMIT", 2000)
    alice = core.user()
    for start in range(0, 10_000, 1000):
        alice.post(BlobPut(SHA, 10_000, start), DATA[start : start + 1000], bulk=True)
    refused = [e for _to, e in core.ports.sent if e.message.TYPE == "ERROR"]
    assert {e.message.error.code.value for e in refused} == {"BUSY"}
    core.settle()
    received = alice.received(BlobOk, bulk=True)[-1].received
    assert 2000 <= received < 10_000


def test_a_full_disk_is_told_to_who_uploads(core: CoreRig) -> None:
    alice = core.user()
    core.ports.broken_disk = OSError(28, "No space left on device")
    assert code_of(_put(alice, 0, 1000)) == "RES.DISK"
    core.ports.broken_disk = None
    core.state.disk = DiskRoom(0, 1)
    assert code_of(_put(alice, 0, 1000)) == "RES.DISK"
    core.state.disk = DiskRoom(1, 1)
    assert _put(alice, 0, 10_000).complete


def test_the_window_shrinks_when_many_upload(core: CoreRig, monkeypatch) -> None:
    monkeypatch.setattr(uploads, "WINDOW_BUDGET", 2 * uploads.MAX_WINDOW)
    alice = core.user()
    windows = [_put(alice, 0, 10, os.urandom(100)).window for _ in range(8)]
    assert windows == sorted(windows, reverse=True)
    assert (windows[0], windows[-1]) == (uploads.MAX_WINDOW, uploads.MAX_WINDOW // 4)


def test_a_blob_down_in_pieces(core: CoreRig) -> None:
    alice = core.user().upload(DATA)
    got = b"".join(bytes(alice.envelope(Get(SHA, at, 4000), bulk=True).buffers[0]) for at in range(0, 10_000, 4000))
    assert got == DATA
    assert code_of(alice.ask(Get(SHA, 10_001, 1), bulk=True)) == "INPUT.INVALID"
    core.store.remove(SHA)
    gone = alice.ask(Get(SHA, 0, 1), bulk=True)
    assert code_of(gone) == "INPUT.MISSING_BLOB"
    assert gone.error.field == SHA


def test_bytes_that_the_disk_has_damaged_are_not_handed_out(core: CoreRig) -> None:
    alice = core.user().upload(DATA)
    assert isinstance(alice.ask(Get(SHA, 0, 10), bulk=True), Chunk)
    core.store.path(SHA).write_bytes(DATA[:-1] + b"?")
    for at in (0, 9_000):
        answer = alice.ask(Get(SHA, at, 10), bulk=True)
        assert code_of(answer) == "INPUT.MISSING_BLOB"
        assert answer.error.field == SHA


def _lose(core: CoreRig) -> None:
    core.store.remove(SHA)


def _cut(core: CoreRig) -> None:
    core.store.path(SHA).write_bytes(DATA[:50])


def _restart_without(core: CoreRig) -> None:
    core.store.remove(SHA)
    core.restart()


@pytest.mark.parametrize("harm", [_lose, _cut, _restart_without])
@pytest.mark.parametrize("asks_first", [True, False])
def test_a_blob_whose_file_is_gone_is_uploaded_again(core: CoreRig, harm, asks_first: bool) -> None:
    """The store decides what is there, not the journal's memory of it."""
    core.user().upload(DATA)
    harm(core)
    alice = core.user()
    if asks_first:
        assert alice.ask(BlobQuery((SHA,)), bulk=True) == BlobNeed((BlobProgress(SHA, 0),))
    alice.upload(DATA)
    assert core.store.read(SHA) == DATA
    assert alice.ask(BlobQuery((SHA,)), bulk=True) == BlobNeed(())
    core.restart()
    assert core.user().ask(BlobQuery((SHA,)), bulk=True) == BlobNeed(())


def test_a_lost_blob_is_uploaded_again_in_pieces(core: CoreRig) -> None:
    alice = core.user().upload(DATA)
    core.store.remove(SHA)
    assert [_put(alice, at, min(at + 4000, 10_000)).received for at in (0, 4000, 8000)] == [4000, 8000, 10_000]
    assert core.store.read(SHA) == DATA


def test_another_users_blob_is_not_lost_with_ones_own(core: CoreRig) -> None:
    alice, bob = core.user().upload(DATA), core.user(BOB).upload(DATA)
    core.store.remove(SHA)
    alice.ask(BlobQuery((SHA,)), bulk=True)
    alice.upload(DATA)
    assert isinstance(bob.ask(Get(SHA, 0, 10), bulk=True), Chunk)


def test_reads_wait_for_a_slow_reader_and_delay_nobody_else(core: CoreRig) -> None:
    alice, bob = core.user().upload(DATA), core.user(BOB).upload(DATA)
    core.ports.backlogs[alice.bulk] = downloads.BACKLOG_LIMIT
    for _ in range(downloads.MAX_WAITING):
        alice.post(Get(SHA, 0, 10), bulk=True)
    core.settle()
    assert alice.received(Chunk, bulk=True) == []
    assert isinstance(bob.ask(Get(SHA, 0, 10), bulk=True), Chunk)
    assert code_of(alice.ask(Get(SHA, 0, 10), bulk=True)) == "BUSY"
    core.ports.backlogs.clear()
    core.tick()
    while core.core.turn() or core.ports.todo:
        core.settle()
    assert len(alice.received(Chunk, bulk=True)) == downloads.MAX_WAITING


def test_downloads_take_turns(core: CoreRig) -> None:
    alice, bob = core.user().upload(DATA), core.user(BOB).upload(DATA)
    for _ in range(20):
        alice.post(Get(SHA, 0, 10), bulk=True)
    bob.post(Get(SHA, 0, 10), bulk=True)
    core.settle()
    order = [to.user for to, envelope in core.ports.sent if isinstance(envelope.message, Chunk)]
    assert order.index(BOB) <= 2


def test_gets_of_a_connection_that_is_gone_are_dropped(core: CoreRig) -> None:
    alice = core.user().upload(DATA)
    for _ in range(20):
        alice.post(Get(SHA, 0, 10), bulk=True)
    core.core.unreachable(alice.bulk)
    core.settle()
    core.tick()
    assert len(alice.received(Chunk, bulk=True)) <= downloads.READS_PER_SESSION
