# SPDX-License-Identifier: Apache-2.0
"""Where the server is and the keys to it, as the server's connection file says."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ..errors import ConnectionFileError, NoConnectionFileError

__all__ = ["ServerAddress", "default_connection_file"]

_KEY_CHARACTERS = 40
"""Of a CURVE key in Z85."""
_MAX_FILE_BYTES = 64 * 1024


@dataclass(frozen=True)
class ServerAddress:
    """Where to connect, and with which keys.

    Args:
        server_public: the server's CURVE public key, Z85, 40 characters; client_public and client_secret likewise.
        epoch: run of the server that wrote the file; None where an address was typed in.
        pid: the server's process; None where it runs elsewhere.
    """

    host: str
    ctl_port: int
    bulk_port: int
    server_public: str
    client_public: str
    client_secret: str
    epoch: str | None = None
    pid: int | None = None

    def __repr__(self) -> str:
        return f"ServerAddress({self.host}:{self.ctl_port}/{self.bulk_port})"  # Never the secret key.

    @property
    def ctl_endpoint(self) -> str:
        """ZeroMQ address of the control channel."""
        return self._endpoint(self.ctl_port)

    @property
    def bulk_endpoint(self) -> str:
        """ZeroMQ address of the bulk channel."""
        return self._endpoint(self.bulk_port)

    def _endpoint(self, port: int) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{port}"

    @classmethod
    def from_connection_file(cls, path: Path) -> ServerAddress:
        """Reads connection.json.

        Raises:
            ConnectionFileError: it is not there, not readable by its owner alone, or not of this form.
        """
        try:
            if sys.platform != "win32" and path.stat().st_mode & 0o077:
                raise ConnectionFileError(
                    f"{path} holds a secret key, but others than its owner may read it; run: chmod 600 {path}"
                )
            data = path.read_bytes()[: _MAX_FILE_BYTES + 1]
        except FileNotFoundError as error:
            raise NoConnectionFileError(
                f"There is no {path}: no server runs here; start one with: pgc-server start --detach"
            ) from error
        except OSError as error:
            raise ConnectionFileError(f"{path} cannot be read ({error.strerror or error}).") from error
        return cls.from_json(data, str(path))

    @classmethod
    def from_json(cls, data: bytes, source: str = "The connection file") -> ServerAddress:
        """Returns the address in the bytes of a connection file. Raises ConnectionFileError where it is none."""
        try:
            content = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ConnectionFileError(f"{source} is damaged ({error}); start the server again.") from error
        if not isinstance(content, dict):
            raise ConnectionFileError(f"{source} holds a {type(content).__name__}, expected a map; start it again.")
        fields = cast("dict[str, Any]", content)
        return cls(
            host=_text(fields, "host", source),
            ctl_port=_port(fields, "ctl_port", source),
            bulk_port=_port(fields, "bulk_port", source),
            server_public=_key(fields, "server_public", source),
            client_public=_key(fields, "client_public", source),
            client_secret=_key(fields, "client_secret", source),
            epoch=fields["epoch"] if isinstance(fields.get("epoch"), str) else None,
            pid=fields["pid"] if isinstance(fields.get("pid"), int) else None,
        )


def default_connection_file() -> Path:
    """Returns where the user's own server writes its connection file: `pgc-server` in the user's data folder.

    The same place as `platformdirs` gives the server; Blender's Python lacks that package.
    """
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        given = os.environ.get("XDG_DATA_HOME", "").strip()
        base = Path(given) if given else Path.home() / ".local" / "share"
    return base / "pgc-server" / "connection.json"


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, int | float) else type(value).__name__


def _text(fields: dict[str, Any], name: str, source: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise ConnectionFileError(f"{source}: {name} is {_shown(value)}, expected text; start the server again.")
    return value


def _port(fields: dict[str, Any], name: str, source: str) -> int:
    value = fields.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 65535:
        raise ConnectionFileError(f"{source}: {name} is {_shown(value)}, expected 1 to 65535; start the server again.")
    return value


def _key(fields: dict[str, Any], name: str, source: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or len(value) != _KEY_CHARACTERS or not value.isascii():
        # The value itself may be a secret.
        raise ConnectionFileError(f"{source}: {name} is no CURVE key of 40 characters; start the server again.")
    return value
