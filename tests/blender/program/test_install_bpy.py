# SPDX-License-Identifier: Apache-2.0
"""Which release of bpy goes where."""

import sys

import pytest

from tests.blender import install_bpy
from tests.blender.install_bpy import RELEASES, fitting, install_all, install_here


@pytest.mark.parametrize(
    ("python", "numpy", "expected"),
    [
        ("3.11", "2.4.6", "4.2.23"),
        ("3.11", "1.26.4", "5.0.1"),
        ("3.13", "2.3.5", "5.2.3"),
        ("3.13", None, "5.2.3"),
        ("3.12", "2.4.6", None),
    ],
)
def test_the_newest_that_fits_python_and_numpy_is_taken(python, numpy, expected):
    release = fitting(python, numpy)
    assert (release and release.version) == expected


@pytest.fixture
def said(monkeypatch):
    """What install_here and install_all would run."""
    commands = []

    class Done:
        returncode = 1

    def run(command, check):
        assert not check
        commands.append(command)
        return Done

    monkeypatch.setattr(install_bpy.subprocess, "run", run)
    monkeypatch.setattr(install_bpy.importlib.util, "find_spec", lambda _name: None)
    return commands


def test_a_failure_is_said_and_is_no_error(said, capsys, monkeypatch):
    monkeypatch.setattr(install_bpy, "fitting", lambda _python, _numpy: RELEASES[0])
    assert install_bpy.main([]) == 0
    assert "skipped" in capsys.readouterr().out
    assert [part for part in said[0] if part.startswith("numpy==")], "the numpy of the others has to stay"


def test_a_python_without_a_release_is_said(said, capsys, monkeypatch):
    monkeypatch.setattr(install_bpy, "fitting", lambda _python, _numpy: None)
    install_here()
    assert said == []
    assert f"No bpy for Python {sys.version_info.major}" in capsys.readouterr().out


def test_an_environment_that_failed_is_not_left(said, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(install_bpy.shutil, "which", lambda name: name if name == "python3.11" else None)
    install_all(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert [command[:3] for command in said] == [["python3.11", "-m", "venv"]] * 3
    assert "needs Python 3.13, which is not here" in capsys.readouterr().out
