# SPDX-License-Identifier: Apache-2.0
"""`pgc-server pair`: let another machine connect."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import typer

from blender_addon.protocol.version import PROTOCOL_MAJOR, PROTOCOL_MINOR
from server.broker.sessions.auth import Role, add_client, check_new_name, load_key_pair, read_allow_list, remove_client
from server.commands.failures import reports_failures
from server.commands.options import Data, paths_of
from server.commands.pairing import PairingServer, ServerFacts
from server.commands.running import find_running
from server.config import ListenConfig, ServerPaths
from server.errors import ConfigError
from server.storage.connection import Connection, read_connection

__all__ = ["pair"]

_ROLES = tuple(role.value for role in Role)


@reports_failures
def pair(  # noqa: PLR0913 - one parameter an option
    name: Annotated[str | None, typer.Argument(help="Name for the other machine, such as laptop.")] = None,
    data: Data = None,
    host: Annotated[
        str | None, typer.Option(help="This machine's address as the other one sees it; by default the server's.")
    ] = None,
    role: Annotated[str, typer.Option(help="artist, or admin: may also stop the server.")] = "artist",
    key: Annotated[str | None, typer.Option(help="The other machine's public key, where you have it already.")] = None,
    port: Annotated[
        int | None, typer.Option(help="The --port that the server will have, where it does not run yet.")
    ] = None,
    minutes: Annotated[float, typer.Option(help="How long the code is good.")] = 10.0,
    remove: Annotated[bool, typer.Option("--remove", help="Take the machine off the list.")] = False,
) -> None:
    """Adds another machine's key. Prints a code that works once; without a name, lists the machines."""
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
    if key is not None:
        add_client(paths, name, key, Role(role))
    else:
        if not 0 < minutes < math.inf:
            raise ConfigError(f"--minutes is {minutes:g}; expected more than 0.")
        check_new_name(paths, name)
        _by_code(paths, _Place(name, Role(role), host, port), minutes)
    typer.echo(f"{name} is paired, as {role}.")


def _list(paths: ServerPaths) -> None:
    found = read_allow_list(paths)
    clients = sorted(found.clients.values(), key=lambda client: client.name)
    for client in clients:
        typer.echo(f"{client.name}  {client.role}  {client.public}")
    for wrong in found.damaged.values():
        typer.echo(f"keys/clients: an entry is left out: {wrong}", err=True)
    if not clients:
        typer.echo("No other machine is paired; `pgc-server pair NAME` pairs one.")


@dataclass(frozen=True)
class _Place:
    """What the other machine gets: a name and a role here, and an address to connect to."""

    name: str
    role: Role
    host: str | None
    port: int | None


@dataclass(frozen=True)
class _NewClient:
    """Puts the key on the allow-list."""

    paths: ServerPaths
    place: _Place

    def keep(self, public: str) -> None:
        add_client(self.paths, self.place.name, public, self.place.role)

    def give_back(self) -> None:
        remove_client(self.paths, self.place.name)


def _by_code(paths: ServerPaths, place: _Place, minutes: float) -> None:
    facts = _facts(paths, place)
    if ListenConfig(host=facts.host).is_loopback:
        typer.echo(
            "Note: this code is good on this machine only. For another one, give --host with this machine's address "
            "in your network, and start the server with --listen and the same address.",
            err=True,
        )
    waiting = PairingServer(facts.host, facts)
    try:
        typer.echo(f"On the other machine, enter this code within {minutes:g} minutes; it works once:")
        typer.echo(waiting.invitation.code())
        waiting.wait(place.name, minutes * 60.0, _NewClient(paths, place))
    finally:
        waiting.close()
    if find_running(paths) is None:
        typer.echo(f"Start the server now: pgc-server start --listen {facts.host} --port {facts.ctl_port}", err=True)


def _facts(paths: ServerPaths, place: _Place) -> ServerFacts:
    """What the other machine is told. It must be true: with less it would be paired and could not connect."""
    connection = read_connection(paths.connection) if find_running(paths) is not None else None
    here = connection.host if connection is not None else "127.0.0.1"
    if place.port is not None and place.port < 1:
        raise ConfigError(f"--port is {place.port}; expected 1 to 65534, the one that the server will have.")
    ports = (0, 0) if place.port is None else (place.port, place.port + 1)
    listen = ListenConfig(place.host or here, *ports)
    if place.port is None:
        ports = _ports(connection, listen.host)
    return ServerFacts(
        protocol=(PROTOCOL_MAJOR, PROTOCOL_MINOR),
        host=listen.host,
        ctl_port=ports[0],
        bulk_port=ports[1],
        server_public=load_key_pair(paths, "server").public,
    )


def _ports(connection: Connection | None, host: str) -> tuple[int, int]:
    """The ports of the server that runs at this address."""
    if connection is None:
        raise ConfigError(
            "The server does not run, so it has no ports to tell: start it first; or give the --port that it will "
            "have here, and start it with the same --port afterwards."
        )
    if host != connection.host:
        raise ConfigError(
            f"The server listens at {connection.host} and not at {host}: pair with --host {host} and a --port, and "
            f"start it again with --listen {host} and the same --port."
        )
    return connection.ctl_port, connection.bulk_port
