# SPDX-License-Identifier: Apache-2.0
"""The command that counts what tests notice: it sees a test that notices, and one that does not."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("fcntl", reason="processes are forked as POSIX does it")
from tests.mutation.__main__ import Sample, examined
from tests.mutation.mutants import chosen_mutants, meaning, mutants_of
from tests.mutation.targets import ROOT, TARGETS, which_tests
from tests.mutation.workshop import Outcome, Workshop

SOURCE = '''
Number = int | float


def larger(a: int | None, b: int = 0) -> int | None:
    """Returns 1 + 1."""
    return a if a > b else b
'''
NOTICES = """
import larger


def test_larger():
    assert larger.larger(2, 1) == 2 == larger.larger(1, 2) == larger.larger(2)
"""
SLEEPS = "import larger\n\n\ndef test_nothing():\n    pass\n"


def test_annotations_texts_and_types_are_no_mutants():
    mutants = list(mutants_of(SOURCE))
    assert mutants
    assert {mutant.before for mutant in mutants} == {
        "def larger(a: int | None, b: int = 0) -> int | None:",
        "return a if a > b else b",
    }
    assert all(meaning(mutant.source) != meaning(SOURCE) for mutant in mutants)


def test_what_is_no_python_is_no_mutant():
    source = 'def f(values):\n    return {"a": 1, **values}\n'
    assert all(mutant.after != 'return {"a": 1, +values}' for mutant in mutants_of(source))


def test_a_module_with_an_exception_of_two_names_has_all_its_other_mutants():
    for caught, renamed in (("ValueError", True), ("(q.Empty, q.Full)", False), ("(OSError, q.Empty)", True)):
        found = {mutant.after for mutant in mutants_of(f"try:\n    f(1)\nexcept {caught}:\n    g()\n")}
        assert "f( 2)" in found
        assert any("CosmicRayTestingException" in after for after in found) == renamed, caught


def test_identity_is_turned_round_and_never_ordered():
    found = {mutant.after for mutant in mutants_of("def f(a, b):\n    return a is b\n")}
    assert "return a is not b" in found
    assert not {"return a >= b", "return a < b"} & found
    found = {mutant.after for mutant in mutants_of("def f(a, b):\n    return a == b\n")}
    assert {"return a != b", "return a < b"} <= found
    assert not {"return a is b", "return a is not b"} & found


def test_a_seed_chooses_the_same_ones_and_places_come_before_repetitions():
    assert chosen_mutants(SOURCE, 4, 1) == chosen_mutants(SOURCE, 4, 1)
    places = {mutant.position for mutant in mutants_of(SOURCE)}
    assert {mutant.position for mutant in chosen_mutants(SOURCE, len(places), 2)} == places


@pytest.fixture
def repository(tmp_path):
    """A repository with one module and two tests of it."""
    root = tmp_path / "repository"
    root.mkdir()
    files = {"larger.py": SOURCE, "test_notices.py": NOTICES, "test_sleeps.py": SLEEPS, "conftest.py": ""}
    for name, text in files.items():
        (root / name).write_text(text)
    for command in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", *command], cwd=root, check=True)
    return root


CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from tests.mutation.workshop import Outcome, Workshop
shop = Workshop(Path(sys.argv[1]), Path(sys.argv[2]))
plain = shop.read("larger.py")
for source in (plain, plain.replace("a > b", "a < b"), plain.replace("return a", "while True: pass\\n    return a")):
    for test in ("test_notices.py", "test_sleeps.py"):
        # Only what never ends is to reach its limit, however busy the machine.
        limit = 3.0 if "while" in source and "notices" in test else 90.0
        print(shop.run("larger.py", source, [test], limit).verdict, flush=True)
assert shop.read("larger.py") == plain
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_who_notices_is_told_from_who_does_not(repository, tmp_path):
    command = [sys.executable, "-c", CHILD, str(repository), str(tmp_path / "work"), str(ROOT)]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    found = subprocess.run(command, capture_output=True, text=True, env=environment, check=True, timeout=600)
    assert found.stdout.split() == ["survived", "survived", "killed", "survived", "timeout", "survived"]
    assert (repository / "larger.py").read_text() == SOURCE


def test_each_target_and_its_tests_are_there():
    for module in TARGETS:
        assert (ROOT / module).is_file(), module
        assert all((ROOT / test).exists() for test in which_tests(module)), module
    assert which_tests("pgc/rendering/compositing.py")[0].endswith("test_compositing.py")
    assert which_tests("pgc/rendering/latlong.py") == ("tests/pgc/rendering/test_latlong.py",)
    with pytest.raises(FileNotFoundError, match="neither"):
        which_tests("nowhere/nothing.py")


def test_a_copy_has_what_git_knows_and_nothing_else(repository, tmp_path):
    (repository / "ignored.txt").write_text("")
    Workshop(repository, tmp_path / "work")
    assert sorted(path.name for path in Path(tmp_path / "work" / "copy").iterdir()) == [
        "conftest.py", "larger.py", "test_notices.py", "test_sleeps.py",
    ]  # fmt: skip


class PretendedWorkshop(Workshop):
    """Runs nothing: what changes `b = 0` is noticed, all else survives."""

    def __init__(self):
        self.source, self.runs = SOURCE, 0

    def read(self, module):
        return self.source

    def run(self, module, source, tests, limit):
        self.runs += 1
        return Outcome(verdict="survived" if "b: int = 0" in source else "killed", seconds=0.0)


def test_what_was_tried_is_tried_again_only_where_something_changed():
    shop, sample, module = PretendedWorkshop(), Sample(most=6, seed=1), "pgc/rendering/latlong.py"

    def runs(before, *, again=True):
        earlier = shop.runs
        row = examined(shop, module, sample, before, again=again)
        return row, shop.runs - earlier

    row, tried = runs({})
    left = len(row["survivors"])
    assert 0 < left < 6 == row["mutants"] == row["noticed"] + left
    assert tried == 1 + 6, "the unchanged module first"
    assert runs(row) == (row, 0)
    row["survivors"][0]["reason"] = "Both are the same."
    older = {**row, "state": {**row["state"], "test_files": "others"}}
    assert runs(older) == (row, 1 + left)
    assert runs(older, again=False) == (row, 1 + 6)
    shop.source = SOURCE.replace("larger", "bigger")
    assert runs(row)[1] == 1 + 6
