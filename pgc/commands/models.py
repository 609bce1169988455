# SPDX-License-Identifier: Apache-2.0
"""`pgc models`: which priors there are, which are installed, and how to get the others."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from pgc.commands.failures import reports_failures

__all__ = ["models"]


@reports_failures
def models() -> None:
    """List the diffusion priors: what is installed, and how to get the rest."""
    from pgc.guidance.models import catalogue

    table = Table("Name", "Model", "Installed", "How to get it")
    for entry in catalogue():
        table.add_row(entry.name, entry.title, "yes" if entry.installed else "no", entry.how_to_get)
    Console().print(table)
