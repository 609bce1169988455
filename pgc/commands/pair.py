# SPDX-License-Identifier: Apache-2.0
"""`pgc pair CODE`: may use a server on another machine from now on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pgc.errors import ConfigError
from pgc.terminal.failures import reports_failures

__all__ = ["pair"]


@reports_failures
def pair(
    code: Annotated[str, typer.Argument(help="What `pgc-server pair` shows on the other machine.")],
    connection: Annotated[Path, typer.Option(help="Connection file to write.")] = Path("server.json"),
) -> None:
    """Pairs with a server on another machine; then use it with `pgc texture --connection`."""
    from blender_addon import client as wire

    try:
        address = wire.pair(code, connection)
    except (wire.ClientError, OSError) as error:
        raise ConfigError(str(error)) from error
    typer.echo(f"Paired with {address.host}. Use it with: pgc texture … --connection {connection}", err=True)
