# SPDX-License-Identifier: Apache-2.0
"""Who may connect: CURVE key pairs, the allow-list, and the ZAP handler that libzmq asks.

A user *is* a CURVE public key (Z85, 40 characters). The server's own key pair and that of the local client stay
the same over restarts, so that a user's jobs stay the user's. Another machine's key is a file in `keys/clients`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

import zmq
from zmq.utils import z85

from server.config import ServerPaths
from server.errors import ConfigError
from server.json_files import read_json_map
from server.platform import make_private_directory, write_private
from server.storage.ownership import claim_data_folder
from server.storage.quarantine import Quarantine

CLIENT_DOMAIN = "pgc-client"
CHILD_DOMAIN = "pgc-child"
_ZAP_ENDPOINT = "inproc://zeromq.zap.01"
_PUBLIC_KEY = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
LOCAL_NAME = "local"


class Role(StrEnum):
    """`admin` may also drain the server, free the GPU, and see, cancel, pause and resume the jobs of all users."""

    ARTIST = "artist"
    ADMIN = "admin"


@dataclass(frozen=True)
class KeyPair:
    """A CURVE key pair in Z85."""

    public: str
    secret: str

    def __repr__(self) -> str:
        return f"KeyPair(public={self.public!r})"  # Never the secret.


@dataclass(frozen=True)
class AllowedClient:
    """One entry of the allow-list."""

    name: str
    public: str
    role: Role


def new_key_pair() -> KeyPair:
    """Makes a fresh random pair."""
    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode("ascii"), secret.decode("ascii"))


def load_key_pair(paths: ServerPaths, name: str) -> KeyPair:
    """Returns the pair in `keys/<name>.json`, made when there is none. A copy lies beside it, since with another key
    its user is another user, without jobs: where the file is lost or damaged, the copy takes its place.

    Raises:
        ConfigError: both are damaged.
    """
    claim_data_folder(paths)
    make_private_directory(paths.keys)
    path, copy = (paths.keys / f"{name}{suffix}.json" for suffix in ("", ".copy"))
    found, kept = _read_pair(path), _read_pair(copy)
    if found is None and kept is None and (os.path.lexists(path) or os.path.lexists(copy)):
        raise ConfigError(
            f"keys/{path.name} and keys/{copy.name} hold no CURVE key pair; remove both, and a new one is made."
        )
    pair = found or kept or new_key_pair()
    for file, content in ((path, found), (copy, kept)):
        if content != pair:
            _replace_key_file(paths, file, pair)
    return pair


def _read_pair(path: Path) -> KeyPair | None:
    try:
        fields = read_json_map(path)
    except (FileNotFoundError, ConfigError):
        return None
    public, secret = str(fields.get("public")), str(fields.get("secret"))
    return KeyPair(public, secret) if _is_pair(public, secret) else None


def _replace_key_file(paths: ServerPaths, path: Path, pair: KeyPair) -> None:
    if os.path.lexists(path):
        Quarantine(paths).take(path, "it held another key pair than the file beside it, or none")
    write_private(path, json.dumps(asdict(pair)).encode())


def _is_pair(public: str, secret: str) -> bool:
    """Whether both are keys, and belong together: with one changed letter nobody could connect."""
    if not (_PUBLIC_KEY.fullmatch(public) and _PUBLIC_KEY.fullmatch(secret)):
        return False
    try:
        return zmq.curve_public(secret.encode("ascii")) == public.encode("ascii")
    except zmq.ZMQError:
        return False


def add_client(paths: ServerPaths, name: str, public: str, role: Role = Role.ARTIST) -> AllowedClient:
    """Lets another machine's key connect; a running server takes notice within seconds.

    Raises:
        ConfigError: the name or the key has the wrong form, or the name is taken by another key.
    """
    check_name(name)
    if not _PUBLIC_KEY.fullmatch(public):
        raise ConfigError("The client's public key is not 40 characters of Z85; copy it again.")
    known = load_clients(paths)
    if any(client.name == name and client.public != public for client in known.values()):
        raise ConfigError(f"Another key has the name {name!r}; remove that one first, or take another name.")
    client = AllowedClient(name, public, role)
    claim_data_folder(paths)
    _clients_folder(paths, make=True)
    content = {**asdict(client), "sha256": _checksum(client)}
    write_private(_clients_folder(paths) / f"{name}.json", json.dumps(content).encode())
    return client


def _checksum(client: AllowedClient) -> str:
    """With one changed letter in its key a machine would look as if it had been removed, and its jobs would end."""
    return hashlib.sha256(json.dumps([client.name, client.public, client.role.value]).encode()).hexdigest()


def check_name(name: str) -> None:
    """Raises ConfigError where no machine can have this name."""
    if not _NAME.fullmatch(name) or name == LOCAL_NAME:
        raise ConfigError(f"Client name {name!r}; expected 1 to 64 of a-z 0-9 . _ - (and not {LOCAL_NAME!r}).")


def check_new_name(paths: ServerPaths, name: str) -> None:
    """Raises ConfigError where a machine that is not on the list yet cannot get this name."""
    check_name(name)
    if (_clients_folder(paths) / f"{name}.json").exists():
        raise ConfigError(
            f"A machine has the name {name!r} already; take it off the list first (pgc-server pair {name} --remove), "
            "or take another name."
        )


def remove_client(paths: ServerPaths, name: str) -> bool:
    """Takes a key off the allow-list; returns whether it was there."""
    if not _NAME.fullmatch(name):
        return False
    path = _clients_folder(paths) / f"{name}.json"
    found = path.is_file()
    path.unlink(missing_ok=True)
    return found


@dataclass(frozen=True)
class AllowList:
    """The clients of other machines.

    Args:
        clients: by public key; damaged: what is wrong, by the file's name, with entries that cannot be read.
        is_sure: whether who is missing was taken off. Where an entry is damaged, or the whole folder is gone, nobody
            can tell.
    """

    clients: dict[str, AllowedClient]
    damaged: dict[str, str]
    is_sure: bool


def read_allow_list(paths: ServerPaths) -> AllowList:
    """Reads the allow-list as it is now; a damaged entry lets nobody in."""
    clients: dict[str, AllowedClient] = {}
    damaged: dict[str, str] = {}
    folder = _clients_folder(paths)
    is_there = folder.is_dir()
    for path in sorted(folder.glob("*.json")) if is_there else ():
        try:
            client = _entry(path)
        except FileNotFoundError:
            # It was taken off after its folder was listed, or is a link to nothing.
            if path.is_symlink():
                damaged[path.name] = f"{path.name} is a link to a file that is not there."
        except ConfigError as error:
            damaged[path.name] = str(error)
        else:
            clients[client.public] = client
    return AllowList(clients, damaged, is_there and not damaged)


def load_clients(paths: ServerPaths) -> dict[str, AllowedClient]:
    """Returns the clients of other machines, by public key, without damaged entries."""
    return read_allow_list(paths).clients


def _entry(path: Path) -> AllowedClient:
    try:
        fields = read_json_map(path)
        client = AllowedClient(str(fields["name"]), str(fields["public"]), Role(fields["role"]))
    except (KeyError, ValueError) as error:
        raise ConfigError(f"{path.name} is no entry: {type(error).__name__} {error}.") from error
    if not _PUBLIC_KEY.fullmatch(client.public):
        raise ConfigError(f"{path.name} holds no public key.")
    if fields.get("sha256", _checksum(client)) != _checksum(client):  # An older one has none.
        raise ConfigError(f"{path.name} is not what was written.")
    return client


def _clients_folder(paths: ServerPaths, make: bool = False) -> Path:
    folder = paths.keys / "clients"
    if make:
        make_private_directory(folder)
    return folder


class ZapHandler:
    """Answers what libzmq asks of each new connection: whether this public key may come in.

    Runs in a thread of its own, so that a storm of connections does not touch the broker's loop.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        self._allowed: dict[str, frozenset[str]] = {CLIENT_DOMAIN: frozenset(), CHILD_DOMAIN: frozenset()}
        self._banned: dict[str, float] = {}
        self.refused = 0
        self._socket = context.socket(zmq.REP)
        self._socket.linger = 0
        self._socket.rcvtimeo = 100
        self._socket.bind(_ZAP_ENDPOINT)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="zap")
        self._thread.start()

    def allow(self, domain: str, keys: Mapping[str, object] | frozenset[str]) -> None:
        """Replaces the keys that may connect in this domain. Connections that stand are not cut."""
        self._allowed[domain] = frozenset(keys)

    def ban(self, key: str, seconds: float) -> None:
        """Keeps a key out for so long, on every list and in every domain."""
        self._banned[key] = time.monotonic() + seconds

    def _is_banned(self, key: str) -> bool:
        return time.monotonic() < self._banned.get(key, 0.0)

    def close(self) -> None:
        """Ends the thread and closes its socket."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                frames = self._socket.recv_multipart()
            except zmq.Again:
                continue
            self._socket.send_multipart(self.answer(frames))
        self._socket.close()

    def answer(self, frames: list[bytes]) -> list[bytes]:
        """Returns the reply frames of ZAP 1.0 (RFC 27) for request frames."""
        request = frames[1] if len(frames) > 1 else b""
        if len(frames) == 7 and frames[0] == b"1.0" and frames[5] == b"CURVE":
            domain = frames[2].decode("ascii", "replace")
            key = _z85(frames[6])
            if key is not None and key in self._allowed.get(domain, frozenset()):
                if self._is_banned(key):
                    # A temporary refusal: ZeroMQ tries again by itself, after its 10 s for a handshake.
                    return [b"1.0", request, b"300", b"later", b"", b""]
                return [b"1.0", request, b"200", b"OK", key.encode("ascii"), b""]
        self.refused += 1
        return [b"1.0", request, b"400", b"refused", b"", b""]


def _z85(raw: bytes) -> str | None:
    if len(raw) != 32:
        return None
    return z85.encode(raw).decode("ascii")
