# SPDX-License-Identifier: Apache-2.0
"""The journal is looked at before it is believed, and copies of it are kept.

An empty or damaged journal beside folders full of jobs is not a new server: it is a loss, and the newest whole copy
takes its place. What came after that copy is then unknown, and goes to quarantine
(`server.broker.supervision.housekeeping`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from server.config import ServerPaths
from server.errors import DamagedJournalError, JournalError
from server.platform import fsync_directory, make_private_directory, replace
from server.storage.journal import Journal
from server.storage.quarantine import Quarantine

__all__ = ["copy_journal", "open_journal"]

_LOG = logging.getLogger(__name__)
_STAMP = "%Y%m%dT%H%M%SZ"
_NEWEST_KEPT = 3
_DAYS_KEPT = 7
_COMPANIONS = ("", "-wal", "-shm")


def open_journal(paths: ServerPaths, quarantine: Quarantine) -> Journal:
    """Opens the journal, whole: the one that is there, or else its newest whole copy, or else a new one.

    Raises:
        JournalError: it is of a newer server, or the disk does not let it be used.
    """
    try:
        journal = Journal(paths.journal)
    except DamagedJournalError as error:
        return _restored(paths, quarantine, str(error.__cause__ or error))
    problems = journal.check()
    if problems:
        journal.close()
        return _restored(paths, quarantine, f"SQLite says: {problems[0]}")
    if journal.is_new and _holds_anything(paths):
        journal.close()
        _forget_new(paths)
        return _restored(paths, quarantine, "it was missing or empty, though there are jobs or blobs")
    return journal


def copy_journal(paths: ServerPaths, wall: Callable[[], float] = time.time) -> Path | None:
    """Keeps a copy of the journal as it is now, while others use it; None where the newest copy is equal already.

    Of the copies the newest three stay, and the newest one of each of the last seven days that have any.

    Raises:
        OSError, sqlite3.Error: it cannot be written.
    """
    make_private_directory(paths.journal_copies)
    fresh = paths.journal_copies / f"fresh.{os.getpid()}.tmp"
    fresh.unlink(missing_ok=True)
    try:
        with (
            contextlib.closing(sqlite3.connect(f"{paths.journal.as_uri()}?mode=ro", uri=True)) as source,
            contextlib.closing(sqlite3.connect(fresh)) as target,
        ):
            source.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")
        copies = _copies(paths)
        if copies and copies[-1].read_bytes() == fresh.read_bytes():
            return None
        target_path = paths.journal_copies / f"journal-{time.strftime(_STAMP, time.gmtime(wall()))}.sqlite"
        replace(fresh, target_path)
        fsync_directory(paths.journal_copies)
    finally:
        fresh.unlink(missing_ok=True)
    _thin_out(paths)
    return target_path


def _restored(paths: ServerPaths, quarantine: Quarantine, why: str) -> Journal:
    """A journal from the newest copy that is whole; a new one without any."""
    for suffix in _COMPANIONS:
        path = paths.journal.with_name(paths.journal.name + suffix)
        if path.exists():
            quarantine.take(path, f"the journal was damaged ({why})")
    for copy in reversed(_copies(paths)):
        if not _is_whole(copy):
            quarantine.take(copy, "this copy of the journal is damaged")
            continue
        paths.journal.write_bytes(copy.read_bytes())
        quarantine.note(f"{paths.journal.name}: {why}; it was restored from the copy {copy.name}")
        return Journal(paths.journal)
    quarantine.note(f"{paths.journal.name}: {why}; there is no whole copy of it, so the list of jobs begins anew")
    return Journal(paths.journal)


def _forget_new(paths: ServerPaths) -> None:
    """Removes a journal that was made a moment ago and holds nothing."""
    for suffix in _COMPANIONS:
        paths.journal.with_name(paths.journal.name + suffix).unlink(missing_ok=True)


def _is_whole(copy: Path) -> bool:
    """Whether a copy opens and passes SQLite's check, tried on a copy of the copy: opening one writes beside it."""
    trial = copy.with_name(f"trial.{os.getpid()}.tmp")
    try:
        trial.write_bytes(copy.read_bytes())
        with contextlib.closing(Journal(trial)) as journal:
            return not journal.check()
    except JournalError as error:
        _LOG.warning("%s is no whole journal: %s", copy.name, error)
        return False
    finally:
        for suffix in _COMPANIONS:
            trial.with_name(trial.name + suffix).unlink(missing_ok=True)


def _holds_anything(paths: ServerPaths) -> bool:
    if paths.jobs.is_dir() and any(paths.jobs.iterdir()):
        return True
    return paths.blobs.is_dir() and any(
        any(folder.iterdir()) for folder in paths.blobs.iterdir() if len(folder.name) == 2 and folder.is_dir()
    )


def _copies(paths: ServerPaths) -> list[Path]:
    """Oldest first, as their names sort."""
    return sorted(paths.journal_copies.glob("journal-*.sqlite")) if paths.journal_copies.is_dir() else []


def _thin_out(paths: ServerPaths) -> None:
    copies = _copies(paths)
    by_day = {copy.name[: len("journal-20260101")]: copy for copy in copies}
    kept = {*copies[-_NEWEST_KEPT:], *list(by_day.values())[-_DAYS_KEPT:]}
    for copy in copies:
        if copy not in kept:
            copy.unlink(missing_ok=True)
