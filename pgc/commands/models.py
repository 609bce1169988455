# SPDX-License-Identifier: Apache-2.0
"""`pgc models`: which priors there are, which are installed; `pgc models pull` gets the others, when told to."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from pgc.errors import ConfigError
from pgc.terminal.failures import reports_failures

if TYPE_CHECKING:
    from pgc.guidance.models import KnownModel

__all__ = ["app", "model_lines"]


class _ListsByDefault(TyperGroup):
    """`pgc models` alone means `pgc models list`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - the context class is click's own affair
        """Parses the arguments; without any they are those of `list`."""
        return super().parse_args(ctx, args or ["list"])


app = typer.Typer(
    name="models", help="The diffusion priors: what is installed, and getting the rest.", cls=_ListsByDefault
)


@app.command("list")
@reports_failures
def list_models() -> None:
    """Lists the diffusion priors: what is installed, and how to get the rest."""
    from pgc.guidance.models import ALL_MODELS, is_model_installed

    for model in ALL_MODELS:
        for line in model_lines(model, installed=is_model_installed(model)):
            typer.echo(line)
        typer.echo()
    typer.echo("Any other Stable Diffusion 1.x, 2.x or XL: --guidance with its hub id, folder or .safetensors file.")


@app.command()
@reports_failures
def pull(
    model: Annotated[str, typer.Argument(help="sd15, sd21, sdxl, or a hub id (owner/name).")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask: the size and the licence are known.")] = False,
) -> None:
    """Fetches a model from the hub: safetensors only, no more than is needed. Nothing else ever downloads one."""
    from pgc.guidance.models import ALL_MODELS, is_model_installed
    from pgc.guidance.pulling import pull_hub_id, pull_model

    known = next((known for known in ALL_MODELS if known.key == model), None)
    if known is not None and is_model_installed(known):
        typer.echo(f"{known.key} is installed already.")
        return
    if known is not None:
        _ask(f"{known.title}: about {known.download_gb:.1f} GB to download; licence {known.license}.", agreed=yes)
        pull_model(known)
    else:
        _ask(f"{model}: its size and licence stand on its page at the hub.", agreed=yes)
        pull_hub_id(model)
    typer.echo(f"{model} is installed; from now on it works without a network.")


def _ask(what: str, *, agreed: bool) -> None:
    """Goes on if the person wants to.

    Raises:
        ConfigError: nobody is there who could be asked.
        typer.Exit: the answer was no.
    """
    typer.echo(what)
    if agreed:
        return
    if not sys.stdin.isatty():
        raise ConfigError("A download wants somebody's word, and nobody can be asked here; give --yes.")
    if not typer.confirm("Download it?"):
        raise typer.Exit


def model_lines(model: KnownModel, *, installed: bool) -> list[str]:
    """Returns what is said about one model."""
    from pgc.guidance.models import download_commands

    commands = download_commands(model)
    if installed:
        state = "installed"
    else:
        state = f"not installed, {model.download_gb:.1f} GB to download" if commands else "missing: install pgc again"
    memory = f"about {model.memory_gb:g} GB" + (" (an estimate)" if model.memory_source == "estimate" else "")
    lines = [
        f"{model.key}: {model.title}, {model.image_size} pixels: {state}",
        f"  memory {memory}; licence {model.license}",
    ]
    if model.note:
        lines.append(f"  {model.note}")
    if commands and not installed:
        lines += [f"  To get it: pgc models pull {model.key}", "  or, with the hub's own tool:"]
        lines += [f"    {command}" for command in commands]
    return lines
