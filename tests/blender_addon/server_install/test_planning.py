# SPDX-License-Identifier: Apache-2.0
"""What Install Server would do, and what it refuses to."""

import shlex
import sys
import tomllib
from pathlib import Path

import pytest

import pgc
from blender_addon.server_install import planning
from blender_addon.server_install.planning import Request, command_text, make_plan, size_text
from blender_addon.server_install.pythons import Interpreter
from tests.blender_addon.server_install.fake_wheel import fake_wheel

GB = 10**9
PYTHON = Interpreter(path="/usr/bin/python3.12", version=(3, 12))


def plan_of(tmp_path, *, python=PYTHON, free=100 * GB, system="Linux", folder=None, **request):
    request = Request(folder=folder or tmp_path / "environment", version="0.1.0", **request)
    return make_plan(request, choose=lambda: python, free_space=lambda _folder: free, system=system)


def commands(plan):
    return [" ".join(step.command) for step in plan.steps]


def test_the_environment_comes_first_and_the_trial_last(tmp_path):
    plan = plan_of(tmp_path)
    assert plan.obstacles == ()
    assert plan.steps[0].command == ("/usr/bin/python3.12", "-I", "-m", "venv", str(tmp_path / "environment"))
    assert commands(plan)[-1].endswith("-m server --help")
    assert sum(step.share for step in plan.steps) == pytest.approx(1.0)


def test_only_the_environments_own_python_installs(tmp_path):
    """Never Blender's: each pip is that of the environment, and nothing in the user's folders is looked at."""
    for step in plan_of(tmp_path).steps[1:]:
        assert step.command[0].startswith(str(tmp_path / "environment"))
        assert step.command[1] == "-I"


@pytest.mark.parametrize(
    ("system", "cuda", "index"),
    [
        ("Linux", False, "cpu"),
        ("Linux", True, None),
        ("Windows", True, "cu130"),
        ("Windows", False, None),
        ("Darwin", False, None),
    ],
)
def test_pytorch_is_of_the_kind_that_fits_the_machine(tmp_path, monkeypatch, system, cuda, index):
    monkeypatch.setattr(planning.platform, "machine", lambda: "x86_64")
    torch = [command for command in commands(plan_of(tmp_path, system=system, cuda=cuda)) if "torch>=" in command]
    assert len(torch) == (index is not None)
    assert all(f"/whl/{index} " in command for command in torch)


def test_cuda_is_larger(tmp_path):
    small, large = plan_of(tmp_path), plan_of(tmp_path, cuda=True)
    assert large.disk > 2 * small.disk
    assert large.download > 2 * small.download


def test_a_folder_of_wheels_needs_no_network(tmp_path):
    wheel = fake_wheel(tmp_path / "wheels")
    plan = plan_of(tmp_path, online=False, wheels=wheel.parent)
    assert plan.obstacles == ()
    assert plan.download == 0
    (install,) = [command for command in commands(plan) if "install" in command]
    assert f"--no-index --find-links {wheel.parent} pgc-texture==0.1.0" in install


def test_the_bundled_wheel_is_installed_where_there_is_one(tmp_path):
    wheel = fake_wheel(tmp_path / "bundled")
    assert commands(plan_of(tmp_path, bundled=wheel))[-2].endswith(str(wheel))
    assert commands(plan_of(tmp_path))[-2].endswith("pgc-texture==0.1.0")


def obstacle(plan):
    (found,) = plan.obstacles
    return found


def test_without_online_access_the_way_to_allow_it_is_shown(tmp_path):
    found = obstacle(plan_of(tmp_path, online=False))
    assert "Allow Online Access is off" in found.text
    assert found.fix == "extensions.userpref_allow_online"


def test_a_folder_without_wheels_is_said(tmp_path):
    assert "There are no wheels in" in obstacle(plan_of(tmp_path, wheels=tmp_path)).text
    assert "There are no wheels in" in obstacle(plan_of(tmp_path, wheels=tmp_path / "none")).text


def test_too_little_room_is_said_with_both_numbers(tmp_path):
    plan = plan_of(tmp_path, free=2 * GB)
    assert "2.6 GB must be free" in obstacle(plan).text
    assert "2.0 GB are" in obstacle(plan).text
    assert plan_of(tmp_path, free=plan.disk + planning._SPARE).obstacles == ()


def test_no_python_is_said(tmp_path):
    plan = plan_of(tmp_path, python=None)
    assert "No Python from 3.11 to 3.14 with venv was found" in obstacle(plan).text
    assert command_text(plan).startswith("python3 ")


def test_blenders_own_python_is_never_the_target(tmp_path):
    assert "Blender's own Python" in obstacle(plan_of(tmp_path, folder=Path(sys.prefix) / "lib" / "server")).text


@pytest.mark.parametrize("folder", [Path.home(), Path(Path.home().anchor)])
def test_a_folder_that_is_not_of_its_own_is_refused(tmp_path, folder):
    assert "no folder of its own" in obstacle(plan_of(tmp_path, folder=folder)).text


def test_the_command_can_be_pasted(tmp_path):
    folder = tmp_path / "a folder with spaces"
    lines = command_text(plan_of(tmp_path, folder=folder)).splitlines()
    assert len(lines) == len(plan_of(tmp_path, folder=folder).steps)
    if sys.platform != "win32":
        assert shlex.split(lines[0])[-1] == str(folder)


def test_free_space_is_asked_of_the_nearest_folder_that_exists(tmp_path):
    assert planning._free_space(tmp_path / "not" / "there") > 0


@pytest.mark.parametrize(
    ("size", "text"), [(1, "1 MB"), (450 * 10**6, "450 MB"), (2_100 * 10**6, "2.1 GB"), (999_900_000, "1000 MB")]
)
def test_sizes_are_for_people(size, text):
    assert size_text(size) == text


def test_the_extension_asks_for_the_server_of_its_own_version():
    manifest = Path(planning.__file__).parents[1] / "blender_manifest.toml"
    assert tomllib.loads(manifest.read_text(encoding="utf-8"))["version"] == pgc.__version__
