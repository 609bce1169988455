# SPDX-License-Identifier: Apache-2.0
"""Blender runs in a process of its own: `run_in_blender("probe_scene", ...)` calls one probe and reads its answer."""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
LIMIT = 100


def _python() -> str | None:
    """A Python that has bpy: PGC_BPY_PYTHON, or this one."""
    named = os.environ.get("PGC_BPY_PYTHON")
    if named:
        return named
    return sys.executable if importlib.util.find_spec("bpy") else None


@pytest.fixture
def run_in_blender(tmp_path: Path) -> Callable[..., Any]:
    """Call a function of tests/blender/probes.py in Blender; its JSON answer comes back."""
    python = _python()
    assert python is not None, "tests that use this fixture are marked blender, and skipped without bpy"

    def run(probe: str, *, script: str = "probes.py", **arguments: object) -> Any:
        answer = tmp_path / "answer.json"
        command = [python, str(Path(__file__).with_name(script)), probe, json.dumps(arguments), str(answer)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, env=environment, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return json.loads(answer.read_text())

    return run
