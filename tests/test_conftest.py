# SPDX-License-Identifier: Apache-2.0
"""The rules of the suite itself: skips with a reason, PGC_REQUIRE, benchmarks only when asked for."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import dealt

CONFTEST = Path(__file__).parent / "conftest.py"

TESTS = """
import pytest

@pytest.mark.blender
def test_needs_blender():
    pass

@pytest.mark.benchmark
def test_measures():
    pass

def test_plain():
    pass
"""

SETTINGS = """
[pytest]
markers =
    gpu: x
    blender: x
    network: x
    benchmark: x
    slow: x
"""


@pytest.fixture
def run_suite(tmp_path):
    """Runs a little suite under the real conftest in a process of its own, on a machine without Blender."""
    shutil.copy(CONFTEST, tmp_path / "conftest.py")
    (tmp_path / "pytest.ini").write_text(SETTINGS)
    (tmp_path / "test_little.py").write_text(TESTS)
    # bpy may well be installed beside these tests.
    (tmp_path / "no_blender.py").write_text("import sys\n\nsys.modules['bpy'] = None\n")

    def run(*arguments, **environment):
        clean = {
            key: value
            for key, value in os.environ.items()
            if key not in {"PGC_REQUIRE", "PGC_BPY_PYTHON", "BLENDER_BIN", "PATH"}
        }
        command = [sys.executable, "-m", "pytest", "-p", "no_blender", "-p", "no:cacheprovider", "-rs", *arguments]
        return subprocess.run(
            command,
            cwd=tmp_path,
            # Where conftest.py finds what it is made of.
            env={**clean, "PATH": "", "PYTHONPATH": str(CONFTEST.parents[1]), **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.slow
def test_what_is_missing_is_skipped_with_a_reason_and_benchmarks_are_left_out(run_suite):
    result = run_suite()
    assert "1 passed, 1 skipped, 1 deselected" in result.stdout
    assert "no Blender here" in result.stdout


@pytest.mark.slow
def test_require_turns_the_skip_into_a_failure(run_suite):
    result = run_suite(PGC_REQUIRE="blender")
    assert result.returncode == 1
    assert "PGC_REQUIRE=blender" in result.stdout


@pytest.mark.slow
def test_benchmarks_run_when_asked_for(run_suite):
    assert "1 passed, 2 deselected" in run_suite("-m", "benchmark").stdout


@pytest.mark.slow
def test_an_unknown_requirement_is_an_error(run_suite):
    result = run_suite(PGC_REQUIRE="gpus")
    assert result.returncode == 4
    assert "PGC_REQUIRE names gpus" in result.stdout + result.stderr


@pytest.mark.slow
def test_a_test_that_leaves_a_logger_deaf_is_the_one_that_fails(run_suite, tmp_path):
    deaf = "import logging\n\n\ndef test_deaf():\n    logging.getLogger('server').setLevel(logging.CRITICAL)\n"
    (tmp_path / "test_deaf.py").write_text(deaf)
    result = run_suite("test_deaf.py")
    assert "1 passed, 1 error" in result.stdout
    assert "left a logger changed" in result.stdout


@pytest.mark.parametrize(
    ("slow", "fast", "workers", "expected"),
    [
        ("a1 a2 b1 c1", "d1 d2 d3 d4", 2, "a1 a2 d1 d2 | b1 c1 d3 d4"),
        ("a1 a2 a3 b1 c1", "d1 d2 d3", 2, "a1 a2 a3 d1 | b1 c1 d2 d3"),
        ("a1 b1 c1", "d1 d2 d3 d4 d5 d6", 3, "a1 d1 d2 | b1 d3 d4 | c1 d5 d6"),
        ("a1", "d1 d2 d3", 2, "a1 d1 | d2 d3"),
        ("", "d1 d2 d3 d4", 2, "d1 d2 | d3 d4"),
        ("a1 a2 a3 b1", "", 2, "a1 a2 a3 b1"),
        ("a1 a2 a3 a4 a5", "d1", 2, "a1 a2 a3 a4 a5 d1"),
    ],
)
def test_each_worker_begins_with_slow_tests_and_files_stay_together(slow, fast, workers, expected):
    def items(words):
        return [SimpleNamespace(nodeid=f"tests/test_{word[0]}.py::{word}") for word in words.split()]

    order = [item.nodeid.split("::")[1] for item in dealt(items(slow), items(fast), workers)]
    assert order == expected.replace("|", "").split()
    for number, part in enumerate(expected.split("|") if "|" in expected else []):
        assert order[number * len(order) // workers :][: len(part.split())] == part.split()
