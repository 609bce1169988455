# SPDX-License-Identifier: Apache-2.0
"""The command `pgc-server`. Nothing heavy is imported before a command runs, so that --help comes at once."""

from __future__ import annotations

import typer

from pgc.terminal.program import run_program
from server.commands.doctor.command import doctor
from server.commands.models import app as models
from server.commands.pair import pair
from server.commands.start import start
from server.commands.status import jobs, logs, status
from server.commands.stop import stop

__all__ = ["app", "main"]

app = typer.Typer(
    name="pgc-server",
    help="The server that textures meshes for Blender and `pgc texture --server`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("start")(start)
app.command("stop")(stop)
app.command("status")(status)
app.command("jobs")(jobs)
app.command("doctor")(doctor)
app.command("pair")(pair)
app.add_typer(models, name="models")
app.command("logs")(logs)


def main() -> None:
    """Runs the command `pgc-server`."""
    run_program(app, "pgc-server")
