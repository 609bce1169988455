# SPDX-License-Identifier: Apache-2.0
"""The connection file: what a client of the same user needs to connect (0600, in a 0700 directory)."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from server.errors import ConfigError
from server.json_files import read_json_map
from server.platform import is_private, write_private

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Connection:
    """Contents of connection.json. It holds the server's *public* key only.

    Args:
        epoch: id of this run of the server, 32 hexadecimal characters.
        pid: process of the broker.
    """

    protocol: tuple[int, int]
    host: str
    ctl_port: int
    bulk_port: int
    server_public: str
    client_public: str
    client_secret: str
    pid: int
    epoch: str

    def __repr__(self) -> str:
        return f"Connection(host={self.host!r}, ctl_port={self.ctl_port}, bulk_port={self.bulk_port}, pid={self.pid})"


def write_connection(path: Path, connection: Connection) -> None:
    """Writes the file whole, durably, for the owner alone."""
    write_private(path, json.dumps(asdict(connection), indent=1).encode())


def read_connection(path: Path) -> Connection | None:
    """Returns the connection, or None without a file.

    Raises:
        ConfigError: others can read the file, or it holds something else.
    """
    try:
        values = read_json_map(path)
        private = is_private(path)
    except FileNotFoundError:
        return None
    except ConfigError as error:
        raise ConfigError(f"{path.name} is no connection file ({error}); start the server again.") from error
    if not private:
        raise ConfigError(f"{path.name} can be read by others; stop the server, remove the file and start again.")
    try:
        major, minor = values.pop("protocol")
        for field in fields(Connection):
            if field.name != "protocol" and field.type != type(values[field.name]).__name__:
                raise TypeError(field.name)
        return Connection(protocol=(int(major), int(minor)), **values)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise ConfigError(
            f"{path.name} is no connection file ({type(error).__name__}); start the server again."
        ) from error


def keep_connection(path: Path, connection: Connection) -> None:
    """Writes the file again where it is gone, damaged or another's: without it nobody could connect."""
    try:
        found = read_connection(path)
    except (ConfigError, OSError):
        found = None
    if found != connection:
        _LOG.warning("%s was gone or changed and is written anew", path.name)
        write_connection(path, connection)


def remove_connection(path: Path, epoch: str) -> None:
    """Removes the file if it is still that of this run."""
    try:
        connection = read_connection(path)
    except ConfigError:
        connection = None
    if connection is not None and connection.epoch == epoch:
        path.unlink(missing_ok=True)
