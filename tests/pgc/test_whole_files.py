# SPDX-License-Identifier: Apache-2.0
import json
import os
import stat

import pytest

from pgc.errors import OutputError
from pgc.whole_files import replacing, write_bytes, write_json


def test_a_file_is_written_and_nothing_else_is_left(tmp_path):
    write_bytes(tmp_path / "new" / "a.bin", b"data")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.bin"]
    assert (tmp_path / "new" / "a.bin").read_bytes() == b"data"


def test_others_may_read_it_as_any_ordinary_file(tmp_path):
    write_bytes(tmp_path / "a.bin", b"data")
    (tmp_path / "ordinary").touch()
    assert stat.S_IMODE((tmp_path / "a.bin").stat().st_mode) == stat.S_IMODE((tmp_path / "ordinary").stat().st_mode)


def test_an_error_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def fail():
        with replacing(path) as temporary:
            temporary.write_bytes(b"ha")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_folder_that_is_a_file_is_an_output_error(tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(OutputError, match=r"cannot be written.*choose another folder"):
        write_bytes(tmp_path / "taken" / "a.bin", b"data")


def test_json_keeps_its_letters(tmp_path):
    write_json(tmp_path / "a.json", {"prompt": "Käse"})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "Käse" in text
    assert json.loads(text) == {"prompt": "Käse"}
