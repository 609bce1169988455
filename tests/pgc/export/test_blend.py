# SPDX-License-Identifier: Apache-2.0
"""What goes wrong on the way to Blender; what Blender makes of it is tested in tests/blender."""

import sys

import pytest

from pgc.errors import OutputError
from pgc.export.blend import BlenderProgram, find_blender, write_blend
from pgc.mesh import prepare_mesh
from tests.pgc.export.awkward import AWKWARD


def test_which_blender(tmp_path, monkeypatch):
    assert find_blender({"BLENDER_BIN": "/b", "PGC_BPY_PYTHON": "/p"}) == BlenderProgram(program="/b")
    assert find_blender({"PGC_BPY_PYTHON": "/p"}) == BlenderProgram(program="/p", is_module=True)
    monkeypatch.setattr("shutil.which", lambda name, path: f"{path}/{name}")
    assert find_blender({"PATH": "/bin"}) == BlenderProgram(program="/bin/blender")
    monkeypatch.setattr("shutil.which", lambda name, path: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    assert find_blender({}) == BlenderProgram(program=sys.executable, is_module=True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert find_blender({}) is None


def script(tmp_path, text):
    """A program that stands in for Blender."""
    path = tmp_path / "blender.sh"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
@pytest.mark.parametrize(
    ("text", "limit", "message"),
    [
        ("echo broken >&2; exit 3", 60.0, "exit code 3: broken"),
        ("exit 0", 60.0, "without writing it"),
        ("sleep 30", 0.2, "not done after 0 s"),
    ],
)
def test_a_blender_that_does_not_do_it(tmp_path, text, limit, message):
    program = BlenderProgram(program=script(tmp_path, text), limit=limit)
    with pytest.raises(OutputError, match=message):
        write_blend(tmp_path / "out" / "a.blend", prepare_mesh(AWKWARD["plain"]), {}, program)
    assert list((tmp_path / "out").iterdir()) == []


def test_no_blender_and_no_addon(tmp_path, monkeypatch):
    prepared = prepare_mesh(AWKWARD["plain"])
    with pytest.raises(OutputError, match="cannot be started"):
        write_blend(tmp_path / "a.blend", prepared, {}, BlenderProgram(program=str(tmp_path / "none")))
    monkeypatch.setattr("pgc.__file__", str(tmp_path / "site" / "pgc" / "__init__.py"))
    with pytest.raises(OutputError, match="checkout of the repository"):
        write_blend(tmp_path / "a.blend", prepared, {}, BlenderProgram(program=sys.executable))
