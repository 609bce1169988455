# SPDX-License-Identifier: Apache-2.0
"""Options of a command from the table of choices."""

import inspect
import re

import pytest
import typer
from typer.testing import CliRunner

from pgc.commands.choice_options import takes_choices
from pgc.commands.texture import texture
from pgc.runs.settings.choices import RunChoices, choices_offered


def invoke(*words):
    got = []

    @takes_choices
    def command(name: str = "", choices: RunChoices = RunChoices(), last: bool = False) -> None:  # noqa: B008
        got.append((name, choices, last))

    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, list(words))
    return result, got


def test_each_offered_choice_is_an_option_between_the_commands_own():
    names = list(inspect.signature(texture).parameters)
    offered = list(choices_offered())
    start = names.index(offered[0])
    assert names[start : start + len(offered)] == offered
    assert "choices" not in names
    assert not {"environments", "exposure"} & set(names), "of the wire alone"


def test_what_is_given_arrives_as_choices():
    words = ("--steps", "3", "--maps", "roughness, base_color", "--separate-slots", "--preset", "fine")
    result, got = invoke("--name", "x", *words, "--last")
    assert result.exit_code == 0, result.output
    chosen = RunChoices(steps=3, maps=("roughness", "base_color"), separate_slots=True, preset="fine")
    assert got == [("x", chosen, True)]
    assert invoke()[1] == [("", RunChoices(), False)]


def test_each_option_has_its_help():
    text = re.sub(r"[\s│]+", " ", invoke("--help")[0].output)
    for offer in choices_offered().values():
        assert offer.help.split(",")[0] in text


def test_a_command_without_the_parameter_is_a_mistake():
    with pytest.raises(TypeError, match="no parameter 'choices'"):
        takes_choices(lambda: None)
