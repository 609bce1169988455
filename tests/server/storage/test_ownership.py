# SPDX-License-Identifier: Apache-2.0
"""A data folder is ours by its marker; anything else is left exactly as it was."""

import json
import os
import sqlite3
import stat
from pathlib import Path

import pytest

from server.broker.sessions.auth import add_client, load_key_pair, new_key_pair
from server.config import ServerPaths
from server.errors import ConfigError
from server.storage.ownership import FORMAT, claim_data_folder, looks_like_ours


def snapshot(root: Path) -> dict[str, tuple[int, bytes | None]]:
    return {
        str(path.relative_to(root)): (path.stat().st_mode, path.read_bytes() if path.is_file() else None)
        for path in [root, *sorted(root.rglob("*"))]
    }


@pytest.mark.parametrize("make", [lambda root: None, lambda root: root.mkdir(), lambda root: root.mkdir(mode=0o755)])
def test_a_missing_or_empty_folder_becomes_ours(tmp_path: Path, make) -> None:
    root = tmp_path / "a" / "data"
    root.parent.mkdir()
    make(root)
    paths = ServerPaths(root)
    claim_data_folder(paths)
    assert json.loads(paths.marker.read_bytes())["format"] == FORMAT
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    before = paths.marker.read_bytes()
    claim_data_folder(paths)
    assert paths.marker.read_bytes() == before


def photos(root: Path) -> None:
    (root / "2026").mkdir()
    (root / "2026" / "beach.jpg").write_bytes(b"jpg")


def work_with_jobs(root: Path) -> None:
    (root / "jobs").mkdir()
    (root / "jobs" / "invoice.txt").write_text("42")
    (root / "blobs" / "tmp").mkdir(parents=True)
    (root / "blobs" / "tmp" / "old.tmp").write_text("mine")


def a_checkout(root: Path) -> None:
    (root / ".git").mkdir()
    (root / "models").mkdir()


def one_file(root: Path) -> None:
    (root / "notes.txt").write_text("hello")


def an_own_lock_of_another_program(root: Path) -> None:
    (root / "server.lock").write_text("pid 12")
    (root / "world.dat").write_bytes(b"\0" * 10)


def a_database_of_another_program(root: Path) -> None:
    sqlite3.connect(root / "journal.sqlite").execute("CREATE TABLE diary (day TEXT)").connection.commit()


@pytest.mark.parametrize(
    "make",
    [photos, work_with_jobs, a_checkout, one_file, an_own_lock_of_another_program, a_database_of_another_program],
)
def test_somebodys_folder_is_refused_and_not_touched(tmp_path: Path, make) -> None:
    root = tmp_path / "theirs"
    root.mkdir(mode=0o755)
    make(root)
    before = snapshot(root)
    with pytest.raises(ConfigError, match=r"holds other things .* was not touched; give a new or empty folder"):
        claim_data_folder(ServerPaths(root))
    assert snapshot(root) == before


def test_a_folder_of_an_older_server_is_taken_over(tmp_path: Path) -> None:
    paths = ServerPaths(tmp_path)
    paths.lock.touch()
    for folder in (paths.keys, paths.jobs, paths.logs):
        folder.mkdir()
    sqlite3.connect(paths.journal).execute("CREATE TABLE jobs (job TEXT)").connection.commit()
    (tmp_path / "note of the artist.txt").write_text("do not delete")
    assert looks_like_ours(paths)
    claim_data_folder(paths)
    assert paths.marker.is_file()


def test_a_folder_that_an_older_server_only_began_is_taken_over(tmp_path: Path) -> None:
    paths = ServerPaths(tmp_path)
    paths.lock.touch()
    paths.keys.mkdir()
    claim_data_folder(paths)
    assert paths.marker.is_file()


def test_a_machine_may_be_paired_before_the_first_start(tmp_path: Path) -> None:
    paths = ServerPaths(tmp_path / "data")
    add_client(paths, "laptop", new_key_pair().public)
    assert paths.marker.is_file()
    claim_data_folder(paths)
    before = ServerPaths(tmp_path / "before")
    load_key_pair(before, "server")
    before.marker.unlink()
    claim_data_folder(before)


def test_no_keys_are_put_into_somebodys_folder(tmp_path: Path) -> None:
    photos(tmp_path)
    before = snapshot(tmp_path)
    with pytest.raises(ConfigError, match="holds other things"):
        add_client(ServerPaths(tmp_path), "laptop", new_key_pair().public)
    with pytest.raises(ConfigError, match="holds other things"):
        load_key_pair(ServerPaths(tmp_path), "server")
    assert snapshot(tmp_path) == before


def test_a_newer_servers_folder_is_left(tmp_path: Path) -> None:
    paths = ServerPaths(tmp_path)
    paths.marker.write_text(json.dumps({"format": FORMAT + 1}))
    with pytest.raises(ConfigError, match="newer pgc-server"):
        claim_data_folder(paths)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"format": "x"}'])
def test_a_damaged_marker_is_still_a_marker(tmp_path: Path, content: bytes) -> None:
    paths = ServerPaths(tmp_path)
    paths.marker.write_bytes(content)
    (tmp_path / "jobs").mkdir()
    claim_data_folder(paths)
    assert json.loads(paths.marker.read_bytes())["format"] == FORMAT


def test_a_file_in_the_place_of_the_folder_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="is a file; the server needs a folder"):
        claim_data_folder(ServerPaths(tmp_path / "file"))
    with pytest.raises(ConfigError, match="is a file; the server needs a folder"):
        claim_data_folder(ServerPaths(tmp_path / "file" / "data"))


def test_a_disk_that_takes_nothing_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path, *_arguments, **_named):
        raise OSError(30, os.strerror(30), str(path))

    monkeypatch.setattr("server.storage.ownership.make_private_directory", refuse)
    with pytest.raises(ConfigError, match="Read-only file system"):
        claim_data_folder(ServerPaths(tmp_path / "data"))
