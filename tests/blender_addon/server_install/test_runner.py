# SPDX-License-Identifier: Apache-2.0
"""Installing and removing for real: commands in processes, and once pip with a wheel that stands in for the server."""

import os
import subprocess
import sys
import threading
import time

import pytest

from blender_addon.server_install.environment import MARKER, environment_python, read_installed
from blender_addon.server_install.errors import InstallError
from blender_addon.server_install.planning import Obstacle, Plan, Request, Step, make_plan
from blender_addon.server_install.pythons import Interpreter
from blender_addon.server_install.runner import Installation, Removal
from tests.blender_addon.server_install.fake_wheel import MAIN, fake_wheel

SECONDS = 100.0
PYTHON = Interpreter(path=sys.executable, version=(3, 11))


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "environment"


def plan_of(folder, *codes, obstacles=()):
    """A plan whose steps are lines of Python."""
    steps = tuple(
        Step(label=f"Step {at}", command=(sys.executable, "-c", code), share=1 / len(codes))
        for at, code in enumerate(codes)
    )
    request = Request(folder=folder, version="1")
    return Plan(request=request, python=PYTHON, steps=steps, download=10**6, disk=0, obstacles=obstacles)


def run(plan, tmp_path):
    """Run a plan to its end; all that it said of itself."""
    said = []
    installation = Installation(plan, tmp_path / "logs" / "install.log", said.append)
    installation.start()
    assert installation.join(SECONDS)
    assert installation.progress == said[-1]
    return said


def make_python(folder):
    """A line of Python that makes what read_installed looks for."""
    return f"import pathlib; p = pathlib.Path({str(environment_python(folder))!r}); p.parent.mkdir(); p.touch()"


def test_commands_run_one_after_the_other_and_are_logged(folder, tmp_path):
    said = run(plan_of(folder, make_python(folder), "print('Collecting torch>=2')", "print('two')"), tmp_path)
    assert said[-1].state == "done"
    assert {"Step 0", "Step 1", "Step 2"} <= {one.step for one in said}
    assert [one.factor for one in said] == sorted(one.factor for one in said)
    assert "torch" in [one.detail for one in said]
    assert "two" in (tmp_path / "logs" / "install.log").read_text()
    assert read_installed(folder).requirement == "pgc-texture==1"


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("ERROR: No matching distribution found for torch", "No matching distribution found for torch: the package"),
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("it broke", "Step 0 failed: it broke."),
        ("", "exit code 3"),
    ],
)
def test_a_failure_says_why_and_leaves_nothing(folder, tmp_path, printed, expected):
    said = run(plan_of(folder, f"import sys; print({printed!r}); sys.exit(3)", "print('never')"), tmp_path)
    assert said[-1].state == "failed"
    assert expected in said[-1].detail
    assert "install.log" in said[-1].detail
    assert not folder.exists()
    assert "never" not in (tmp_path / "logs" / "install.log").read_text().replace("print('never')", "")


def test_a_python_that_is_gone_is_said(folder, tmp_path):
    plan = plan_of(folder, "pass")
    gone = Step(label="Gone", command=(str(tmp_path / "gone"),), share=1.0)
    said = run(Plan(request=plan.request, python=None, steps=(gone,), download=0, disk=0, obstacles=()), tmp_path)
    assert "cannot be run" in said[-1].detail
    assert not folder.exists()


def test_cancel_ends_the_command_with_its_children_and_leaves_nothing(folder, tmp_path):
    started = threading.Event()
    child = tmp_path / "child"
    code = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open({str(child)!r}, "w").write(str(child.pid))
print("Collecting something", flush=True)
child.wait()
"""
    installation = Installation(
        plan_of(folder, code), tmp_path / "install.log", lambda said: started.set() if said.detail else None
    )
    installation.start()
    assert started.wait(SECONDS)
    begin = time.monotonic()
    installation.cancel()
    assert installation.join(SECONDS)
    assert time.monotonic() - begin < 30
    assert installation.progress.state == "cancelled"
    assert not folder.exists()
    if os.name == "posix":
        assert is_gone(int(child.read_text()))


def is_gone(pid):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        status = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
        if not status.stdout.strip() or status.stdout.startswith("Z"):
            return True
        time.sleep(0.05)
    return False


def test_a_plan_with_an_obstacle_does_not_begin(folder, tmp_path):
    with pytest.raises(InstallError, match="no room"):
        Installation(plan_of(folder, "pass", obstacles=(Obstacle(text="no room"),)), tmp_path / "log")
    assert not folder.exists()


def test_a_folder_with_something_else_in_it_is_left_alone(folder, tmp_path):
    folder.mkdir()
    (folder / "precious.blend").touch()
    said = run(plan_of(folder, "pass"), tmp_path)
    assert said[-1].state == "failed"
    assert "was not made by Install Server" in said[-1].detail
    assert (folder / "precious.blend").exists()
    removal = Removal(folder)
    removal.start()
    assert removal.join(SECONDS)
    assert removal.progress.state == "failed"
    assert (folder / "precious.blend").exists()


def test_what_an_interrupted_installation_left_is_replaced(folder, tmp_path):
    folder.mkdir()
    (folder / MARKER).write_text('{"schema": 1, "finished": false}')
    (folder / "half").touch()
    assert read_installed(folder) is None
    assert run(plan_of(folder, make_python(folder)), tmp_path)[-1].state == "done"
    assert not (folder / "half").exists()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_pip_installs_from_a_folder_and_all_of_it_goes_again(folder, tmp_path):
    wheel = fake_wheel(tmp_path / "wheels", main=MAIN)
    request = Request(folder=folder, version="0.1.0", wheels=wheel.parent, online=False)
    plan = make_plan(request, choose=lambda: PYTHON, free_space=lambda _folder: 10**12)
    assert run(plan, tmp_path)[-1].state == "done"
    installed = read_installed(folder)
    done = subprocess.run([str(installed.python), "-P", "-m", "server"], capture_output=True, text=True, check=False)
    assert "Usage: pgc-server" in done.stdout
    assert sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) < plan.disk
    assert run(plan, tmp_path)[-1].state == "done", "installing again replaces it"

    removal = Removal(folder)
    removal.start()
    assert removal.join(SECONDS)
    assert removal.progress.state == "done", removal.progress.detail
    assert not folder.exists()
    assert wheel.exists()


def test_a_server_that_does_not_stop_is_not_deleted(folder, tmp_path):
    if os.name == "nt":
        pytest.skip("the stand-in for the environment's Python is a shell script")
    python = environment_python(folder)
    python.parent.mkdir(parents=True)
    (folder / MARKER).write_text('{"schema": 1, "finished": true}')
    python.write_text("#!/bin/sh\necho The server is still saving its jobs; exit 1\n")
    python.chmod(0o755)
    removal = Removal(folder)
    removal.start()
    assert removal.join(SECONDS)
    assert removal.progress.state == "failed"
    assert "still saving its jobs" in removal.progress.detail
    assert python.exists()
