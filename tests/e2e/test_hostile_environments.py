# SPDX-License-Identifier: Apache-2.0
"""A slice of `python -m tests.benchmarks.hostile_environments`: each environment with two light commands, each light
command at least once; each heavy command in one environment, as slow tests."""

import sys

import pytest

from tests.benchmarks.hostile_environments import COMMANDS, Command, build_place, make_run, run_cell
from tests.benchmarks.hostile_machines import MACHINES, Machine

LIGHT = [command for command in COMMANDS if not command.heavy]
HEAVY = [command for command in COMMANDS if command.heavy]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="environments are made by what POSIX offers")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return build_place(tmp_path_factory.mktemp("hostile"))


def pairs(commands, each):
    count = max(len(MACHINES) * each, len(commands))
    return [
        pytest.param(MACHINES[number % len(MACHINES)], commands[number * 5 % len(commands)], number)
        for number in range(count)
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("machine", "command", "number"), pairs(LIGHT, 2))
def test_light_commands_end_in_a_sentence(place, machine, command, number):
    if not machine.possible():
        pytest.skip(f"{machine.name} cannot be made here")
    outcome = run_cell(machine, command, place, number)
    assert not outcome.problem, outcome


@pytest.mark.slow
@pytest.mark.parametrize(
    ("machine", "command", "number"),
    [(MACHINES[number * 7 % len(MACHINES)], command, number) for number, command in enumerate(HEAVY)],
)
def test_heavy_commands_end_in_a_sentence(place, machine, command, number):
    if not machine.possible():
        pytest.skip(f"{machine.name} cannot be made here")
    if "{run}" in command.name and not place.run.exists():
        make_run(place)
    outcome = run_cell(machine, command, place, 1000 + number)
    assert not outcome.problem, outcome


def test_every_light_command_is_in_the_slice():
    assert {parameter.values[1].name for parameter in pairs(LIGHT, 2)} == {command.name for command in LIGHT}


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (r"import os; os.write(2, b'Traceback (most recent call last):\n'); os._exit(1)", "Traceback"),
        ("import os; os._exit(2)", "without a word"),
        ("import os; os.abort()", "exit code -6"),
        (r"import sys; sys.stdout.buffer.write(b'\x81')", "not cp1252"),
    ],
)
def test_the_judge_sees_what_is_wrong(place, tmp_path, monkeypatch, script, said):
    (tmp_path / "sitecustomize.py").write_text(script)

    def change(how, cell):
        how.environment["PYTHONPATH"] = str(tmp_path)

    machine = Machine("broken", change, "cp1252")
    outcome = run_cell(machine, Command("help", ("pgc", "--version")), place, 2000 + len(script))
    assert said in outcome.problem
