# SPDX-License-Identifier: Apache-2.0
"""The installed command in a process of its own, as a person or a script runs it."""

import os
import signal
import subprocess
import sys
import time

import pytest

from pgc.runs.report import read_report
from tests.warm.popen import warm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def command(cube_obj, red_texture, out, steps):
    return [
        *(sys.executable, "-m", "pgc", "texture", str(cube_obj), "--prompt", "red", "--out", str(out)),
        *("--guidance", "oracle", "--oracle-texture", str(red_texture), "--device", "cpu"),
        *("--steps", str(steps), "--views", "1", "--resolution", "32", "--texture-size", "64"),
        *("--preview-size", "32", "--no-turntable"),
    ]


@pytest.fixture
def environment():
    # One thread: sums then have one order, and the two runs may be compared bit for bit.
    return {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")
@warm()
def test_ctrl_c_keeps_what_there_is_and_resume_ends_in_the_same_bytes(cube_obj, red_texture, tmp_path, environment):
    steps = 150
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    process = subprocess.Popen(
        command(cube_obj, red_texture, stopped, steps), env=environment, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    # Lines come at every tenth of the run: after the first one it is well under way.
    lines = []
    while not any("Texturing: step" in line for line in lines):
        line = process.stderr.readline()
        assert line, "".join(lines)
        lines.append(line)
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert "--resume" in rest
    assert {path.name for path in stopped.iterdir()} == {
        *("base_color.png", "checkpoint.safetensors", "preview.png", "run.json", "textured.glb")
    }
    report = read_report(stopped / "run.json")
    assert report["state"] == "interrupted"
    assert 0 < report["steps_done"] < steps

    resume = [sys.executable, "-m", "pgc", "texture", "--resume", "--out", str(stopped), "--no-turntable"]
    subprocess.run(resume, env=environment, check=True, cwd=tmp_path)
    subprocess.run(command(cube_obj, red_texture, whole, steps), env=environment, check=True)
    assert not (stopped / "checkpoint.safetensors").exists()
    for name in ("base_color.png", "textured.glb"):
        assert (stopped / name).read_bytes() == (whole / name).read_bytes()


def test_an_error_is_one_line_on_stderr_and_exit_code_2(tmp_path, environment):
    result = subprocess.run(
        [sys.executable, "-m", "pgc", "texture", "nowhere.obj", "--prompt", "red", "--out", str(tmp_path / "out")],
        env=environment,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1].startswith("pgc: ")
    assert "nowhere.obj" in result.stderr
    assert "Traceback" not in result.stderr


def test_help_comes_at_once(environment):
    times = []
    for _ in range(3):
        # CPU time of the child: the clock on the wall depends on what else the machine does.
        before = os.times()
        subprocess.run([sys.executable, "-m", "pgc", "--help"], env=environment, check=True, capture_output=True)
        after = os.times()
        times.append(after.children_user + after.children_system - before.children_user - before.children_system)
        time.sleep(0.01)
    assert min(times) < 1.0
