# SPDX-License-Identifier: Apache-2.0
"""Whether a farm's task is a command line that `pgc` understands."""

from __future__ import annotations

from collections.abc import Sequence

import typer.main

from pgc.cli import app

__all__ = ["check_command"]


def check_command(arguments: Sequence[str]) -> dict[str, object]:
    """Parses what a farm runs as `pgc` would, without running it; returns the options by name.

    Raises:
        click.UsageError: it names an option that is not there, or lacks a value.
    """
    group = typer.main.get_command(app)
    name, *rest = arguments
    command = group.commands[name]  # type: ignore[attr-defined]
    with command.make_context(name, list(rest)) as context:
        return dict(context.params)
