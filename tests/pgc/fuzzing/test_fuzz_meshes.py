# SPDX-License-Identifier: Apache-2.0
"""A slice of the fuzzing; `python -m tests.benchmarks.fuzz_meshes` runs as many cases as one likes."""

import json
import signal
import subprocess
import sys

import pytest

from pgc.errors import MeshError
from pgc.mesh.triangulation import triangulate
from tests.pgc.fuzzing import mesh_mutations
from tests.pgc.fuzzing.mesh_mutations import READERS, Judge, case
from tests.pgc.fuzzing.mesh_seeds import SUFFIXES, readable, seeds

pytest.importorskip("resource", reason="limits of a process are set as Unix has them")
from tests.benchmarks import fuzz_meshes

CASES = 400


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_whole_seeds_are_read(tmp_path, suffix):
    for data in filter(readable, seeds()[suffix]):
        mesh = READERS[suffix](tmp_path / f"m{suffix}", data)
        assert len(triangulate(mesh).faces) > 0


@pytest.mark.slow
def test_damaged_files_are_read_or_refused_by_one_sentence(tmp_path):
    judge = Judge(tmp_path)
    for number in range(CASES):
        judge.look(number, *case(11, number))
    assert judge.failures == []
    for suffix in SUFFIXES:
        # It does not only knock at the door.
        assert judge.outcomes[f"{suffix[1:]} read"] + judge.outcomes[f"{suffix[1:]} read with notes"] > CASES / 80
        assert judge.outcomes[f"{suffix[1:]} refused by a sentence"] > CASES / 80


def test_case_numbers_stand_for_files():
    assert [case(3, number) for number in range(30)] == [case(3, number) for number in range(30)]
    assert case(3, 0) != case(4, 0)


def _raise(error):
    def read(path, data):
        raise error

    return read


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (IndexError("3 of 2"), "IndexError: 3 of 2"),
        (MemoryError(), "MemoryError"),
        (MeshError("two\nlines"), "no sentence: 'two"),
    ],
)
def test_the_judge_sees_what_must_not_be(monkeypatch, tmp_path, error, words):
    monkeypatch.setitem(mesh_mutations.READERS, ".obj", _raise(error))
    judge = Judge(tmp_path)
    judge.look(7, ".obj", b"")
    assert judge.failures[0]["case"] == 7
    assert judge.failures[0]["what"].startswith(words)


def test_the_judge_sees_what_takes_too_long(tmp_path):
    judge = Judge(tmp_path, limit=0.0)
    judge.look(0, ".obj", seeds()[".obj"][0])
    assert judge.failures[0]["what"].endswith(" s")


@pytest.mark.slow
def test_the_program_counts_all_cases_and_goes_on_after_a_child_that_died(monkeypatch):
    result = fuzz_meshes.run(40, seed=5)
    assert sum(result["outcomes"].values()) == 40
    assert result["failure_count"] == 0
    whole = fuzz_meshes._child
    deaths = [(86, "killed")]

    def dies_once(first, last, seed, folder):
        if deaths and last - first > 10:
            (folder / "at").write_text("25")
            return deaths.pop()
        return whole(first, last, seed, folder)

    monkeypatch.setattr(fuzz_meshes, "_child", dies_once)
    result = fuzz_meshes.run(40, seed=5)
    assert result["failures"] == [{"case": 25, "what": "the process ended with code 86: killed"}]
    assert result["outcomes"]["died"] == 1
    assert sum(result["outcomes"].values()) == 40


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reader", "code", "found"),
    [
        ("while True: pass", -signal.SIGPROF, None),
        ("re.match(r'(a+)+$', 'a' * 60 + 'b')", -signal.SIGPROF, None),
        ("numpy.ones(3 << 28)", 0, "MemoryError"),
    ],
)
def test_a_child_ends_at_its_limits_of_time_and_memory(tmp_path, reader, code, found):
    script = (
        "import re, sys, numpy, pathlib\n"
        "from tests.benchmarks import fuzz_meshes\n"
        "from tests.pgc.fuzzing import mesh_mutations\n"
        "def bad(path, data):\n"
        f"    {reader}\n"
        "fuzz_meshes.HANG, fuzz_meshes.WARM_UP = 0.5, 0\n"
        "mesh_mutations.READERS['.obj'] = bad\n"
        "fuzz_meshes.child(0, 1, 1, pathlib.Path(sys.argv[1]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=fuzz_meshes.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    if found is None:
        assert "in bad" in done.stderr
    else:
        assert found in json.loads((tmp_path / "found.json").read_text())["failures"][0]["what"]
