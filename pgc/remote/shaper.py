# SPDX-License-Identifier: Apache-2.0
"""`pgc shape`, `pgc imagine` and `pgc image` with --server: the server does the work, this process reads what is sent
and writes the files.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal

from blender_addon import client as wire
from pgc.remote.events import JobEvents
from pgc.remote.following import RemoteHooks, RemoteRun, follow
from pgc.remote.shape_files import RemoteShapeFiles
from pgc.remote.shape_job import ShapeJob, ShapeWish
from pgc.runs.earlier_run import EarlierRun
from pgc.runs.folder import RunFolder
from pgc.runs.report import plain

__all__ = ["asked_of", "shape_on_server"]


def shape_on_server(
    events: JobEvents,
    asked: Mapping[str, Any],
    job: ShapeJob,
    kind: Literal["shape", "volume"],
    folder: RunFolder,
    hooks: RemoteHooks,
    *,
    key: str | None,
) -> bool:
    """Has a server learn a shape, and writes the folder, which must be claimed; returns whether all steps were taken.

    Args:
        asked: what the report says that was asked for, as `asked_of` gives it; job: of the same wish.
        kind: what the mesh's files are called.
        key: of an earlier submission of the same job, which is then followed instead of run again.

    Raises:
        PgcError: the job failed, there is no server, or a file cannot be written.
    """
    is_new, key = key is None, key or uuid.uuid4().hex
    files = RemoteShapeFiles(folder=folder, kind=kind, sent=job.sent, asked=asked, server={**events.place, "key": key})
    files.notices.extend(job.notes)
    for note in job.notes:
        hooks.say(f"Note: {note}")
    if is_new:
        # Before the job is sent: after a crash of ours, the report holds the key to it.
        files.write_report("running")
    events.expect(key)
    events.client.submit(job.spec, job.arrays, key=key)
    was_finished = not is_new and folder.is_finished
    run = RemoteRun[RemoteShapeFiles](key=key, files=files, resumed=not is_new, was_finished=was_finished)
    done = follow(events, run, hooks)
    if was_finished and not isinstance(done, wire.JobFinished):
        # All of it is there from before.
        return False
    if done is None or not done.maps:
        files.write_report("interrupted")
        return False
    hooks.progress("Writing", 0.0)
    files.finish(done)
    EarlierRun(folder.path).drop()
    return isinstance(done, wire.JobFinished)


def asked_of(wish: ShapeWish) -> dict[str, Any]:
    """Returns what a report says that was asked for; files by their SHA-256.

    Raises:
        OSError: one cannot be read.
    """
    asked: dict[str, Any] = {"prompt": wish.prompt, "guidance": wish.model, "seed": wish.settings.seed}
    asked["asked"] = {name: plain(value) for spec in (wish.settings, wish.shape) for name, value in _chosen(spec)}
    if wish.subdivide:
        asked["asked"]["subdivide"] = wish.subdivide
    if wish.picture is not None:
        asked["asked"]["elevation"] = wish.elevation
    for name, path in (("mesh", wish.mesh), ("picture", wish.picture)):
        if path is not None:
            asked[name] = {"file": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    return asked


def _chosen(spec: wire.SettingsSpec | wire.ShapeSpec) -> list[tuple[str, Any]]:
    """What is not left to the server, by its name in the protocol."""
    values = [(item.name, getattr(spec, item.name)) for item in fields(spec)]
    return [(name, value) for name, value in values if value is not None]
