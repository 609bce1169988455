# SPDX-License-Identifier: Apache-2.0
"""Which Python makes the environment: one of the machine's own, else Blender's, else none."""

import os
import sys

import pytest

from blender_addon.server_install.pythons import Interpreter, ask, candidates, choose, clean_environment


@pytest.fixture
def stand_in(tmp_path):
    if os.name == "nt":
        pytest.skip("the stand-ins are shell scripts")

    def make(name, text):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return [str(path)]

    return make


def says(version, path="/p"):
    return f"""echo '{{"path": "{path}", "version": [{version}], "bits": true}}'"""


def test_this_python_is_one():
    found = ask([sys.executable])
    assert found.version == sys.version_info[:2]
    assert not found.of_blender


@pytest.mark.parametrize(
    "text",
    [
        says("3, 10"),
        says("3, 15"),
        says("3, 12", path=""),
        says("3, 12").replace("true", "false"),
        says("3, 12") + "; exit 1",
        "echo nonsense",
        "echo 'No module named ensurepip' >&2; exit 1",
    ],
)
def test_what_does_not_fit_is_passed_over(stand_in, text):
    assert ask(stand_in("python", text)) is None


def test_what_is_not_there_is_passed_over():
    assert ask(["no-such-python-anywhere"]) is None


def test_the_first_that_fits_is_taken_and_blenders_comes_last(stand_in):
    old, new = stand_in("old", says("3, 9")), stand_in("new", says("3, 13", "/new"))
    blender = stand_in("blender", says("3, 11", "/blender"))[0]
    assert choose([["none"], old, new], blender).path == "/new"
    assert choose([["none"], old], blender) == Interpreter(path="/blender", version=(3, 11), of_blender=True)
    assert choose([["none"]], old[0]) is None
    assert choose([], "") is None


def test_blenders_own_settings_do_not_reach_another_python():
    assert clean_environment({"PYTHONHOME": "/blender", "PYTHONPATH": "x", "PATH": "y"}) == {"PATH": "y"}


def test_the_newest_python_is_asked_late():
    names = [command[-1] for command in candidates()]
    assert len(set(names)) == len(names)
    if os.name != "nt":
        assert names.index("python3.12") < names.index("python3") < names.index("python3.14")
