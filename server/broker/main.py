# SPDX-License-Identifier: Apache-2.0
"""The broker as a process: alone on its data directory, from the journal up to the connection file, and down again.

sys.exit(run_broker(ServerConfig()))
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
import uuid
from dataclasses import dataclass, replace

from blender_addon.protocol.version import PROTOCOL_MAJOR, PROTOCOL_MINOR
from server.broker.core import BrokerCore
from server.broker.descriptors import LEAST_FILES, room_for
from server.broker.logs import LogFile
from server.broker.loop import Loop
from server.broker.scheduling.recovery import recover
from server.broker.sessions.auth import (
    LOCAL_NAME,
    AllowedClient,
    AllowList,
    KeyPair,
    Role,
    load_clients,
    load_key_pair,
    read_allow_list,
)
from server.broker.state import BrokerState
from server.broker.supervision.housekeeping import Housekeeping, Known, Swept, sweep
from server.children.executor import Executor
from server.children.local_executor import LocalExecutor
from server.children.ray_executor import RayExecutor
from server.config import ServerConfig
from server.errors import ConfigError
from server.platform import (
    InstanceLock,
    allow_open_files,
    keep_freed_memory,
    keep_new_files_private,
    make_private_directory,
    on_stop_request,
    open_files_limit,
)
from server.storage.age import AgeClock
from server.storage.blobs import BlobStore
from server.storage.connection import Connection, keep_connection, remove_connection, write_connection
from server.storage.journal import Journal
from server.storage.journal_care import open_journal
from server.storage.ownership import claim_data_folder
from server.storage.quarantine import Quarantine

_LOG = logging.getLogger(__name__)
_LOOK_SECONDS = 2.0
_SWITCH_SECONDS = 0.001
"""Longest that another thread keeps Python's lock from the loop."""

_WANTED_FILES = 4096
"""Open at once: sockets, files of jobs, pipes of child processes."""

_KEPT_BYTES = 64 << 20
"""Freed memory that stays ours: what all uploads together may have on the way."""


def run_broker(config: ServerConfig, *, executor: Executor | None = None, stop: threading.Event | None = None) -> int:
    """Serves until SIGTERM, Ctrl-C, DRAIN, or until `stop` is set; each drains. Returns the exit code.

    Raises:
        AlreadyRunningError: another server uses the data directory.
        ConfigError: the data folder is another's or cannot be used, or clients of other machines are to connect, but
            none is allowed.
        JournalError: the journal cannot be used.
        ListenError: the port is taken, or the address is none of this machine's.
    """
    paths = config.paths
    if threading.current_thread() is threading.main_thread():
        keep_new_files_private()
        _allow_open_files()
    claim_data_folder(paths)
    epoch = uuid.uuid4().hex
    stop = stop or threading.Event()
    with InstanceLock(paths.lock) as lock, LogFile(paths.log_file, epoch):
        if threading.current_thread() is threading.main_thread():
            on_stop_request(stop.set)
            sys.setswitchinterval(_SWITCH_SECONDS)
            keep_freed_memory(_KEPT_BYTES)
            gc.freeze()  # What was imported need not be looked through again and again, between two PINGs.
        _serve(config, executor or _executor(config), _Life(lock, stop, epoch))
    return 0


def _executor(config: ServerConfig) -> Executor:
    match config.executor:
        case "local":
            return LocalExecutor(config.paths)
        case "ray":
            return RayExecutor(config.paths)


def _allow_open_files() -> None:
    limit = allow_open_files(_WANTED_FILES)
    if limit is not None and limit < LEAST_FILES:
        raise ConfigError(
            f"Only {limit} files may be open at once here, and the server needs {LEAST_FILES}; raise the limit "
            "(ulimit -n), and start again."
        )


@dataclass(frozen=True)
class _Life:
    """One run of the server: the lock that it holds, what ends it, its id."""

    lock: InstanceLock
    stop: threading.Event
    epoch: str


def _serve(config: ServerConfig, executor: Executor, life: _Life) -> None:
    paths = config.paths
    server_keys, local = load_key_pair(paths, "server"), load_key_pair(paths, LOCAL_NAME)
    clients = _clients(config, local)
    for folder in (paths.jobs, paths.models):
        make_private_directory(folder)
    room = room_for(open_files_limit())
    config = replace(config, quotas=room.within(config.quotas))
    # Workers of other machines come where clients do; each has a key of its own, and no other is let in.
    children = config.listen if config.executor == "ray" else None
    loop = Loop(config.listen, server_keys, executor, room, children)
    try:
        journal = open_journal(paths, Quarantine(paths))
        state = BrokerState(config, loop, life.epoch, clients)
        store = BlobStore(paths.blobs)
        known = _recover(journal, state)
        age = AgeClock(paths.clock, state.ports.wall, state.ports.now)
        core = BrokerCore(state, store, loop.endpoints.bulk_port)
        loop.use(core, journal)
        loop.allow_clients(tuple(clients))
        loop.disk(lambda: sweep(store, paths, known, age, config.retention), _log_sweep)
        core.start()
        connection = _connection(config, loop, server_keys, local, life.epoch)
        write_connection(paths.connection, connection)
        _LOG.info("listening on %s, ports %d and %d", config.listen.host, *vars(loop.endpoints).values())
        watch = _Watch(core, loop, local, connection, life)
        housekeeping = Housekeeping(state, store, age)

        def each_tick(now: float) -> None:
            watch.tick(now)
            housekeeping.tick(now)

        loop.run(each_tick)
        core.uploads.close()
        _save_age(age)
    finally:
        remove_connection(paths.connection, life.epoch)
        loop.close()


def _recover(journal: Journal, state: BrokerState) -> Known:
    """Fill the state; returns all jobs and blobs that the journal knows."""
    try:
        recover(journal, state)
        return Known(jobs=set(state.jobs), blobs=journal.blobs())
    except BaseException:
        journal.close()
        raise


def _clients(config: ServerConfig, local: KeyPair) -> dict[str, AllowedClient]:
    clients = load_clients(config.paths)
    if not config.listen.is_loopback and not clients:
        raise ConfigError(
            f"Listening on {config.listen.host} would let nobody in: allow a client first with `pgc-server pair`."
        )
    return {**clients, local.public: AllowedClient(LOCAL_NAME, local.public, Role.ADMIN)}


def _save_age(age: AgeClock) -> None:
    try:
        age.save()
    except (OSError, ConfigError) as error:  # On a full disk: the next start then counts ages a little shorter.
        _LOG.warning("the clock's file cannot be written: %s", error)


def _connection(config: ServerConfig, loop: Loop, server: KeyPair, local: KeyPair, epoch: str) -> Connection:
    return Connection(
        protocol=(PROTOCOL_MAJOR, PROTOCOL_MINOR),
        host=config.listen.host,
        ctl_port=loop.endpoints.ctl_port,
        bulk_port=loop.endpoints.bulk_port,
        server_public=server.public,
        client_public=local.public,
        client_secret=local.secret,
        pid=os.getpid(),
        epoch=epoch,
    )


def _log_sweep(swept: Swept | None, error: Exception | None) -> None:
    if swept is None:
        _LOG.error("sweep: %s", error)
    elif swept.removed or swept.quarantined:
        _LOG.warning("sweep: %d half-written files removed, %d to quarantine", swept.removed, swept.quarantined)


class _Watch:
    """Looks now and then whether the server is to stop, whether its folder is still there, and who may connect."""

    def __init__(self, core: BrokerCore, loop: Loop, local: KeyPair, connection: Connection, life: _Life) -> None:
        self._paths = core.state.config.paths
        self._loop = loop
        self._core = core
        self._local = local
        self._connection = connection
        self._life = life
        self._next_look = 0.0
        self._said: object = None

    def tick(self, now: float) -> None:
        if self._life.stop.is_set():
            self._core.drain()
        if now >= self._next_look:
            self._next_look = now + _LOOK_SECONDS
            self._loop.disk(self._look, self._looked)

    def _look(self) -> AllowList | None:
        """In a disk thread: whether the folder is ours still (then with its connection file), and the allow-list."""
        if not self._life.lock.is_in_place():
            return None
        keep_connection(self._paths.connection, self._connection)
        return read_allow_list(self._paths)

    def _looked(self, found: AllowList | None, error: Exception | None) -> None:
        if error is not None:
            self._say_once("the data folder cannot be looked at: %s", str(error))
            return
        if found is None:
            # What is written from now on would be found by nobody, and another server may be at work in a new folder.
            if not self._core.state.draining:
                _LOG.error("the data folder was deleted or replaced while the server ran; the server ends")
            self._core.drain()
            return
        wrong = "; ".join(found.damaged.values())
        self._say_once("allow-list: entries in keys/clients are left out: %s", wrong)
        local = AllowedClient(LOCAL_NAME, self._local.public, Role.ADMIN)
        everybody = {**found.clients, local.public: local}
        self._core.departures.is_sure = found.is_sure
        if everybody != self._core.state.clients:
            self._core.set_clients(everybody)
            self._loop.allow_clients(tuple(everybody))

    def _say_once(self, text: str, what: str) -> None:
        """Into the log where it is news: this is looked at every two seconds."""
        if what and self._said != (text, what):
            _LOG.warning(text, what)
        self._said = (text, what) if what else None
