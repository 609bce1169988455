# SPDX-License-Identifier: Apache-2.0
"""Uploads that are begun and not ended: they count as stored, block nobody, and go after a time."""

import hashlib
import os

import pytest

from blender_addon.protocol.messages import BlobOk, BlobPut, BlobQuery
from server.broker.transfers import partials
from server.broker.transfers.upload import Upload
from server.broker.transfers.uploads import IDLE_SECONDS, STILL_SECONDS, owner_tag
from server.config import HOUR, QuotaConfig, Retention
from tests.server.broker.core_rig import ALICE, BOB, CoreRig, User, code_of

KIB = 1 << 10


def named(number: int, size: int = 100 * KIB) -> tuple[str, bytes]:
    data = number.to_bytes(2, "big") * (size // 2)
    return hashlib.sha256(data).hexdigest(), data


def begin(user: User, number: int, size: int = 100 * KIB, offset: int = 0, length: int = 50 * KIB):
    name, data = named(number, size)
    user.hello()  # A session that was silent for a minute is none any more.
    return user.ask(BlobPut(name, size, offset), data[offset : offset + length], bulk=True)


def received(user: User, number: int, size: int = 100 * KIB) -> int:
    (missing,) = user.hello().ask(BlobQuery((named(number, size)[0],)), bulk=True).missing
    return missing.received


@pytest.fixture
def small(make_core) -> CoreRig:
    """A user may store 1,000 KiB."""
    return make_core(quotas=QuotaConfig(disk_floor=0, bytes_per_user=1000 * KIB))


def test_eight_abandoned_uploads_make_place_for_a_ninth(core: CoreRig) -> None:
    alice = core.user()
    for number in range(8):
        assert begin(alice, number).received == 50 * KIB
    assert code_of(begin(alice, 8)) == "BUSY", "all eight may be in full swing"
    core.tick(STILL_SECONDS)
    for number in range(8, 14):
        assert begin(alice, number).received == 50 * KIB
        core.tick(STILL_SECONDS)


def test_an_upload_that_made_place_goes_on_where_it_was_without_a_look_at_its_file(core: CoreRig, monkeypatch) -> None:
    alice = core.user()
    for number in range(8):
        begin(alice, number)
    core.tick(STILL_SECONDS)
    begin(alice, 8)
    monkeypatch.setattr(Upload, "resume", lambda _self: 1 / 0)
    core.tick(STILL_SECONDS)
    answer = begin(alice, 0, offset=50 * KIB)
    assert isinstance(answer, BlobOk)
    assert answer.complete
    name, data = named(0)
    assert core.store.read(name) == data


def test_an_upload_that_is_written_at_the_moment_makes_no_place(core: CoreRig) -> None:
    alice = core.user()
    for number in range(7):
        begin(alice, number)
    name, data = named(7)
    alice.post(BlobPut(name, len(data), 0), data[:10], bulk=True)  # The disk takes its time.
    core.ports.clock += 10
    for number in range(7):
        core.core.uploads._active[ALICE, named(number)[0]].last_used = core.ports.clock
    name, data = named(8)
    asked = alice.post(BlobPut(name, len(data), 0), data[:10], bulk=True)
    (answer,) = [envelope.message for _to, envelope in core.ports.sent if envelope.re == asked]
    assert code_of(answer) == "BUSY"


def test_a_piece_that_comes_while_its_file_is_being_closed_is_written_after_it(core: CoreRig) -> None:
    alice = core.user()
    for number in range(8):
        begin(alice, number)
    core.tick(STILL_SECONDS)
    name, data = named(8)
    alice.post(BlobPut(name, len(data), 0), data[:10], bulk=True)
    name, data = named(0)
    alice.post(BlobPut(name, len(data), 50 * KIB), data[50 * KIB :], bulk=True)
    core.settle()
    assert core.store.read(name) == data


@pytest.mark.slow
def test_what_broke_off_counts_as_stored_and_gives_way_to_what_comes(small: CoreRig) -> None:
    """It escaped the quota: 1,000 KiB of it, and 1,000 more."""
    alice = small.user()
    for number in range(12):
        begin(alice, number)
        small.tick(STILL_SECONDS)
    small.tick(IDLE_SECONDS + 1)
    folder = small.store.partial_path("0" * 64, "x").parent

    def stored() -> int:
        return sum(file.stat().st_size for file in folder.iterdir())

    assert 0 < stored() <= 1000 * KIB
    for number in range(12, 100):
        assert isinstance(begin(alice, number), BlobOk)
        small.tick(IDLE_SECONDS + 1)
        assert stored() <= 1000 * KIB
    assert received(alice, 0) == 0, "the oldest went first"
    assert received(alice, 99) == 50 * KIB


def test_what_is_being_uploaded_gives_way_to_nothing(small: CoreRig) -> None:
    alice = small.user()
    for number in range(5):
        begin(alice, number, size=200 * KIB)
    assert code_of(begin(alice, 5, size=200 * KIB)) == "QUOTA.BYTES"
    assert [begin(alice, number, 200 * KIB, 50 * KIB, 10).received for number in range(5)] == [50 * KIB + 10] * 5


def test_going_on_with_what_broke_off_never_gives_up_that_one(small: CoreRig) -> None:
    alice = small.user()
    begin(alice, 0, size=900 * KIB)
    small.tick(IDLE_SECONDS + 1)
    begin(alice, 1)
    small.tick(IDLE_SECONDS + 1)
    answer = begin(alice, 0, size=900 * KIB, offset=50 * KIB, length=10)
    assert answer.received == 50 * KIB + 10


def test_it_counts_after_a_restart_too(small: CoreRig) -> None:
    alice = small.user()
    begin(alice, 0, size=900 * KIB, length=800 * KIB)
    small.restart()
    alice = small.user()
    assert isinstance(begin(alice, 1, size=900 * KIB), BlobOk)
    small.settle()
    assert not small.store.partial_path(named(0, 900 * KIB)[0], owner_tag(ALICE)).exists()


def test_others_are_not_counted(small: CoreRig) -> None:
    alice, bob = small.user(), small.user(BOB)
    begin(alice, 0, size=900 * KIB, length=800 * KIB)
    small.tick(IDLE_SECONDS + 1)
    begin(bob, 1, size=900 * KIB)
    assert received(bob, 0, 900 * KIB) == 0
    path = small.store.partial_path(named(0, 900 * KIB)[0], owner_tag(ALICE))
    assert path.stat().st_size == 800 * KIB


def test_it_goes_when_nobody_went_on_for_hours(make_core) -> None:
    core = make_core(retention=Retention(unfinished_upload_seconds=600.0))
    alice = core.user()
    begin(alice, 0)
    core.tick(IDLE_SECONDS + 1)
    path = core.store.partial_path(named(0)[0], owner_tag(ALICE))
    core.tick(500)
    assert path.exists()
    core.tick(101)
    assert not path.exists()
    assert Retention().unfinished_upload_seconds == 6 * HOUR


def test_it_goes_after_a_restart_too(make_core) -> None:
    core = make_core(retention=Retention(unfinished_upload_seconds=600.0))
    begin(core.user(), 0)
    core.restart()
    path = core.store.partial_path(named(0)[0], owner_tag(ALICE))
    core.tick(599)
    assert path.exists()
    core.tick(2)
    assert not path.exists()


def test_a_piece_for_what_is_just_being_removed_waits(make_core) -> None:
    core = make_core(retention=Retention(unfinished_upload_seconds=60.0))
    alice = core.user()
    begin(alice, 0)
    core.tick(IDLE_SECONDS + 1)
    core.ports.clock += 61
    alice.hello()
    core.core.tick()  # The disk has not removed it yet.
    name, data = named(0)
    asked = alice.post(BlobPut(name, len(data), 50 * KIB), data[50 * KIB :], bulk=True)
    (answer,) = [envelope.message for _to, envelope in core.ports.sent if envelope.re == asked]
    assert code_of(answer) == "BUSY"
    core.settle()
    assert begin(alice, 0).received == 50 * KIB


def test_many_empty_ones_are_bounded_too(core: CoreRig, monkeypatch) -> None:
    """No byte, but a file each."""
    monkeypatch.setattr(partials, "MAX_PARTIALS", 20)
    alice = core.user()
    for number in range(40):
        assert begin(alice, number, length=0).received == 0
        core.tick(STILL_SECONDS)
    core.tick(IDLE_SECONDS + 1)
    folder = core.store.partial_path("0" * 64, "x").parent
    assert len(list(folder.iterdir())) <= 20


def test_a_close_that_fails_makes_the_next_piece_look_at_the_disk(core: CoreRig, monkeypatch) -> None:
    """Bytes that were counted may not be there: what is on the disk decides."""
    alice = core.user()
    for number in range(8):
        begin(alice, number)
    core.tick(STILL_SECONDS)
    close = Upload.close

    def fail(self) -> None:
        close(self)
        os.truncate(core.store.partial_path(named(0)[0], owner_tag(ALICE)), 10)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Upload, "close", fail)
    begin(alice, 8)
    monkeypatch.setattr(Upload, "close", close)
    assert begin(alice, 0, offset=50 * KIB).received == 10
