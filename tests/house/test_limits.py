# SPDX-License-Identifier: Apache-2.0
"""The house stays one in which a person finds things: no circle, no arrow upward, no room with too much in it."""

import subprocess

import pytest

from tests.house.__main__ import PACKAGES, ROOT, house_of_repository, name
from tests.house.imports import read_imports
from tests.house.rooms import circles_of, houses

MOST_FILES = 15
MORE = {("tests", "benchmarks"): "each is a documented command, `python -m tests.benchmarks.NAME`"}
"""Folders that hold more, and why."""


@pytest.fixture(scope="module")
def all_houses():
    return house_of_repository(packages=(*PACKAGES, "tests"))


@pytest.mark.slow
def test_no_arrow_runs_upward_between_folders(all_houses):
    packages = [house for folder, house in all_houses.items() if folder[:1] != ("tests",)]
    found = {name(house.folder): house.upward for house in packages if house.upward and house.folder}
    assert not found, f"{found}: python -m tests.house FOLDER draws them; move what both sides need below both."


@pytest.mark.slow
def test_no_files_import_each_other_in_a_circle():
    imports = read_imports(ROOT, PACKAGES)
    graph = {"/".join(module): {"/".join(other) for other in others} for module, others in imports.items()}
    assert not circles_of(graph)


@pytest.mark.slow
def test_no_folder_has_more_files_than_a_person_takes_in(all_houses):
    full = {folder: house.side_by_side for folder, house in all_houses.items() if house.side_by_side > MOST_FILES}
    assert full.keys() <= MORE.keys(), f"{full}: at most {MOST_FILES} files lie side by side; make a folder."


@pytest.mark.slow
def test_each_exception_is_still_one(all_houses):
    assert all(all_houses[folder].side_by_side > MOST_FILES for folder in MORE)


def test_a_circle_and_a_full_folder_are_seen(tmp_path):
    (tmp_path / "app").mkdir()
    for number in range(MOST_FILES + 1):
        (tmp_path / "app" / f"part{number}.py").write_text(f"import app.part{(number + 1) % 3}\n")
    house = houses(read_imports(tmp_path, ["app"]))["app",]
    assert house.upward
    assert house.circles == [["part0", "part1", "part2"]]
    assert house.side_by_side == MOST_FILES + 1


TOP = {
    *("blender_addon", "pgc", "server", "tests", ".ci"),
    *("build_addon.py", "Makefile", "pyproject.toml", ".gitignore"),
    *("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE"),
}
"""What the repository's top level holds. An evaluation that runs there leaves a folder, which `git add` takes."""


def test_nothing_else_lies_at_the_top():
    listed = subprocess.run(["git", "ls-tree", "--name-only", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("this copy is no git checkout")
    assert set(listed.stdout.split()) == TOP
