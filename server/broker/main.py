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

from blender_addon.protocol.version import PROTOCOL_MAJOR, PROTOCOL_MINOR
from server.broker.auth import LOCAL_NAME, AllowedClient, KeyPair, Role, load_clients, load_key_pair
from server.broker.blobs import BlobStore
from server.broker.connection import Connection, remove_connection, write_connection
from server.broker.core import BrokerCore
from server.broker.housekeeping import Housekeeping, sweep
from server.broker.journal import Journal
from server.broker.logs import LogFile
from server.broker.loop import Loop
from server.broker.recovery import recover
from server.broker.state import BrokerState
from server.config import ServerConfig
from server.errors import ConfigError
from server.executors.base import Executor
from server.executors.local import LocalExecutor
from server.platform import (
    InstanceLock,
    keep_freed_memory,
    keep_new_files_private,
    make_private_directory,
    on_stop_request,
)

_LOG = logging.getLogger(__name__)
_ALLOW_LIST_SECONDS = 2.0
_SWITCH_SECONDS = 0.001
"""Longest that another thread keeps Python's lock from the loop."""

_KEPT_BYTES = 64 << 20
"""Freed memory that stays ours: what all uploads together may have on the way."""


def run_broker(config: ServerConfig, *, executor: Executor | None = None, stop: threading.Event | None = None) -> int:
    """Serve until SIGTERM, Ctrl-C, DRAIN, or until `stop` is set; each drains. Returns the exit code.

    Raises:
        AlreadyRunningError: another server uses the data directory.
        ConfigError: clients of other machines are to connect, but none is allowed.
        JournalError: the journal cannot be used.
        zmq.ZMQError: the address cannot be bound.
    """
    paths = config.paths
    if threading.current_thread() is threading.main_thread():
        keep_new_files_private()
    make_private_directory(paths.root)
    epoch = uuid.uuid4().hex
    stop = stop or threading.Event()
    with InstanceLock(paths.lock), LogFile(paths.log_file, epoch):
        if threading.current_thread() is threading.main_thread():
            on_stop_request(stop.set)
            sys.setswitchinterval(_SWITCH_SECONDS)
            keep_freed_memory(_KEPT_BYTES)
            gc.freeze()  # What was imported need not be looked through again and again, between two PINGs.
        _serve(config, executor or LocalExecutor(paths), stop, epoch)
    return 0


def _serve(config: ServerConfig, executor: Executor, stop: threading.Event, epoch: str) -> None:
    paths = config.paths
    server_keys, local = load_key_pair(paths, "server"), load_key_pair(paths, LOCAL_NAME)
    clients = _clients(config, local)
    for folder in (paths.jobs, paths.models):
        make_private_directory(folder)
    loop = Loop(config.listen, server_keys, executor)
    try:
        journal = Journal(paths.journal)
        state = BrokerState(config, loop, epoch, clients)
        store = BlobStore(paths.blobs)
        known_blobs, known_jobs = _recover(journal, state)
        core = BrokerCore(state, store, loop.endpoints.bulk_port)
        loop.use(core, journal)
        loop.allow_clients(tuple(clients))
        orphan_seconds = config.retention.orphan_seconds
        loop.disk(lambda: sweep(paths, store, known_jobs, known_blobs, orphan_seconds), _log_failure)
        core.start()
        _write_connection(config, loop, server_keys, local, epoch)
        _LOG.info("listening on %s, ports %d and %d", config.listen.host, *vars(loop.endpoints).values())
        watch = _Watch(config, loop, core, local, stop)
        housekeeping = Housekeeping(state, store)

        def each_tick(now: float) -> None:
            watch.tick(now)
            housekeeping.tick(now)

        loop.run(each_tick)
        core.uploads.close()
    finally:
        remove_connection(paths.connection, epoch)
        loop.close()


def _recover(journal: Journal, state: BrokerState) -> tuple[set[str], set[str]]:
    """Fill the state; returns all blobs and all jobs that the journal knows."""
    try:
        recover(journal, state)
        return journal.blobs(), set(state.jobs)
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


def _write_connection(config: ServerConfig, loop: Loop, server: KeyPair, local: KeyPair, epoch: str) -> None:
    connection = Connection(
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
    write_connection(config.paths.connection, connection)


def _log_failure(result: object, error: Exception | None) -> None:
    if error is not None:
        _LOG.error("sweep: %s", error)
    elif result:
        _LOG.info("sweep: %s leftovers removed", result)


class _Watch:
    """Looks now and then whether the server is to stop, and who is on the allow-list."""

    def __init__(
        self, config: ServerConfig, loop: Loop, core: BrokerCore, local: KeyPair, stop: threading.Event
    ) -> None:
        self._config = config
        self._loop = loop
        self._core = core
        self._local = local
        self._stop = stop
        self._next_list = 0.0

    def tick(self, now: float) -> None:
        if self._stop.is_set():
            self._core.drain()
        if now >= self._next_list:
            self._next_list = now + _ALLOW_LIST_SECONDS
            self._loop.disk(lambda: load_clients(self._config.paths), self._loaded)

    def _loaded(self, clients: dict[str, AllowedClient] | None, error: Exception | None) -> None:
        if clients is None:
            _LOG.error("allow-list: %s", error)
            return
        local = AllowedClient(LOCAL_NAME, self._local.public, Role.ADMIN)
        everybody = {**clients, local.public: local}
        if everybody != self._core.state.clients:
            self._core.set_clients(everybody)
            self._loop.allow_clients(tuple(everybody))
