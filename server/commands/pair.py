# SPDX-License-Identifier: Apache-2.0
"""`pgc-server pair`: let another machine connect."""

from __future__ import annotations

from typing import Annotated

import typer

from blender_addon.protocol.version import PROTOCOL_MAJOR, PROTOCOL_MINOR
from server.broker.auth import Role, add_client, load_clients, load_key_pair, remove_client
from server.broker.connection import read_connection
from server.commands.failures import reports_failures
from server.commands.options import Data, paths_of
from server.commands.pairing import PairingServer, ServerFacts
from server.config import ListenConfig, ServerPaths
from server.errors import ConfigError

__all__ = ["pair"]

_ROLES = tuple(role.value for role in Role)


@reports_failures
def pair(
    name: Annotated[str | None, typer.Argument(help="Name for the other machine, such as laptop.")] = None,
    data: Data = None,
    host: Annotated[
        str | None, typer.Option(help="This machine's address as the other one sees it; by default the server's.")
    ] = None,
    role: Annotated[str, typer.Option(help="artist, or admin: may also stop the server.")] = "artist",
    key: Annotated[str | None, typer.Option(help="The other machine's public key, where you have it already.")] = None,
    minutes: Annotated[float, typer.Option(help="How long the code is good.")] = 10.0,
    remove: Annotated[bool, typer.Option("--remove", help="Take the machine off the list.")] = False,
) -> None:
    """Add another machine's key. Prints a code that works once; without a name, lists the machines."""
    paths = paths_of(data)
    if role not in _ROLES:
        raise ConfigError(f"--role is {role!r}; expected one of {', '.join(_ROLES)}.")
    if name is None:
        _list(paths)
        return
    if remove:
        if not remove_client(paths, name):
            raise ConfigError(f"There is no machine {name!r}; `pgc-server pair` lists them.")
        typer.echo(f"{name} can no longer connect.")
        return
    public = key if key is not None else _by_code(paths, name, host, minutes)
    add_client(paths, name, public, Role(role))
    typer.echo(f"{name} is paired, as {role}.")


def _list(paths: ServerPaths) -> None:
    clients = sorted(load_clients(paths).values(), key=lambda client: client.name)
    for client in clients:
        typer.echo(f"{client.name}  {client.role}  {client.public}")
    if not clients:
        typer.echo("No other machine is paired; `pgc-server pair NAME` pairs one.")


def _by_code(paths: ServerPaths, name: str, host: str | None, minutes: float) -> str:
    connection = read_connection(paths.connection)
    address = ListenConfig(host=host or (connection.host if connection else "127.0.0.1"))
    if address.is_loopback:
        typer.echo(
            "Note: this code is good on this machine only. For another one, give --host with this machine's address "
            "in your network, and start the server with --listen and the same address.",
            err=True,
        )
    facts = ServerFacts(
        protocol=(PROTOCOL_MAJOR, PROTOCOL_MINOR),
        host=address.host,
        ctl_port=connection.ctl_port if connection else 0,
        bulk_port=connection.bulk_port if connection else 0,
        server_public=load_key_pair(paths, "server").public,
    )
    waiting = PairingServer(address.host, facts)
    try:
        typer.echo(f"On the other machine, enter this code within {minutes:g} minutes; it works once:")
        typer.echo(waiting.invitation.code())
        return waiting.wait(name, minutes * 60.0)
    finally:
        waiting.close()
