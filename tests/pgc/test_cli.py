# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

import pgc
from pgc.cli import app
from pgc.commands.models import model_lines
from pgc.errors import MeshError
from pgc.guidance.models import KNOWN_MODELS
from pgc.terminal.failures import EXIT_INTERNAL, reports_failures


def test_help_names_the_commands():
    result = CliRunner().invoke(app, ["--help"])
    assert result.exit_code == 0
    assert all(name in result.output for name in ("texture", "export", "transfer", "models", "demo", "eval"))


def test_version():
    assert CliRunner().invoke(app, ["--version"]).output.strip() == f"pgc-texture {pgc.__version__}"


def test_the_command_line_imports_nothing_heavy():
    code = (
        "import sys, pgc.cli; print([name for name in ('torch', 'numpy', 'diffusers', 'warp') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def failing(error):
    def command():
        raise error

    app = typer.Typer()
    app.command()(reports_failures(command))
    return CliRunner().invoke(app, [])


def test_expected_errors_are_a_sentence_and_exit_code_2():
    result = failing(MeshError("The mesh is round."))
    assert (result.exit_code, result.stderr) == (2, "pgc: The mesh is round.\n")


def test_ctrl_c_is_exit_code_130():
    assert failing(KeyboardInterrupt()).exit_code == 130


def test_unexpected_errors_are_told_as_our_own_and_leave_the_way_to_their_traceback(caplog):
    with caplog.at_level("INFO"):
        result = failing(ZeroDivisionError("division\nby zero"))
    assert result.exit_code == EXIT_INTERNAL
    assert len(result.stderr.splitlines()) == 1
    assert "a fault of this program and not of your files" in result.stderr
    assert "ZeroDivisionError at test_cli.py:" in result.stderr
    assert "division by zero" in result.stderr
    assert any(record.exc_info for record in caplog.records), "--verbose shows the traceback"


def test_the_ways_of_typer_to_end_a_command_are_no_faults():
    assert failing(typer.Exit(3)).exit_code == 3
    assert failing(typer.BadParameter("too round")).exit_code == 2
    assert failing(typer.Abort()).exit_code == 1


def test_models_are_listed_with_the_way_to_get_them():
    result = CliRunner().invoke(app, ["models"])
    assert result.exit_code == 0
    for model in KNOWN_MODELS:
        assert f"{model.key}: {model.title}" in result.output


@pytest.mark.parametrize("model", KNOWN_MODELS, ids=lambda model: model.key)
def test_an_installed_model_needs_no_command(model):
    assert not any("hf download" in line for line in model_lines(model, installed=True))
    missing = "\n".join(model_lines(model, installed=False))
    assert ("hf download" in missing) == (model.key != "pocket")


def test_a_download_wants_somebodys_word(monkeypatch):
    pulled = []
    monkeypatch.setattr("pgc.guidance.models.is_model_installed", lambda model: False)
    monkeypatch.setattr("pgc.guidance.pulling.pull_model", lambda model: pulled.append(model.key))
    monkeypatch.setattr("pgc.guidance.pulling.pull_hub_id", pulled.append)
    unasked = CliRunner().invoke(app, ["models", "pull", "sdxl"])
    assert unasked.exit_code == 2
    assert "9.8 GB" in unasked.output
    assert "OpenRAIL" in unasked.output
    assert "give --yes" in unasked.output
    assert pulled == []
    for name in ("sdxl", "someone/some-model"):
        assert CliRunner().invoke(app, ["models", "pull", name, "--yes"]).exit_code == 0
    assert pulled == ["sdxl", "someone/some-model"]


def test_what_is_installed_is_not_pulled_again():
    result = CliRunner().invoke(app, ["models", "pull", "pocket"])
    assert result.exit_code == 0
    assert "installed already" in result.output


def test_eval_has_commands_of_its_own():
    result = CliRunner().invoke(app, ["eval", "--help"])
    assert result.exit_code == 0
    assert "oracle" in result.output
