# SPDX-License-Identifier: Apache-2.0
"""From the journal to a working state: what ran when the last broker ended waits again."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeGuard, cast

from blender_addon.protocol.errors import ErrorCode, FieldError, Retry, WireError
from blender_addon.protocol.fields import check_id, check_text
from blender_addon.protocol.messages import EventKind, JobState
from server.broker.scheduling.lifecycle import poisoned
from server.broker.state import BrokerState
from server.config import Supervision
from server.storage.jobs import Job, JobRow
from server.storage.journal import Journal
from server.storage.journal_rows import DamagedRow, is_owner

_LOG = logging.getLogger(__name__)


def recover(journal: Journal, state: BrokerState) -> None:
    """Fills the state from the journal, and brings the journal itself up to date; before anybody connects."""
    wall = state.ports.wall()
    with journal.transaction():
        for found in journal.jobs():
            job = _set_aside(journal, found, wall) if isinstance(found, DamagedRow) else Job(journal.in_line(found))
            if job is None:
                continue
            row = job.row
            changed = _after_restart(row, state.config.supervision, wall)
            if changed is not None:
                text = None if changed.is_terminal else "The server was started again."
                event = job.record(changed, EventKind.STATE, text)
                journal.save(job.row, event)
            waits = job.row.state is JobState.QUEUED and not (job.row.paused or job.row.cancelling)
            if state.config.start_paused and waits:
                event = job.record(replace(job.row, paused=True), EventKind.STATE, "Paused, as the server was told to.")
                journal.save(job.row, event)
            _take_over(state, job)
    for grant in journal.grants():
        state.add_grant(grant)
    _LOG.info("journal: %d jobs, %d of them wait", len(state.jobs), len(state.queue))


def _set_aside(journal: Journal, damaged: DamagedRow, wall: float) -> Job | None:
    """The failed end of a job whose row is damaged; None where not even its owner can be read."""
    values = damaged.values
    names = ("job", "user", "key", "digest")
    _LOG.error("journal: a job's row is damaged: %s", damaged.reason, extra={"job": str(values["job"])[:64]})
    if not all(isinstance(values[name], str) for name in names) or not _says_whose(values):
        journal.replace_damaged(damaged, None, None)
        return None
    text = "The server's record of this job was damaged, so the job cannot go on."
    error = WireError(ErrorCode.INTERNAL, Retry.CHANGED, text, hint="Send it again.")
    created, name = values["created"], values["name"]
    job = Job(
        JobRow(
            **{field: values[field] for field in names},
            name=name if _is_text(name) else "",
            interactive=False,
            created=created if isinstance(created, float) and 0.0 < created <= wall else wall,
            rank=0,
            seq=journal.last_seq(values["job"]),
        )
    )
    event = job.record(replace(job.row, state=JobState.FAILED, error=error, finished=wall), EventKind.STATE)
    journal.replace_damaged(damaged, job.row, event)
    return job


def _says_whose(values: Mapping[str, Any]) -> bool:
    try:
        check_id("job", values["job"])
        check_id("key", values["key"])
    except FieldError:
        return False
    return is_owner(values["user"])


def _is_text(name: object) -> TypeGuard[str]:
    try:
        check_text("name", cast(str, name))
    except (FieldError, AttributeError):
        return False
    return True


def _after_restart(row: JobRow, limits: Supervision, wall: float) -> JobRow | None:
    """New values of a job that the last broker left behind; None: as it was."""
    if row.is_terminal:
        return None
    restarts = row.restarts + 1
    if row.cancelling and (not row.checkpoint_step or restarts > limits.restarts_without_checkpoint):
        return replace(row, state=JobState.CANCELLED, finished=wall)
    if row.state is not JobState.RUNNING:
        return None
    if restarts > limits.restarts_without_checkpoint:
        error = poisoned(restarts, "The server itself ended while it ran.")
        return replace(row, state=JobState.FAILED, error=error, restarts=restarts, finished=wall)
    return replace(row, state=JobState.QUEUED, restarts=restarts)


def _take_over(state: BrokerState, job: Job) -> None:
    row = job.told = job.row
    state.jobs[row.job] = job
    state.by_key[row.user, row.key] = row.job
    state.next_rank = max(state.next_rank, row.rank + 1)
    if row.state is JobState.QUEUED:
        job.step = row.checkpoint_step
        state.enqueue(job)
