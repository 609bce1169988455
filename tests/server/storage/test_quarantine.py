# SPDX-License-Identifier: Apache-2.0
"""What is set aside, whatever it is called and whatever it is."""

import os
import sys

import pytest

from server.config import ServerPaths
from server.storage.quarantine import REASONS, Quarantine, empty_old, quarantined

needs_bytes = pytest.mark.skipif(sys.platform != "linux", reason="names are text there")


@pytest.fixture
def paths(tmp_path) -> ServerPaths:
    root = tmp_path / "data"
    (root / "jobs").mkdir(parents=True)
    return ServerPaths(root)


def _take(paths: ServerPaths, name: str | bytes, why: str = "nobody knows it") -> str:
    """Set a folder of this name aside; gives the reasons that were written."""
    folder = paths.jobs / os.fsdecode(name)
    folder.mkdir()
    (folder / "spec.msgpack").write_bytes(b"spec")
    Quarantine(paths, lambda: 0.0).take(folder, why)
    assert not folder.exists()
    return "".join(reasons.read_text(encoding="utf-8") for reasons in paths.quarantine.rglob(REASONS))


@needs_bytes
def test_a_name_that_is_no_text_is_set_aside_and_written_down(paths: ServerPaths):
    assert _take(paths, b"\xff\xfejob") == "jobs/\\udcff\\udcfejob: nobody knows it\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no such name there")
def test_a_name_of_several_lines_forges_no_reason(paths: ServerPaths):
    assert _take(paths, "a\njobs other: it is fine\x1b[2J").count("\n") == 1


def test_links_are_set_aside_as_links_and_count_as_nothing(paths: ServerPaths, tmp_path):
    target = tmp_path / "somebodys"
    target.write_bytes(bytes(1000))
    for name, to in (("link", target), ("circle", paths.jobs / "circle"), ("dead", tmp_path / "nothing")):
        (paths.jobs / name).symlink_to(to)
        Quarantine(paths).take(paths.jobs / name, "it is a link")
    assert target.read_bytes() == bytes(1000)
    assert (quarantined(paths).files, quarantined(paths).bytes) == (0, 0)


def test_what_goes_or_cannot_be_looked_at_while_it_is_counted_is_passed_over(paths: ServerPaths, monkeypatch):
    """`status` and `doctor` count while the server may empty it."""
    _take(paths, "one")
    _take(paths, "two")
    look = os.lstat

    def gone(path, **more):
        if "one" in str(path):
            raise FileNotFoundError(path)
        return look(path, **more)

    monkeypatch.setattr(os, "lstat", gone)
    assert quarantined(paths).files == 1


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="rights bind nobody here")
def test_a_folder_without_rights_is_passed_over(paths: ServerPaths):
    _take(paths, "closed")
    (folder,) = (path for path in paths.quarantine.rglob("closed"))
    folder.chmod(0)
    try:
        assert quarantined(paths).files == 0
    finally:
        folder.chmod(0o700)


def test_of_two_things_of_one_name_both_are_kept(paths: ServerPaths):
    quarantine = Quarantine(paths)
    for content in (b"first", b"second!"):
        (paths.jobs / "same").write_bytes(content)
        quarantine.take(paths.jobs / "same", "again")
    found = quarantined(paths)
    assert (found.files, found.bytes, found.folders) == (2, 12, 1)


def test_a_file_in_the_place_of_the_quarantine_leaves_all_where_it_is(paths: ServerPaths):
    paths.quarantine.write_bytes(b"in the way")
    (paths.jobs / "one").mkdir()
    with pytest.raises(OSError, match="quarantine"):
        Quarantine(paths).take(paths.jobs / "one", "nobody knows it")
    assert (paths.jobs / "one").is_dir()
    assert (quarantined(paths).folders, quarantined(paths).files) == (0, 0)
    assert empty_old(paths, 0.0, lambda _modified: 1.0) == 0
