# SPDX-License-Identifier: Apache-2.0
"""The container's recipe and page name files, options and commands that there are. Nothing is built here."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer

from server.__main__ import app
from server.config import ListenConfig, ServerPaths
from server.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "server" / "container"
RECIPE = (FOLDER / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
PAGE = (FOLDER / "README.md").read_text("utf-8").replace("\\\n", " ")
COMMANDS = [line.partition(" pgc-server ")[2] for line in PAGE.splitlines() if re.match(r"docker exec|    pgc-s", line)]
COMMANDS += [line.partition(" pgc-server ")[2] for line in PAGE.splitlines() if line.startswith("docker run")]


def test_what_it_copies_is_there_and_is_what_the_wheel_is_made_of():
    copied = [word for line in re.findall(r"(?m)^COPY (.*)$", RECIPE) for word in line.split()[:-1]]
    assert all((ROOT / name).exists() for name in copied), copied
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    packages = {name.rstrip("*").split(".")[0] for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert packages | {project["project"]["readme"], "LICENSE", "pyproject.toml"} == set(copied)
    assert "[server]" in RECIPE
    assert "server" in project["project"]["optional-dependencies"]


def test_the_server_has_no_rights_and_keeps_its_data_and_models_in_a_volume():
    last = RECIPE.rpartition("\nFROM ")[2]
    assert last.index("\nUSER pgc") < last.index("\nENTRYPOINT")
    assert 'VOLUME ["/data"]' in last
    assert ServerPaths(Path("/data")).models.is_relative_to("/data")


def _parsed(words: list[str]) -> None:
    """Reads a command line as the program does, without doing what it says."""
    command: Any = typer.main.get_command(app)
    while (below := getattr(command, "commands", None)) is not None:
        assert words[0] in below, words
        command, words = below[words[0]], words[1:]
    command.make_context(command.name, list(words))


@pytest.mark.parametrize("line", COMMANDS)
def test_the_page_names_commands_that_there_are(line: str):
    _parsed(shlex.split(line, comments=True))


def test_so_does_the_recipe():
    words = [re.findall(r'"([^"]+)"', line) for line in re.findall(r"(?m)^(?:CMD|HEALTHCHECK.*CMD) (\[.*\])$", RECIPE)]
    assert len(words) == 2
    for line in words:
        _parsed(line[1:] if line[0] == "pgc-server" else line)


def test_an_address_for_all_networks_is_refused_as_the_page_says():
    assert "refuses `0.0.0.0`" in PAGE
    with pytest.raises(ConfigError, match=r"0\.0\.0\.0"):
        ListenConfig(host="0.0.0.0")


def test_an_option_that_there_is_not_would_be_noticed():
    with pytest.raises(Exception, match="No such option"):
        _parsed(["start", "--no-such-option"])
