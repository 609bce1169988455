# SPDX-License-Identifier: Apache-2.0
"""`pgc models`: which priors there are, which are installed, and how to get the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from pgc.commands.failures import reports_failures

if TYPE_CHECKING:
    from pgc.guidance.models import KnownModel

__all__ = ["model_lines", "models"]


@reports_failures
def models() -> None:
    """List the diffusion priors: what is installed, and how to get the rest."""
    from pgc.guidance.models import KNOWN_MODELS, is_model_installed

    for model in KNOWN_MODELS:
        for line in model_lines(model, installed=is_model_installed(model)):
            typer.echo(line)
        typer.echo()
    typer.echo("Any other Stable Diffusion 1.x, 2.x or XL: --guidance with its hub id, folder or .safetensors file.")


def model_lines(model: KnownModel, *, installed: bool) -> list[str]:
    """What is said about one model."""
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
        lines += ["  To get it:", *(f"    {command}" for command in commands)]
    return lines
