# SPDX-License-Identifier: Apache-2.0
"""Settings of the server and the places where it keeps things.

    config = ServerConfig(paths=ServerPaths.default())

Times are in seconds, sizes in bytes.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import platformdirs

from server.errors import ConfigError

Device = Literal["auto", "cpu", "cuda"]
Rasterizer = Literal["auto", "warp", "nvdiffrast"]
ExecutorName = Literal["local", "ray"]

MIB = 1 << 20
GIB = 1 << 30
HOUR = 3600.0
DAY = 24 * HOUR
_DISK_FLOOR, _DISK_SHARE = 5 * GIB, 20


@dataclass(frozen=True)
class ServerPaths:
    """Files and folders under one data directory, which belongs to the user alone (0700)."""

    root: Path

    @classmethod
    def default(cls) -> ServerPaths:
        """Returns the user's own data directory, for example `~/.local/share/pgc-server`."""
        return cls(Path(platformdirs.user_data_dir("pgc-server", appauthor=False)))

    @property
    def marker(self) -> Path:
        """The file that says that this folder is a server's (`server.storage.ownership`)."""
        return self.root / "pgc-server.json"

    @property
    def lock(self) -> Path:
        """The lock's file, which one server holds while it runs."""
        return self.root / "server.lock"

    def worker_lock(self, index: int) -> Path:
        """Says where the lock is that the worker of this number holds while it lives: two would load two models onto
        one card.
        """
        return self.root / f"worker-{index}.lock"

    @property
    def connection(self) -> Path:
        """What a local client needs to connect (0600)."""
        return self.root / "connection.json"

    @property
    def keys(self) -> Path:
        """Key pairs of server and local client, and the allow-list."""
        return self.root / "keys"

    @property
    def blobs(self) -> Path:
        """The folder of all blobs."""
        return self.root / "blobs"

    @property
    def journal(self) -> Path:
        """The database of jobs and grants."""
        return self.root / "journal.sqlite"

    @property
    def journal_copies(self) -> Path:
        """Copies of the journal, from when it was whole."""
        return self.root / "journal-copies"

    @property
    def quarantine(self) -> Path:
        """What was damaged, or what the journal did not know; a folder for each time that something was found."""
        return self.root / "quarantine"

    @property
    def clock(self) -> Path:
        """What is known of the clock's jumps (`server.storage.age`)."""
        return self.root / "clock.json"

    @property
    def jobs(self) -> Path:
        """The folder that has a folder for each job."""
        return self.root / "jobs"

    @property
    def logs(self) -> Path:
        """The folder of all logs."""
        return self.root / "logs"

    @property
    def log_file(self) -> Path:
        """The broker's own log."""
        return self.logs / "server.jsonl"

    @property
    def models(self) -> Path:
        """The folder of models that were pulled into the server."""
        return self.root / "models"

    @property
    def words(self) -> Path:
        """Prompts that were encoded before (`pgc.guidance.diffusion.words.stored`); it may be removed at any time."""
        return self.root / "words"

    def job(self, job: str) -> Path:
        """Says where the folder of one job is: specification, checkpoints, newest preview."""
        return self.jobs / job

    def spec(self, job: str) -> Path:
        """Says where the job's `TextureJobSpec` is, `msgpack.packb(to_wire(spec))`."""
        return self.job(job) / "spec.msgpack"

    def checkpoint(self, job: str) -> Path:
        """Says where the job's newest checkpoint is."""
        return self.job(job) / "checkpoint.safetensors"

    def previous_checkpoint(self, job: str) -> Path:
        """Says where the checkpoint before the newest is."""
        return self.job(job) / "checkpoint.previous.safetensors"

    def previews(self, job: str) -> Path:
        """Says where the job's newest previews are."""
        return self.job(job) / "preview"


@dataclass(frozen=True)
class ListenConfig:
    """Where clients connect. Port 0 takes any free one; the connection file says which.

    Raises:
        ConfigError: the host is a wildcard or no IP address, or a port is out of range.
    """

    host: str = "127.0.0.1"
    ctl_port: int = 0
    bulk_port: int = 0

    def __post_init__(self) -> None:
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError as error:
            raise ConfigError(f"Listen address {self.host!r} is no IP address; give one, such as 127.0.0.1.") from error
        # ::ffff:0.0.0.0 is a wildcard in disguise.
        mapped = getattr(address, "ipv4_mapped", None) or address
        if address.is_unspecified or mapped.is_unspecified or address.is_multicast:
            raise ConfigError(
                f"Listen address {self.host} stands for every network of this machine; name one address of it."
            )
        for name in ("ctl_port", "bulk_port"):
            port = getattr(self, name)
            if not 0 <= port <= 65535:
                raise ConfigError(f"{name} is {port}; expected 0 (any free port) to 65535.")

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return ipaddress.ip_address(self.host).is_loopback

    def endpoint(self, port: int) -> str:
        """Returns the address for ZeroMQ; an IPv6 address gets its brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{port or '*'}"


@dataclass(frozen=True)
class QuotaConfig:
    """How much one user, and all together, may take.

    Args:
        disk_floor: with less room than this on the disk nothing new is taken on; None: 5 GiB, and no more than a
            twentieth of the disk. Running jobs may need more for their checkpoints.

    Raises:
        ConfigError: the floor is below 0.
    """

    jobs_per_user: int = 200
    jobs: int = 2000
    bytes_per_user: int = 64 * GIB
    sessions_per_user: int = 16
    sessions: int = 256
    uploads_per_user: int = 8
    uploads: int = 512
    subscriptions_per_session: int = 64
    disk_floor: int | None = None

    def __post_init__(self) -> None:
        if self.disk_floor is not None and self.disk_floor < 0:
            raise ConfigError(f"The disk floor is {self.disk_floor / GIB:g} GiB; expected 0 or more.")

    def floor_of(self, disk: int) -> int:
        """Returns the floor on a disk of so many bytes."""
        return min(_DISK_FLOOR, disk // _DISK_SHARE) if self.disk_floor is None else self.disk_floor


@dataclass(frozen=True)
class Retention:
    """How long finished things stay."""

    results_seconds: float = 7 * DAY
    results_bytes: int = 20 * GIB
    checkpoint_seconds: float = DAY
    orphan_seconds: float = HOUR
    unfinished_upload_seconds: float = 6 * HOUR
    unused_blob_seconds: float = DAY
    quarantine_seconds: float = 30 * DAY


@dataclass(frozen=True)
class Supervision:
    """When a child process counts as lost, and how it is ended.

    Args:
        cancel_terminate: after a cancel, until the worker's stacks are asked for; stack_dump: from there to SIGTERM;
            cancel_kill: from there to SIGKILL. Together less than 5 s.
        cancel_longest: a worker of slow steps may end the one that it is in, where one usually takes no longer.
        keep_limit: how long the result of a cancelled job may take to be made of what there is.
        preempt_floor: a job with less work left than this does not make room for an interactive one.
        interactive_turn: after so much time an interactive job makes room for one of another user.
        start_limit: until a worker is ready, which imports torch and may wait for the worker of a dead server.
        gate_start_limit: until the gate is ready, which imports little; submissions wait for it meanwhile.
    """

    attempts: int = 3
    restarts_without_checkpoint: int = 10
    respawns: int = 5
    respawn_window: float = 600.0
    start_limit: float = 240.0
    gate_start_limit: float = 60.0
    beat_limit: float = 60.0
    load_limit: float = 1800.0
    stall_floor: float = 60.0
    stall_factor: float = 50.0
    cancel_terminate: float = 2.5
    stack_dump: float = 0.5
    cancel_kill: float = 1.5
    cancel_longest: float = 30.0
    keep_limit: float = 120.0
    preempt_floor: float = 5.0
    interactive_turn: float = 60.0
    gate_limit: float = 30.0
    drain_limit: float = 30.0
    idle_free: float = 300.0
    idle_exit: float = 900.0


@dataclass(frozen=True)
class ServerConfig:
    """Everything that `pgc-server start` can be told.

    Args:
        checkpoint_seconds: least time between two checkpoints of a job.
        low_priority: workers on the CPU go behind the programs that people wait for.
        start_paused: jobs that waited or ran when the last server ended wait for their RESUME.
        prewarm: start a worker at once, so that devices and models are known and the first job need not wait.

    Raises:
        ConfigError: a number is out of range.
    """

    paths: ServerPaths = field(default_factory=ServerPaths.default)
    listen: ListenConfig = field(default_factory=ListenConfig)
    device: Device = "auto"
    rasterizer: Rasterizer = "auto"
    executor: ExecutorName = "local"
    workers: int = 1
    checkpoint_seconds: float = 20.0
    low_priority: bool = False
    start_paused: bool = False
    prewarm: bool = True
    quotas: QuotaConfig = field(default_factory=QuotaConfig)
    retention: Retention = field(default_factory=Retention)
    supervision: Supervision = field(default_factory=Supervision)

    def __post_init__(self) -> None:
        if self.device not in ("auto", "cpu", "cuda"):
            raise ConfigError(f"device is {self.device!r}; expected auto, cpu or cuda.")
        if self.rasterizer not in ("auto", "warp", "nvdiffrast"):
            raise ConfigError(f"rasterizer is {self.rasterizer!r}; expected auto, warp or nvdiffrast.")
        if self.executor not in ("local", "ray"):
            raise ConfigError(f"executor is {self.executor!r}; expected local or ray.")
        if not 1 <= self.workers <= 64:
            raise ConfigError(f"workers is {self.workers}; expected 1 to 64.")
        if not self.checkpoint_seconds > 0:
            raise ConfigError(f"checkpoint_seconds is {self.checkpoint_seconds}; expected more than 0.")
