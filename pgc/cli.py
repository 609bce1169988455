# SPDX-License-Identifier: Apache-2.0
"""The command `pgc`. Nothing heavy is imported before a command runs, so that --help comes at once."""

from __future__ import annotations

import logging
import os
from typing import Annotated

import typer

import pgc
from pgc.commands.compare import compare
from pgc.commands.demo import demo
from pgc.commands.evaluate import evaluate
from pgc.commands.export import export
from pgc.commands.models import app as models
from pgc.commands.pair import pair
from pgc.commands.playground import playground
from pgc.commands.shapes.image import image
from pgc.commands.shapes.imagine import imagine
from pgc.commands.shapes.shape import shape
from pgc.commands.texture import texture
from pgc.commands.transfer import transfer
from pgc.commands.uvs import uvs
from pgc.terminal.program import run_program
from pgc.waiting_threads import let_threads_sleep

__all__ = ["app", "main"]

app = typer.Typer(
    name="pgc",
    help="Textures an existing mesh from a prompt, in the mesh's own UVs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("texture")(texture)
app.command("shape")(shape)
app.command("image")(image)
app.command("imagine")(imagine)
app.command("export")(export)
app.command("transfer")(transfer)
app.command("uvs")(uvs)
app.command("playground")(playground)
app.command("compare")(compare)
app.add_typer(models, name="models")
app.command("pair")(pair)
app.command("demo")(demo)
app.command(
    "eval",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
)(evaluate)


def _show_version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"pgc-texture {pgc.__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and leave.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what the library logs.")] = False,
) -> None:
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )


def main() -> None:
    """Runs the command."""
    # Before any command imports torch.
    let_threads_sleep(os.environ)
    run_program(app, "pgc")
