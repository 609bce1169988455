# SPDX-License-Identifier: Apache-2.0
"""`pgc texture --server`: the server does the work, this process reads the mesh and writes the files."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

import torch

from blender_addon import client as wire
from pgc.mesh import PreparedMesh
from pgc.remote.events import JobEvents
from pgc.remote.files import RemoteFiles
from pgc.remote.following import RemoteHooks, RemoteRun, follow
from pgc.remote.job import RemoteJob, check_remote_arguments, remote_job, request_for_server
from pgc.rendering.raster.rasterizer import Rasterizer, RasterizerConfig
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.runs.arguments import TextureArguments
from pgc.runs.folder import OutputConfig, RunFolder
from pgc.runs.report import RunClock, RunReport
from pgc.runs.request import Progress, SourceTextures, TextureRequest, check_images, load_prepared, load_sources

__all__ = ["RemoteHooks", "RemoteOutcome", "RemoteRun", "RemoteTexturizer"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RemoteOutcome:
    """What became of a run on the server: whether it finished, and its report."""

    finished: bool
    report: RunReport
    stays: bool = False
    """The run had finished before and was to be fetched again, which was stopped: its files and its report stay."""


def _notes(sources: SourceTextures) -> tuple[str, ...]:
    """What there is to say of the images, and of what does not go over the wire."""
    note = None
    if sources.depth != "8 bits":
        note = (
            f"The initial texture has {sources.depth} a channel; a server takes and gives 8 bits, to which it is "
            "rounded: run without --server and with --format to keep more."
        )
    return sources.notes if note is None else (*sources.notes, note)


@dataclass(slots=True, eq=False)
class _KnownMesh:
    mesh: PreparedMesh
    rasterizer: Rasterizer


@dataclass(slots=True, eq=False)
class RemoteTexturizer:
    """Submits runs and follows them to their end. Runs of the same mesh share what was read and traced."""

    events: JobEvents
    outputs: OutputConfig
    server: dict[str, Any] = field(default_factory=dict[str, Any])
    """What the reports say of the job, beside where the server is."""
    rasterizer: RasterizerConfig = field(default_factory=RasterizerConfig)
    """For the pictures made here."""
    _meshes: dict[tuple[Any, ...], _KnownMesh] = field(default_factory=dict[tuple[Any, ...], _KnownMesh])

    def start(
        self, given: TextureArguments, folder: RunFolder, hooks: RemoteHooks, *, key: str | None = None
    ) -> RemoteRun[RemoteFiles]:
        """Reads what the job needs and submits it; the folder must be claimed.

        Args:
            key: of an earlier submission of the same job, which is then followed instead of run again.

        Raises:
            PgcError: something is missing, damaged or does not fit.
        """
        clock = RunClock()
        check_remote_arguments(given)
        request = request_for_server(given)
        check_images(request)
        known = self._mesh(request, hooks.progress)
        sources = load_sources(request, known.mesh)
        job = remote_job(given, request, known.mesh, sources)
        is_new, key = key is None, key or uuid.uuid4().hex
        files = RemoteFiles(
            folder=folder,
            request=request,
            mesh=known.mesh,
            rasterizer=known.rasterizer,
            outputs=self.outputs,
            arguments=given.given(),
            initial=sources.initial,
            notices=list(_notes(sources)),
            server={**self.events.place, **self.server, "key": key},
            clock=clock,
        )
        clock.add("prepare", clock.elapsed())
        for warning in (*known.mesh.report.warnings, *files.notices):
            hooks.say(f"Note: {warning}")
        if is_new:
            # Before the job is sent: after a crash of ours, the report holds the key to it.
            files.write_report("running")
        self._submit(job, key)
        return RemoteRun(key=key, files=files, resumed=not is_new, was_finished=not is_new and folder.is_finished)

    def _submit(self, job: RemoteJob, key: str) -> None:
        self.events.expect(key)
        self.events.client.submit(job.spec, job.arrays, key=key)

    def _mesh(self, request: TextureRequest, progress: Progress) -> _KnownMesh:
        where = (request.mesh, request.up_axis, request.unwrap, request.keep_uvs, request.initial_texture is None)
        if where not in self._meshes:
            mesh = load_prepared(request, progress)
            # On the CPU: the graphics card is the server's.
            rasterizer = WarpRasterizer(mesh.triangles, device=torch.device("cpu"), config=self.rasterizer)
            self._meshes[where] = _KnownMesh(mesh, rasterizer)
        return self._meshes[where]

    def follow(self, run: RemoteRun[RemoteFiles], hooks: RemoteHooks) -> wire.JobFinished | wire.JobCancelled | None:
        """Waits for a run's end, as `following.follow`."""
        return follow(self.events, run, hooks)

    def finish(
        self, run: RemoteRun[RemoteFiles], done: wire.JobFinished | wire.JobCancelled | None, hooks: RemoteHooks
    ) -> RemoteOutcome:
        """Writes the files of a run that ended; of a stopped one, what the server had made of it, unless all of it is
        there from before."""
        if run.was_finished and not isinstance(done, wire.JobFinished):
            return RemoteOutcome(finished=False, report=run.files.report("interrupted"), stays=True)
        if done is None or not done.maps:
            return RemoteOutcome(finished=False, report=run.files.write_report("interrupted"))
        hooks.progress("Writing", 0.0)
        return RemoteOutcome(finished=isinstance(done, wire.JobFinished), report=run.files.finish(done))
