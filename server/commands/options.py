# SPDX-License-Identifier: Apache-2.0
"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from server.config import ServerPaths

__all__ = ["Data", "JsonOutput", "paths_of"]

Data = Annotated[
    Path | None, typer.Option("--data", help="Data directory of the server; by default the user's own.", metavar="DIR")
]
JsonOutput = Annotated[bool, typer.Option("--json", help="For programs: JSON instead of text.")]


def paths_of(data: Path | None) -> ServerPaths:
    """Returns the data directory that a command works with."""
    return ServerPaths.default() if data is None else ServerPaths(data.absolute())
