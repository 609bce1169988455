# SPDX-License-Identifier: Apache-2.0
"""Whatever comes into the place of an upload's file, no other bytes than its own become its blob, and no other file
gets any of them."""

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from server.broker.transfers.upload import Upload
from server.errors import BlobError
from server.storage.blobs import BlobStore

DATA, OTHER = b"all of the bytes " * 100, b"another blob"
SHA = hashlib.sha256(DATA).hexdigest()
links = pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")


@pytest.fixture
def store(tmp_path: Path) -> BlobStore:
    return BlobStore(tmp_path / "blobs")


def _link_to(choose: Callable[[BlobStore, Path], Path]):
    def change(store: BlobStore, path: Path) -> None:
        path.unlink()
        path.symlink_to(choose(store, path))

    return change


def _other_bytes(store: BlobStore, path: Path) -> None:
    path.unlink()
    path.write_bytes(bytes(len(DATA)))


def _folder(store: BlobStore, path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "something").write_bytes(OTHER)


CHANGES = {
    "a folder": _folder,
    "a link to its blob's place": _link_to(lambda store, _path: store.path(SHA)),
    "a link to another blob": _link_to(lambda store, _path: store.path(store.put(OTHER))),
    "a link in a circle": _link_to(lambda _store, path: path),
    "a link to nothing": _link_to(lambda _store, path: path.with_name("nothing")),
    "nothing": lambda _store, path: path.unlink(),
    "another file as long": _other_bytes,
    "fewer bytes": lambda _store, path: os.truncate(path, 5),
}


@links
@pytest.mark.parametrize("is_open", [True, False], ids=["open", "closed meanwhile"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_not_what_was_written_becomes_no_blob(store: BlobStore, change, is_open: bool):
    other = store.put(OTHER)
    upload = Upload(store, SHA, len(DATA), "0" * 16)
    upload.write(DATA[:700])
    if not is_open:
        upload.close()
    change(store, store.partial_path(SHA, "0" * 16))
    upload.write(DATA[700:])
    with pytest.raises(BlobError, match="send it again"):
        upload.finish()
    assert not store.has(SHA)
    assert not os.path.lexists(store.path(SHA))
    assert store.read(other) == OTHER
    upload.resume()
    assert upload.received == 0
    upload.write(DATA)
    upload.finish()
    assert store.read(SHA) == DATA
    assert store.read(other) == OTHER
