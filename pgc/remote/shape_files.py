# SPDX-License-Identifier: Apache-2.0
"""What a run for a new shape on the server leaves in its folder: the same files as a run in this process."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch

from blender_addon import client as wire
from pgc.color_space import srgb_from_linear
from pgc.images.maps import encode_png
from pgc.mesh import prepare_mesh
from pgc.remote.events import RemoteError
from pgc.remote.files import account_of
from pgc.remote.shape_job import SentMesh, mesh_of, vertex_colors
from pgc.runs.folder import RunFolder
from pgc.runs.report import SHAPE_FORMAT, VOLUME_FORMAT, RunClock, RunState, git_revision, mesh_facts, plain, versions
from pgc.shape.outcome import mesh_sheet, write_mesh
from pgc.whole_files import write_bytes, write_json

__all__ = ["RemoteShapeFiles"]

_FORMATS = {"shape": SHAPE_FORMAT, "volume": VOLUME_FORMAT}
_APART = 60.0
"""Seconds between pictures on the way; drawing one takes some of the server's processor."""


@dataclass(slots=True, eq=False, kw_only=True)
class RemoteShapeFiles:
    """Writes a picture on the way, the mesh and the report.

    Args:
        kind: what the mesh's files are called, as in runs here.
        sent: the mesh that was sent; None where the run begins without one.
        asked: what the report says that was asked for.
        server: what it says of the server: key, job.
    """

    folder: RunFolder
    kind: Literal["shape", "volume"]
    sent: SentMesh | None
    asked: Mapping[str, Any]
    server: dict[str, Any]
    clock: RunClock = field(default_factory=RunClock)
    steps_done: int = 0
    notices: list[str] = field(default_factory=list[str])
    _shown_at: float | None = None

    def show(self, event: wire.JobPreview | wire.JobShapePreview) -> Path | None:
        """Draws a preview, at most once a minute; returns the picture where one was written."""
        now = time.monotonic()
        if isinstance(event, wire.JobPreview) or (self._shown_at is not None and now < self._shown_at + _APART):
            return None
        self._shown_at = now
        write_bytes(self.folder.preview, encode_png(mesh_sheet(event.mesh.positions, event.mesh.faces, None)))
        return self.folder.preview

    def finish(self, done: wire.JobFinished | wire.JobCancelled) -> dict[str, Any]:
        """Writes all files of a run that ended with a mesh; returns the report.

        Raises:
            RemoteError: the result is none.
            PgcError: the mesh cannot be unwrapped, or a file not be written.
        """
        try:
            result = wire.read_result(done.maps)
        except wire.ProtocolError as error:
            raise RemoteError(f"The server's result is damaged ({error.error.text}); see pgc-server logs.") from error
        told = account_of(done.config)
        prepared = prepare_mesh(mesh_of(result, self.sent, self.kind))
        files = write_mesh(self.folder.path, self.kind, prepared, _sheet(result))
        self.steps_done = int(told.get("steps_done", self.steps_done))
        if done.result is not None:
            self.notices.extend(text for text in done.result.warnings if text not in self.notices)
            self.clock.add("server", done.result.seconds)
        state: RunState = "finished" if isinstance(done, wire.JobFinished) else "interrupted"
        return self.write_report(state, {**told, "files": files, "result": mesh_facts(prepared)})

    def write_report(self, state: RunState, told: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Writes run.json as things stand; `told`: the server's own account, and the files that were written."""
        told = told or {}
        resolved = cast("Mapping[str, Any]", told.get("resolved") or {})
        report = {
            "state": state,
            **self.asked,
            "prior": resolved.get("guidance"),
            "settings": resolved.get("settings"),
            "device": str(told.get("device") or "server"),
            "steps_done": self.steps_done,
            "warnings": list(self.notices),
            "regulation": told.get("regulation"),
            "seconds": self.clock.summary(),
            "files": told.get("files") or {},
            "result": told.get("result"),
            "server": {**self.server, "versions": told.get("versions")},
        }
        head = {"format": _FORMATS[self.kind]}
        write_json(self.folder.report, {**head, **plain(report), "versions": versions(), "git": git_revision()})
        return report


def _sheet(result: wire.ResultMesh) -> torch.Tensor:
    colors = vertex_colors(result)
    shown = None if colors is None else srgb_from_linear(torch.from_numpy(colors[:, :3]).clamp(0.0, 1.0)).numpy()
    return mesh_sheet(result.positions.astype(np.float64), result.faces, shown)
