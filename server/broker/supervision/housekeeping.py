# SPDX-License-Identifier: Apache-2.0
"""Room on the disk: what is old goes, and when little is left nothing new is taken on."""

from __future__ import annotations

import contextlib
import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

from blender_addon.protocol.messages import JobState
from server.broker.disk_words import DiskRoom
from server.broker.state import BrokerState
from server.config import Retention, ServerPaths
from server.storage.age import AgeClock
from server.storage.blobs import BlobStore
from server.storage.jobs import Job
from server.storage.journal import Grant
from server.storage.journal_care import copy_journal
from server.storage.quarantine import Quarantine, empty_old

_LOG = logging.getLogger(__name__)
_DISK_SECONDS = 5.0
_CLEAN_SECONDS = 300.0
_COPY_SECONDS = 600.0
_CHECKPOINTS_FLOOR = 3


class Housekeeping:
    """Called each tick; works in disk threads and in the journal's."""

    def __init__(self, state: BrokerState, store: BlobStore, age: AgeClock) -> None:
        self._state = state
        self._store = store
        self._age = age
        self._next_disk = self._next_clean = self._next_copy = state.ports.now()
        self._measuring = False
        self._cleaned_checkpoints: set[str] = set()

    def tick(self, now: float) -> None:
        """Does what is due by now: the clock's file, the journal's copy, the look at the disk, and the clean-up."""
        if self._age.tick():
            self._state.ports.disk(self._age.save, self._log_failure)
        if now >= self._next_copy:
            self._next_copy = now + _COPY_SECONDS
            paths = self._state.config.paths
            self._state.ports.disk(lambda: copy_journal(paths, self._state.ports.wall), self._log_failure)
        if now >= self._next_disk and not self._measuring:
            self._next_disk = now + _DISK_SECONDS
            self._measure_disk()
        if now >= self._next_clean:
            self._next_clean = now + _CLEAN_SECONDS
            self._forget_old_jobs()
            self._remove_checkpoints()
            self._take_back_grants()
            keep = self._state.config.retention.quarantine_seconds
            paths = self._state.config.paths
            self._state.ports.disk(lambda: empty_old(paths, keep, self._age.age), self._log_failure)

    # Free space

    def _measure_disk(self) -> None:
        self._measuring = True
        paths, quotas = self._state.config.paths, self._state.config.quotas
        running = [job.id for job in self._state.jobs.values() if job.row.state is JobState.RUNNING]

        def measure() -> DiskRoom:
            largest = max((_size(paths.checkpoint(job)) for job in running), default=0)
            usage = shutil.disk_usage(paths.root)
            return DiskRoom(usage.free, quotas.floor_of(usage.total), _CHECKPOINTS_FLOOR * largest)

        def done(measured: DiskRoom | None, error: Exception | None) -> None:
            self._measuring = False
            if measured is None:
                _LOG.error("disk: cannot be measured: %s", error)
                return
            if measured.is_low != self._state.disk.is_low:
                _LOG.warning("%s", measured.sentence() if measured.is_low else "The disk has enough room again.")
            self._state.disk = measured

        self._state.ports.disk(measure, done)

    # What is old

    def _forget_old_jobs(self) -> None:
        keep = self._state.config.retention
        ended = [job for job in self._state.jobs.values() if job.row.is_terminal and not job.watchers]
        ended.sort(key=lambda job: -(job.row.finished or 0.0))
        stored, old = 0, list[Job]()
        for job in ended:
            stored += sum(file.bytes for file in job.row.result.maps) if job.row.result is not None else 0
            if self._age.age(job.row.finished or 0.0) > keep.results_seconds or stored > keep.results_bytes:
                old.append(job)
        if not old:
            return
        names = [job.id for job in old]
        for job in old:
            del self._state.jobs[job.id]
            self._state.by_key.pop((job.row.user, job.row.key), None)
        paths = self._state.config.paths

        def forgotten(_result: object, error: Exception | None) -> None:
            if error is not None:
                self._state.fault("housekeeping", error)
                return
            folders = [paths.job(name) for name in names]
            self._state.ports.disk(lambda: _remove_folders(folders), self._log_failure)

        self._state.ports.journal(lambda journal: journal.forget_jobs(names), forgotten)

    def _remove_checkpoints(self) -> None:
        keep = self._state.config.retention.checkpoint_seconds
        paths = self._state.config.paths
        files: list[Path] = []
        for job in self._state.jobs.values():
            since = job.row.acked if job.row.state is JobState.SUCCEEDED else job.row.finished
            if since is not None and self._age.age(since) > keep and job.id not in self._cleaned_checkpoints:
                self._cleaned_checkpoints.add(job.id)
                files += [paths.checkpoint(job.id), paths.previous_checkpoint(job.id)]
        self._cleaned_checkpoints &= self._state.jobs.keys()
        if files:
            self._state.ports.disk(lambda: _remove_files(files), self._log_failure)

    def _take_back_grants(self) -> None:
        keep = self._state.config.retention.unused_blob_seconds
        before = self._state.ports.wall() - keep

        def done(grants: list[Grant] | None, error: Exception | None) -> None:
            if grants is None:
                self._state.fault("housekeeping", error or OSError())
                return
            for grant in grants:
                self._state.grants.get(grant.user, {}).pop(grant.sha256, None)
            held = {sha256 for blobs in self._state.grants.values() for sha256 in blobs}
            free = [grant.sha256 for grant in grants if grant.sha256 not in held]
            orphan_seconds = self._state.config.retention.orphan_seconds
            if free:
                self._state.ports.disk(
                    lambda: [self._store.remove_old(sha256, orphan_seconds, self._age.age) for sha256 in free],
                    self._log_failure,
                )

        def is_old(used: float) -> bool:
            return self._age.age(used) > keep

        self._state.ports.journal(lambda journal: journal.forget_unused_grants(before, is_old), done)

    def _log_failure(self, _result: object, error: Exception | None) -> None:
        if error is not None:
            self._state.fault("housekeeping", error)


@dataclass(frozen=True)
class Known:
    """What the journal knows: jobs by id, blobs by hash."""

    jobs: set[str]
    blobs: set[str]


def sweep(store: BlobStore, paths: ServerPaths, known: Known, age: AgeClock, keep: Retention) -> Swept:
    """Tidies up at the start: half-written files of a crash go; whole jobs and blobs that the journal does not know go
    to quarantine, since the fault may be the journal's. What is younger than `keep.orphan_seconds` is left.
    """
    removed = store.sweep(keep.orphan_seconds, keep.unfinished_upload_seconds, age.age)
    quarantine = Quarantine(paths)
    for sha256 in list(store.names()):
        if sha256 not in known.blobs and store.age(sha256, age.age) > keep.orphan_seconds:
            quarantine.take(store.path(sha256), "the journal does not know this blob")
    for folder in list(paths.jobs.iterdir()) if paths.jobs.is_dir() else []:
        if folder.name not in known.jobs and age.age(folder.stat().st_mtime) > keep.orphan_seconds:
            quarantine.take(folder, "the journal does not know this job")
    return Swept(removed, quarantine.taken)


@dataclass(frozen=True)
class Swept:
    """Half-written files that were removed, and things that went to quarantine."""

    removed: int
    quarantined: int


def _remove_folders(folders: list[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_files(files: list[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0
