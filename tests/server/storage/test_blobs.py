# SPDX-License-Identifier: Apache-2.0
"""The blob store: whole or not at all, named by hash, uploads that go on after a crash."""

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from server import platform
from server.broker.transfers.upload import Upload
from server.errors import BlobError
from server.storage.blobs import BlobStore, is_sha256


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("data", [b"", b"oak", bytes(3_000_000)])
def test_what_is_put_can_be_read(store: BlobStore, data: bytes) -> None:
    sha256 = store.put(data)
    assert sha256 == _sha(data)
    assert store.read(sha256) == data
    assert store.size(sha256) == len(data)
    assert store.verify(sha256)
    assert list(store.names()) == [sha256]


def test_putting_twice_keeps_one_file_and_leaves_nothing_behind(store: BlobStore, tmp_path: Path) -> None:
    assert store.put(b"brass") == store.put(b"brass")
    assert [path.name for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == [_sha(b"brass")]


def test_ranges_end_with_the_blob(store: BlobStore) -> None:
    sha256 = store.put(b"0123456789")
    assert store.read_range(sha256, 2, 3) == b"234"
    assert store.read_range(sha256, 8, 100) == b"89"
    assert store.read_range(sha256, 10, 1) == b""


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_a_name_that_is_no_hash_reaches_no_file(store: BlobStore, name: str) -> None:
    assert not is_sha256(name)
    with pytest.raises(BlobError, match="SHA-256"):
        store.path(name)


def test_a_missing_blob_is_an_error(store: BlobStore) -> None:
    for call in (store.read, store.size, store.verify):
        with pytest.raises(BlobError, match="not in the store"):
            call("0" * 64)
    with pytest.raises(BlobError, match="not in the store"):
        store.read_range("0" * 64, 0, 1)
    store.remove("0" * 64)  # Nothing to do is no error.


def test_a_damaged_blob_does_not_verify(store: BlobStore) -> None:
    sha256 = store.put(b"oak")
    store.path(sha256).write_bytes(b"oaf")
    assert not store.verify(sha256)


def test_an_upload_in_pieces_becomes_a_blob(store: BlobStore) -> None:
    data = os.urandom(100_000)
    upload = Upload(store, _sha(data), len(data), "aa")
    for start in range(0, len(data), 30_000):
        assert upload.write(data[start : start + 30_000]) == min(start + 30_000, len(data))
        assert not store.has(_sha(data))
    upload.finish()
    assert store.read(_sha(data)) == data
    assert not store.partial_path(_sha(data), "aa").exists()


def test_a_long_upload_is_written_out_on_the_way_and_keeps_only_its_end_in_memory(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []

    def write_out(file: BinaryIO, offset: int, length: int) -> None:
        asked.append((offset, offset + length))
        platform.write_out(file, offset, length)

    monkeypatch.setattr("server.broker.transfers.upload.write_out", write_out)
    data = os.urandom(3 << 20) * 10
    upload = Upload(store, _sha(data), len(data), "aa")
    for start in range(0, len(data), 1 << 20):
        upload.write(data[start : start + (1 << 20)])
    mib = [(start / (1 << 20), end / (1 << 20)) for start, end in asked]
    assert mib == [(0, 4), (0, 8), (0, 12), (0, 16), (4, 20), (8, 24), (12, 28)]
    upload.finish()
    assert store.read(_sha(data)) == data


def test_an_upload_goes_on_where_a_crash_left_it(store: BlobStore) -> None:
    data = os.urandom(5000)
    first = Upload(store, _sha(data), len(data), "aa")
    first.write(data[:3000])
    first.close()
    second = Upload(store, _sha(data), len(data), "aa")
    assert second.resume() == 3000
    second.write(data[3000:])
    second.finish()
    assert store.read(_sha(data)) == data


def test_two_users_upload_the_same_blob_without_meeting(store: BlobStore) -> None:
    first, second = Upload(store, _sha(b"abcd"), 4, "aa"), Upload(store, _sha(b"abcd"), 4, "bb")
    first.write(b"ab")
    assert second.resume() == 0
    second.write(b"abcd")
    second.finish()
    first.write(b"cd")
    first.finish()
    assert store.read(_sha(b"abcd")) == b"abcd"


def test_bytes_of_another_hash_are_discarded(store: BlobStore) -> None:
    upload = Upload(store, _sha(b"abcd"), 4, "aa")
    upload.write(b"abcX")
    with pytest.raises(BlobError, match="send it again"):
        upload.finish()
    assert upload.received == 0
    assert not store.has(_sha(b"abcd"))
    upload.write(b"abcd")
    upload.finish()
    assert store.has(_sha(b"abcd"))


def test_more_bytes_than_announced_are_refused(store: BlobStore) -> None:
    upload = Upload(store, _sha(b"abcd"), 4, "aa")
    with pytest.raises(BlobError, match="announced with 4"):
        upload.write(b"abcde")


def test_a_partial_file_longer_than_the_blob_is_thrown_away(store: BlobStore) -> None:
    store.partial_path(_sha(b"ab"), "aa").write_bytes(b"abc")
    assert Upload(store, _sha(b"ab"), 2, "aa").resume() == 0


def test_an_empty_blob_needs_no_piece(store: BlobStore) -> None:
    Upload(store, _sha(b""), 0, "aa").finish()
    assert store.read(_sha(b"")) == b""


@pytest.mark.parametrize("damage", [b"", b"oa", b"OAK", b"oak and more"])
def test_what_is_stored_again_replaces_what_was_damaged(store: BlobStore, tmp_path: Path, damage: bytes) -> None:
    sha256 = store.put(b"oak")
    for again in (store.put, _by_upload(store)):
        store.path(sha256).write_bytes(damage)
        again(b"oak")
        assert store.read(sha256) == b"oak"


def _by_upload(store: BlobStore):
    def put(data: bytes) -> None:
        upload = Upload(store, _sha(data), len(data), "aa")
        upload.write(data)
        upload.finish()

    return put


def test_a_blob_that_did_not_change_is_hashed_once(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    sha256 = store.put(b"oak")
    assert store.verify(sha256)
    store.put(b"oak")
    monkeypatch.setattr("server.storage.blobs.hash_of", lambda file: pytest.fail("it was read again"))
    assert store.verify(sha256)


def test_the_sweep_takes_old_leftovers_only(store: BlobStore) -> None:
    upload = Upload(store, _sha(b"ab"), 2, "aa")
    upload.write(b"a")
    upload.close()
    kept = store.put(b"oak")
    written = store.partial_path(_sha(b"ab"), "aa").stat().st_mtime
    assert store.sweep(3600, 3600, lambda since: written + 3599 - since) == 0
    assert store.sweep(3600, 3600, lambda since: written + 3601 - since) == 1
    assert store.has(kept)
