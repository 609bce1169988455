# SPDX-License-Identifier: Apache-2.0
"""Connection file, keys, allow-list, marker, clock and records of models, damaged: each is read, made anew or refused
in a sentence, and nothing beside it goes."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

from blender_addon.client.access.address import ServerAddress
from blender_addon.client.errors import ClientError
from server.broker.sessions.auth import add_client, load_clients, load_key_pair, new_key_pair, remove_client
from server.commands.running import find_running
from server.config import ServerPaths
from server.errors import ServerError
from server.storage.age import AgeClock, Jump, clock_file
from server.storage.connection import Connection, keep_connection, read_connection, remove_connection, write_connection
from server.storage.ownership import claim_data_folder
from server.worker.model_store import ModelStore, Source
from tests.server.fuzzing.damage import STRANGE_TEXTS, damaged_bytes, damaged_json
from tests.server.fuzzing.judge import WrongError, contents, lost, sentence

__all__ = ["SmallFiles"]

DAY = 86400.0
_EPOCH = "0123456789abcdef" * 2
_KEPT = ("photo.png", "jobs/1/spec.msgpack", "blobs/ab/abcd")


class SmallFiles:
    """One of the small files is damaged, and everybody who reads it does so."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._seed = seed
        self._paths = ServerPaths(folder / "data")
        paths = self._paths
        claim_data_folder(paths)
        local = load_key_pair(paths, "local")
        server = load_key_pair(paths, "server")
        self._pairs = {"local": local, "server": server}
        add_client(paths, "colleague", new_key_pair().public)
        self._connection = Connection((1, 0), "127.0.0.1", 4001, 4002, server.public, local.public, local.secret, 1,
                                      _EPOCH)  # fmt: skip
        write_connection(paths.connection, self._connection)
        now = time.time()
        jumps = (Jump(0.0, now - 90 * DAY), Jump(now - 60 * DAY, now - 300 * DAY), Jump(now - 270 * DAY, now - 9 * DAY))
        paths.clock.write_bytes(clock_file(now - 60.0, jumps))
        self._models = ModelStore(paths.root / "models", _pulled)
        self._models.pull("sd15", (Source("a/b", ("*",)),))
        for name in _KEPT:
            path = paths.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode() * 20)
        self._readers: tuple[tuple[Path, Callable[[Random], str]], ...] = (
            (paths.connection, self._read_connection),
            (paths.keys / "server.json", lambda rng: self._read_keys("server")),
            (paths.keys / "local.json", lambda rng: self._read_keys("local")),
            (paths.keys / "local.copy.json", lambda rng: self._read_keys("local")),
            (paths.keys / "server.copy.json", lambda rng: self._read_keys("server")),
            (paths.keys / "clients" / "colleague.json", self._read_clients),
            (paths.marker, self._read_marker),
            (paths.clock, self._read_clock),
            (paths.root / "models" / "sd15.json", self._read_models),
        )
        self._whole = {path: path.read_bytes() for path, _reader in self._readers}

    def case(self, number: int) -> Sequence[str]:
        """See `Target`."""
        rng = Random(f"small {self._seed} {number}")
        path, reader = rng.choice(self._readers)
        self._mend()
        if path.parent == self._paths.keys and rng.random() < 0.2:
            # Its copy, too; or, of a copy, what it is a copy of.
            self._damage(rng, path.with_name(path.name.replace(".copy", "") if ".copy" in path.name else
                                             f"{path.stem}.copy.json"))  # fmt: skip
        self._damage(rng, path)
        before = {name: digest for name, digest in contents(self._paths.root).items() if name in _KEPT}
        try:
            outcome = reader(rng)
        except (ServerError, ClientError) as error:
            outcome = f"refused: {type(error).__name__}"
            if str(self._connection.client_secret) in sentence(error):
                raise WrongError("a secret key is in an error") from error
        gone = lost(before, contents(self._paths.root))
        if gone:
            raise WrongError(f"{path.name}: gone are {gone}")
        return [f"{path.stem}: {outcome}"]

    def close(self) -> None:
        """See `Target`."""

    def _mend(self) -> None:
        shutil.rmtree(self._paths.quarantine, ignore_errors=True)
        for path, data in self._whole.items():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            path.chmod(0o600)

    def _damage(self, rng: Random, path: Path) -> None:
        data, kind = self._whole[path], rng.random()
        if kind < 0.5:
            path.write_bytes(damaged_json(rng, json.loads(data), rng.choice((0, 1, 1, 2, 3))))
        elif kind < 0.85:
            path.write_bytes(damaged_bytes(rng, data))
        elif kind < 0.93:
            path.write_bytes(rng.choice(STRANGE_TEXTS))
        else:
            path.unlink()
            self._in_its_place(rng, path)

    def _in_its_place(self, rng: Random, path: Path) -> None:
        match rng.randrange(4):
            case 0:
                path.mkdir()
            case 1:
                path.symlink_to(self._paths.root / "nowhere")
            case 2:
                path.symlink_to(path)
            case _:
                pass

    # Readers

    def _read_connection(self, rng: Random) -> str:
        paths = self._paths
        outcomes = [_tried(lambda: read_connection(paths.connection))]
        outcomes.append(_tried(lambda: ServerAddress.from_connection_file(paths.connection)))
        find_running(paths)
        if rng.random() < 0.5:
            with suppress(ServerError):
                remove_connection(paths.connection, _EPOCH)
            return f"removed ({outcomes[0]}, {outcomes[1]})"
        keep_connection(paths.connection, self._connection)
        if read_connection(paths.connection) != self._connection:
            raise WrongError("the connection file was not written anew")
        return f"kept ({outcomes[0]}, {outcomes[1]})"

    def _read_keys(self, name: str) -> str:
        files = [self._paths.keys / f"{name}{suffix}.json" for suffix in ("", ".copy")]
        gone = not any(os.path.lexists(file) for file in files)
        if load_key_pair(self._paths, name) != self._pairs[name] and not gone:
            raise WrongError("another user than before")
        return "read"

    def _read_clients(self, rng: Random) -> str:
        clients = load_clients(self._paths)
        for public, client in clients.items():
            if len(public) != 40 or client.public != public:
                raise WrongError(f"{client} is on the list")
            remove_client(self._paths, client.name)
            if rng.random() < 0.5:
                add_client(self._paths, "another", new_key_pair().public)
        return f"{len(clients)} on the list"

    def _read_marker(self, _rng: Random) -> str:
        claim_data_folder(self._paths)
        claim_data_folder(self._paths)
        return "ours"

    def _read_clock(self, rng: Random) -> str:
        now = time.time()
        clock = AgeClock(self._paths.clock)
        # A thing that was made a moment ago is not old, whatever the file says.
        for since in (now, now - 30.0, now - 5 * DAY):
            age = clock.age(since)
            if not 0.0 <= age < now - since + 120.0:
                raise WrongError(f"a thing of {now - since:.0f} s is {age} s old")
        for _ in range(3):
            old = clock.age(now - rng.uniform(0, 100) * DAY)
            if not old >= 0.0:
                raise WrongError(f"an age of {old}")
        clock.tick()
        clock.save()
        AgeClock(self._paths.clock)
        return "read"

    def _read_models(self, _rng: Random) -> str:
        changed = self._models.changed_files("sd15")
        problems = self._models.verify("sd15")
        return "changed" if changed or problems else "whole"


def _tried(read: Callable[[], object]) -> str:
    try:
        found = read()
    except (ServerError, ClientError) as error:
        sentence(error)
        return "refused"
    return "nothing" if found is None else "read"


def _pulled(source: Source, cache: Path) -> Path:
    folder = cache / f"models--{source.hub_id.replace('/', '--')}" / "snapshots" / "1"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder
