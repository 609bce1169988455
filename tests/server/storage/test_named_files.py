# SPDX-License-Identifier: Apache-2.0
"""Names that a server's owner gives: kept, listed, taken away, and what is wrong with them said."""

from __future__ import annotations

from pathlib import Path

import pytest

from blender_addon.protocol.errors import ErrorCode, ProtocolError, Retry
from server.errors import ConfigError
from server.storage.named_files import NamedFile, NamedFiles, find_named
from server.worker.priors import named_states

_NO_PATH = '{"named": [{"kind": "normal", "key": "mine", "source": 5}]}'


def test_names_are_kept_by_kind_and_replaced(tmp_path):
    files, there = NamedFiles(tmp_path / "models"), tmp_path / "net"
    assert files.all() == ()
    there.mkdir()
    files.add(NamedFile("normal", "mine", str(tmp_path / "gone")))
    files.add(NamedFile("ip-adapter", "mine", str(there)))
    assert not files.all()[1].is_there
    assert [(one.key, one.state) for one in named_states(files)] == [
        ("ip-adapter:mine", "installed"),
        ("normal:mine", "missing"),
    ]
    with pytest.raises(ProtocolError, match="is not where it was") as gone:
        find_named(files, "normal", "mine", "f")
    assert (gone.value.error.field, str(tmp_path) in gone.value.error.text) == ("f", False)
    files.add(NamedFile("normal", "mine", str(there)))
    assert find_named(NamedFiles(tmp_path / "models"), "normal", "mine", "f").source == str(there)
    assert files.remove("normal", "mine")
    assert not files.remove("normal", "mine")
    with pytest.raises(ProtocolError, match=r"has no normal of the name mine; it has none\.") as unknown:
        find_named(files, "normal", "mine", "f")
    assert unknown.value.error.code is ErrorCode.MODEL_MISSING
    assert {one.value.error.retry for one in (gone, unknown)} == {Retry.CHANGED}, "in some seconds it is the same"
    assert "models name normal mine" in (unknown.value.error.hint or "")


def test_what_no_job_could_say_gets_no_name():
    for key in ("", "Mine", "a/b", "a:b", "-x", "x" * 65):
        with pytest.raises(ConfigError, match="must have 1 to 64 letters"):
            NamedFile("normal", key, "/")
    with pytest.raises(ConfigError, match="There is no kind 'lora'"):
        NamedFile("lora", "mine", "/")
    with pytest.raises(ConfigError, match="normal mine is has to be said by text"):
        NamedFile("normal", "mine", 5)


def test_what_cannot_be_reached_is_missing_and_keeps_no_worker_from_starting(tmp_path, monkeypatch):
    files = NamedFiles(tmp_path)
    files.add(NamedFile("normal", "long", "/" + "x" * 300))
    files.add(NamedFile("normal", "mine", "/nas/cn"))
    files.add(NamedFile("tile", "mine", "/\0"))

    def refuse(self, **_how):
        raise PermissionError(13, "Permission denied", str(self))

    assert {one.state for one in named_states(files)} == {"missing"}
    monkeypatch.setattr(Path, "exists", refuse)
    assert {one.state for one in named_states(files)} == {"missing"}
    with pytest.raises(ProtocolError, match="is not where it was"):
        find_named(files, "normal", "mine", "f")


@pytest.mark.parametrize(
    "text", ["{}", '{"named": 3}', '{"named": [{}]}', '{"named": [{"kind": "normal", "key": 1}]}', _NO_PATH]
)
def test_a_damaged_list_is_said(tmp_path, text):
    (tmp_path / "named.json").write_text(text)
    with pytest.raises(ConfigError, match=r"named\.json is damaged"):
        NamedFiles(tmp_path).all()


def test_there_are_not_endlessly_many(tmp_path, monkeypatch):
    monkeypatch.setattr("server.storage.named_files._MOST", 1)
    files = NamedFiles(tmp_path)
    files.add(NamedFile("normal", "a", "/"))
    files.add(NamedFile("normal", "a", "/tmp"))
    with pytest.raises(ConfigError, match="at most; forget some"):
        files.add(NamedFile("normal", "b", "/"))
