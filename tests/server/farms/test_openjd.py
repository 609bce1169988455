# SPDX-License-Identifier: Apache-2.0
"""The job template of Open Job Description: what stands in it, and by openjd-cli (where it is installed) really run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from pgc.cli import app
from pgc.runs.report import read_report
from tests.server.farms.options import check_command

TEMPLATE = Path(__file__).resolve().parents[3] / "server/farms/openjd/texture.yaml"
STEPS = 150
VALUES = {"Mesh": "/data/chair.obj", "Prompt": "red bricks", "Output": "/data/out", "Seeds": "1-4"}


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    return yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


def test_every_parameter_is_used_and_none_is_missing(template: dict[str, Any]) -> None:
    assert template["specificationVersion"] == "jobtemplate-2023-09"
    (step,) = template["steps"]
    tasks = {item["name"] for item in step["parameterSpace"]["taskParameterDefinitions"]}
    declared = {f"Param.{item['name']}" for item in template["parameterDefinitions"]}
    declared |= {f"Task.Param.{name}" for name in tasks}
    used = {name for text in strings(template) for name in re.findall(r"{{\s*([\w.]+)\s*}}", text)}
    assert used == declared


def test_parameters_are_of_the_specifications_types(template: dict[str, Any]) -> None:
    names = [item["name"] for item in template["parameterDefinitions"]]
    assert len(names) == len(set(names))
    for item in template["parameterDefinitions"]:
        assert item["type"] in {"STRING", "PATH", "INT", "FLOAT"}
        assert re.fullmatch(r"[A-Za-z_]\w{0,63}", item["name"])
        assert item["description"]
        if item["type"] == "PATH":
            assert item["objectType"] in {"FILE", "DIRECTORY"}
            assert item["dataFlow"] in {"IN", "OUT"}
        if "allowedValues" in item:
            assert item["default"] in item["allowedValues"]


def test_what_it_runs_is_understood_by_the_command(template: dict[str, Any]) -> None:
    values = {item["name"]: item.get("default", "") for item in template["parameterDefinitions"]} | VALUES
    known = {f"Param.{name}": value for name, value in values.items()} | {"Task.Param.Seed": "3"}
    (step,) = template["steps"]
    action = step["script"]["actions"]["onRun"]
    told = [re.sub(r"{{\s*([\w.]+)\s*}}", lambda found: known[found[1]], text) for text in action["args"]]
    options = check_command(told)
    assert str(options["mesh"]) == "/data/chair.obj"
    assert (options["prompt"], options["seed"], options["resume_or_start"]) == ("red bricks", 3, True)
    assert str(options["out"]) == "/data/out/seed-3"
    assert action["cancelation"]["mode"] == "NOTIFY_THEN_TERMINATE", "without SIGTERM no checkpoint is written"


@pytest.fixture
def small(red_texture: Path) -> list[str]:
    """Options that make a run small."""
    options = f"--device cpu --views 1 --resolution 32 --texture-size 64 --steps {STEPS} --preview-size 16"
    return ["--oracle-texture", str(red_texture), *options.split(), "--no-turntable"]


@pytest.fixture
def program(tmp_path: Path, small: list[str]) -> Path:
    """A command `pgc` whose runs are small; the template knows nothing of it."""
    path = tmp_path / "pgc"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pgc "$@" {shlex.join(small)}\n', encoding="utf-8")
    path.chmod(0o755)
    return path


def openjd(cube_obj: Path, program: Path, out: Path) -> list[str]:
    found = shutil.which("openjd")
    if found is None:
        pytest.skip("openjd-cli is not installed (pip install openjd-cli)")
    given = {"Mesh": cube_obj, "Prompt": "red", "Output": out, "Seeds": "5", "Program": program, "Model": "oracle"}
    return [found, "run", str(TEMPLATE), *(part for key, value in given.items() for part in ("-p", f"{key}={value}"))]


def _until(done: Any, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 200
    while not done():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="the process is found under /proc")
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_task_that_is_stopped_or_killed_fails_and_is_finished_when_it_is_run_again(
    cube_obj: Path, program: Path, small: list[str], tmp_path: Path, end: signal.Signals
) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(TEMPLATE.parents[3])}
    command, folder = openjd(cube_obj, program, tmp_path / "out"), tmp_path / "out/seed-5"
    first = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    _until(lambda: (folder / "preview.png").is_file(), first)
    for number in _processes_of(folder):
        os.kill(number, end)
    said = first.communicate(timeout=200)[0]
    assert first.returncode != 0, said
    if end == signal.SIGTERM:
        # Stopped, it writes down how far it came; killed, there is its newest checkpoint, or nothing yet.
        assert 0 < read_report(folder / "run.json")["steps_done"] < STEPS
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert again.returncode == 0, again.stdout + again.stderr
    assert read_report(folder / "run.json")["state"] == "finished"
    whole = ["texture", str(cube_obj), "--prompt", "red", "--seed", "5", "--guidance", "oracle", *small]
    assert CliRunner().invoke(app, [*whole, "--out", str(tmp_path / "whole")]).exit_code == 0
    assert (folder / "base_color.png").read_bytes() == (tmp_path / "whole/base_color.png").read_bytes()


def _processes_of(folder: Path) -> list[int]:
    """Pythons whose command line names the folder, openjd's own apart."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if os.fsencode(str(folder)) in words and b"texture" in words:
                found.append(int(entry.name))
    return found
