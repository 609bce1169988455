# SPDX-License-Identifier: Apache-2.0
"""What all parts of the broker's logic share: the jobs, who may read what, and the way to answer."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from blender_addon.protocol.codec import Envelope, request_id
from blender_addon.protocol.errors import WireError
from blender_addon.protocol.limits import Limits
from blender_addon.protocol.messages import Error, JobEvent, JobInfo, JobState, Message, ModelInfo
from server.broker import refusals
from server.broker.disk_words import DiskRoom, disk_error, low_disk
from server.broker.metrics import Metrics
from server.broker.ports import Address, Buffer, Ports
from server.broker.queue import FairQueue, QueuedJob
from server.broker.sessions.auth import AllowedClient, Role
from server.broker.sessions.sessions import Session, Sessions
from server.config import ServerConfig
from server.job_limits import limits_for, machine_memory
from server.storage.jobs import Job, JobRow
from server.storage.journal import Grant

_LOG = logging.getLogger(__name__)


@dataclass
class BrokerState:
    """Args: epoch: id of this run of the server; clients: the allow-list by public key."""

    config: ServerConfig
    ports: Ports
    epoch: str
    clients: dict[str, AllowedClient]
    metrics: Metrics = field(default_factory=Metrics)
    queue: FairQueue = field(default_factory=FairQueue)
    jobs: dict[str, Job] = field(default_factory=lambda: dict[str, Job]())
    by_key: dict[tuple[str, str], str] = field(default_factory=lambda: dict[tuple[str, str], str]())
    grants: dict[str, dict[str, int]] = field(default_factory=lambda: dict[str, dict[str, int]]())
    draining: bool = False
    disk: DiskRoom = field(default_factory=DiskRoom)
    journal_stuck: bool = False
    next_rank: int = 1
    memory: int = field(default_factory=machine_memory)
    """Of the machine, in bytes."""
    devices_of_workers: dict[int, tuple[str, ...]] = field(default_factory=lambda: dict[int, tuple[str, ...]]())
    models: tuple[ModelInfo, ...] = ()

    def __post_init__(self) -> None:
        quotas = self.config.quotas
        self.sessions = Sessions(quotas.sessions_per_user, quotas.sessions)

    # Answers

    def send(self, address: Address, message: Message, re: str | None = None, buffers: Sequence[Buffer] = ()) -> None:
        """Sends one message to a connection."""
        session = self.sessions.at(address)
        envelope = Envelope(
            message=message,
            id=request_id(),
            re=re,
            session=None if session is None else session.sid,
            epoch=self.epoch,
            buffers=tuple(buffers),
        )
        self.ports.send(address, envelope)

    def refuse(self, address: Address, error: WireError, re: str | None) -> None:
        """Answers with an error."""
        self.send(address, Error(error), re)

    def fault(self, where: str, error: Exception) -> WireError:
        """Reports an unforeseen error: into the log whole, to the client by its number only."""
        err_id = uuid.uuid4().hex[:12]
        _LOG.error("%s: %s", where, error, exc_info=error, extra={"err_id": err_id})
        return refusals.internal(err_id)

    def disk_fault(self, where: str, error: Exception) -> WireError:
        """Reports an error that came of reading or writing: into the log whole, to the client by what it is."""
        fault = self.fault(where, error)
        return disk_error(error) or fault

    # Jobs

    def own_job(self, user: str, job: str) -> Job | None:
        """Returns the user's own job; another user's is as unknown as one that never was."""
        found = self.jobs.get(job)
        return found if found is not None and found.row.user == user else None

    def is_admin(self, user: str) -> bool:
        """Says whether the user may also stop the server and see everybody's jobs."""
        return user in self.clients and self.clients[user].role is Role.ADMIN

    def job_in_reach(self, user: str, job: str) -> Job | None:
        """Returns a job that the user may cancel, pause and resume: the user's own, or an admin's any."""
        return self.jobs.get(job) if self.is_admin(user) else self.own_job(user, job)

    def owner_name(self, job: Job) -> str:
        """Returns the name of the machine whose job it is; of one that was taken off the list, the beginning of its
        key.
        """
        owner = self.clients.get(job.row.user)
        return job.row.user[:8] if owner is None else owner.name

    def jobs_of(self, user: str) -> list[Job]:
        """Returns all jobs of a user."""
        return [job for job in self.jobs.values() if job.row.user == user]

    def info(self, job: Job, positions: dict[str, int] | None = None) -> JobInfo:
        """Describes the job for a list. `positions`: of the queue, where several are asked for."""
        if job.told.state is not JobState.QUEUED:
            return job.info(0)
        places = self.queue.positions(self.ports.now()) if positions is None else positions
        return job.info(places.get(job.id, 0))

    def enqueue(self, job: Job, since: float | None = None) -> None:
        """Lets a job of state QUEUED wait for its turn; `since`: when it began to wait, now by default."""
        row, since = job.row, self.ports.now() if since is None else since
        self.queue.add(QueuedJob(row.job, row.user, row.interactive, row.rank, since, row.paused, row.cancelling))

    def keep(
        self, row: JobRow, event: JobEvent | None, then: Callable[[], None], results: Sequence[Grant] = ()
    ) -> None:
        """Commits a job's new values, which must not get lost, and goes on when they are on the disk."""

        def done(_result: object, error: Exception | None) -> None:
            if error is not None:
                self.fault(f"journal: job {row.job}", error)
                return
            if row.job in self.jobs:
                self.jobs[row.job].told = row
            then()

        if row.is_terminal and event is not None:
            self.ports.journal(lambda journal: journal.finish(row, event, results), done, essential=True)
        else:
            self.ports.journal(lambda journal: journal.save(row, event), done, essential=True)

    # Blobs

    def may_read(self, user: str, sha256: str) -> bool:
        """Says whether a blob is the user's to read."""
        return sha256 in self.grants.get(user, {})

    def add_grant(self, grant: Grant) -> None:
        """Takes note that a user may read a blob."""
        self.grants.setdefault(grant.user, {})[grant.sha256] = grant.size

    @property
    def limits(self) -> Limits:
        """How large a job may be here. Where no worker has told its device yet, the processor's: less."""
        return limits_for(self.memory, any(not device.startswith("cpu") for device in self.devices))

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices of all workers, each once, in the workers' order; of one that rests, too."""
        found = (device for _index, devices in sorted(self.devices_of_workers.items()) for device in devices)
        return tuple(dict.fromkeys(found))

    def is_blocked(self) -> bool:
        """Says whether the disk takes nothing more."""
        return self.disk.is_low or self.journal_stuck

    def blocked(self) -> WireError | None:
        """Says why the disk takes nothing more; None where it does."""
        if self.journal_stuck:
            return refusals.disk_full()
        return low_disk(self.disk) if self.disk.is_low else None


@dataclass(frozen=True)
class Request:
    """One message of a client, with the session that it came in."""

    session: Session
    address: Address
    envelope: Envelope

    @property
    def id(self) -> str:
        """The id of the client's message."""
        return self.envelope.id

    @property
    def user(self) -> str:
        """The key of the client's user."""
        return self.address.user
