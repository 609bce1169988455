# SPDX-License-Identifier: Apache-2.0
"""The parts of the window tour that need no window."""

import ast
import itertools
import os
import sys

import pytest

from tests.blender import window_tour
from tests.blender.blender_window import BlenderWindow, WindowError, points
from tests.blender.window_tour import ROOT, main, newest_zip


def test_points_go_down_the_sidebar_and_leave_no_button_out():
    # From Blender 4.3 at 1600 x 1000: the sidebar reaches from 102 to 900 above the lower edge.
    found = list(points((957, 102, 365, 798), 1000, 17))
    xs, ys = {x for x, _ in found}, [y for _, y in found]
    assert xs == {957 + 365 // 3}
    assert ys[0] == 1000 - 900 + 17
    assert ys[-1] < 1000 - 102 <= ys[-1] + 17
    assert {after - before for before, after in itertools.pairwise(ys)} == {17}
    assert {x for x, _ in points((957, 102, 365, 798), 1000, 17, 0.7)} == {957 + 255}


def test_newest_zip(tmp_path):
    with pytest.raises(WindowError, match=r"build_addon\.py"):
        newest_zip(tmp_path)
    for at, name in enumerate(("pgc_texture-2.zip", "pgc_texture-1.zip", "other.zip")):
        (tmp_path / name).write_bytes(b"")
        os.utime(tmp_path / name, (at, at))
    assert newest_zip(tmp_path).name == "pgc_texture-1.zip"


@pytest.mark.parametrize("missing", ["BLENDER_BIN", "DISPLAY"])
def test_what_is_not_set_is_named(missing, monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("BLENDER_BIN", "blender")
    monkeypatch.setenv("DISPLAY", ":1")
    monkeypatch.delenv(missing)
    assert main(["--connection", str(tmp_path / "connection.json")]) == 2
    assert f"{missing} is not set" in capsys.readouterr().out


def test_a_connection_file_that_is_not_there_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("BLENDER_BIN", "blender")
    monkeypatch.setenv("DISPLAY", ":1")
    monkeypatch.setattr(window_tour.shutil, "which", lambda tool: tool)
    zip_file = tmp_path / "pgc_texture-1.zip"
    zip_file.write_bytes(b"")
    absent = tmp_path / "connection.json"
    assert main(["--connection", str(absent), "--zip", str(zip_file), "--out", str(tmp_path / "out")]) == 2
    assert str(absent) in capsys.readouterr().out


def test_a_blender_that_fails_is_named_and_ends_the_tour(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("BLENDER_BIN", sys.executable)
    monkeypatch.setenv("DISPLAY", ":1")
    monkeypatch.setattr(window_tour.shutil, "which", lambda tool: tool)
    pictures = []
    monkeypatch.setattr(BlenderWindow, "grab", lambda window, file: pictures.append(file.name))
    for name in ("pgc_texture-1.zip", "connection.json"):
        (tmp_path / name).write_bytes(b"")
    given = ["--connection", str(tmp_path / "connection.json"), "--zip", str(tmp_path / "pgc_texture-1.zip")]
    # Python knows no --command, as no Blender before 4.2 does.
    assert main([*given, "--out", str(tmp_path / "out")]) == 1
    assert "--command extension install-file failed" in capsys.readouterr().out
    assert pictures == ["failed.png"]


@pytest.mark.parametrize("name", ["window_tour", "blender_window"])
def test_the_tour_runs_on_pythons_of_any_blender(name):
    tree = ast.parse((ROOT / f"tests/blender/{name}.py").read_text("utf-8"))
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules.discard("tests.blender.blender_window")
    assert {module.split(".")[0] for module in modules} <= sys.stdlib_module_names


def test_only_the_mouse_calls_operators_of_the_extension():
    assert "ops.pgc" not in (ROOT / "tests/blender/probes/program/probe_window.py").read_text("utf-8")
