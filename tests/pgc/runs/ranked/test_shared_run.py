# SPDX-License-Identifier: Apache-2.0
"""Two processes, as `torchrun` starts them, share one run over gloo: it is the run of one process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from pgc.runs.report import read_report
from tests.warm.popen import warm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _command(cube_obj: Path, red_texture: Path, out: Path, steps: int) -> list[str]:
    return [
        *(sys.executable, "-m", "pgc", "texture", str(cube_obj), "--prompt", "red", "--out", str(out)),
        *("--guidance", "oracle", "--oracle-texture", str(red_texture), "--device", "cpu", "--resume-or-start"),
        *("--steps", str(steps), "--views", "2", "--resolution", "32", "--texture-size", "64"),
        *("--preview-size", "16", "--no-turntable"),
    ]


def _start(command: list[str], count: int) -> list[subprocess.Popen[str]]:
    """Starts processes with torchrun's variables, which is all of torchrun that they see."""
    known = {**os.environ, "OMP_NUM_THREADS": "1", "WORLD_SIZE": str(count)}
    known |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    return [
        subprocess.Popen(
            command, env={**known, "RANK": str(rank), "LOCAL_RANK": str(rank)}, stderr=subprocess.PIPE, text=True
        )
        for rank in range(count)
    ]


def _ends(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    said = [process.communicate(timeout=200)[1] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, said, strict=True)]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM for another process")
@warm()
def test_two_processes_share_a_run_are_stopped_and_go_on(cube_obj: Path, red_texture: Path, tmp_path: Path) -> None:
    alone, shared = tmp_path / "alone", tmp_path / "shared"
    steps = 60
    ((code, said),) = _ends(_start(_command(cube_obj, red_texture, alone, steps), 1))
    assert code == 0, said
    begun = _start(_command(cube_obj, red_texture, shared, steps), 2)
    first = begun[0].stderr
    assert first is not None
    while "Texturing: step" not in (line := first.readline()):
        assert line, "it ended early"
    # Of either process: both stop after the same step.
    begun[1].send_signal(signal.SIGTERM)
    (code, said), (other_code, other_said) = _ends(begun)
    assert (code, other_code) == (130, 0), said + other_said
    done = read_report(shared / "run.json")["steps_done"]
    assert 0 < done < steps
    for code, said in _ends(_start(_command(cube_obj, red_texture, shared, steps), 2)):
        assert code == 0, said
    assert (shared / "base_color.png").read_bytes() == (alone / "base_color.png").read_bytes()
    for code, said in _ends(_start(_command(cube_obj, red_texture, shared, steps), 2)):
        assert code == 0, said
        assert "Finished already" in said
