# SPDX-License-Identifier: Apache-2.0
"""Runs a request into a folder: previews and checkpoints as it goes, results at the end, a report always."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from pgc.guidance.base import Guidance
from pgc.optimize import StepResult
from pgc.outputs.kept_depth import depth_note
from pgc.outputs.run_folder import OutputConfig, RunFolder
from pgc.outputs.run_report import RunReport, RunState, plain, write_report
from pgc.outputs.studio import Framing, LitMaterial, Look, studio_light
from pgc.pipeline import Progress, TextureRequest, TextureRun, prepare_run
from pgc.rendering.pbr_shading import Light
from pgc.rendering.rasterizer import Rasterizer
from pgc.surface import SurfacePoints

__all__ = ["RunHooks", "RunOutcome", "SharedParts", "texture_mesh"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunHooks:
    """How the caller follows a run and ends it."""

    progress: Progress | None = None
    """Slow stages before and after the loop: name and fraction."""
    on_ready: Callable[[TextureRun], None] = lambda run: None
    """Once, before the first step."""
    on_step: Callable[[StepResult], None] = lambda result: None
    should_stop: Callable[[], bool] = lambda: False
    """Asked after every step; True ends the run with all that is needed to resume it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SharedParts:
    """What several runs share: a loaded prior, a rasteriser of the same mesh."""

    guidance: Guidance | None = None
    rasterizer: Rasterizer | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunOutcome:
    """What became of a run."""

    finished: bool
    """False: stopped before its end, resumable."""
    report: RunReport
    run: TextureRun


class _Clock:
    """Seconds since the start, and by stage."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.stages: dict[str, float] = {}

    def elapsed(self) -> float:
        return time.perf_counter() - self.start

    def add(self, stage: str, seconds: float) -> None:
        self.stages[stage] = self.stages.get(stage, 0.0) + seconds

    def summary(self) -> dict[str, float]:
        rounded = {name: round(seconds, 3) for name, seconds in self.stages.items()}
        return {**rounded, "total": round(self.elapsed(), 3)}


def texture_mesh(
    request: TextureRequest,
    folder: RunFolder,
    *,
    arguments: Mapping[str, Any] | None = None,
    resume: bool = False,
    outputs: OutputConfig | None = None,
    hooks: RunHooks | None = None,
    shared: SharedParts | None = None,
) -> RunOutcome:
    """Texture a mesh from beginning to end. The folder must be claimed, or hold the run that is to be resumed.

    Raises:
        PgcError: something is missing, damaged or does not fit.
    """
    outputs, hooks, shared = outputs or OutputConfig(), hooks or RunHooks(), shared or SharedParts()
    clock = _Clock()
    run = prepare_run(request, guidance=shared.guidance, rasterizer=shared.rasterizer, progress=hooks.progress)
    run = _with_depth_note(run, outputs)
    if resume:
        run.resume(folder.checkpoint)
    clock.add("prepare", clock.elapsed())
    recorder = _Recorder(run, folder, outputs, arguments or {}, clock)
    recorder.write_report("running")
    hooks.on_ready(run)
    for result in run.optimization.steps():
        recorder.after_step(result)
        hooks.on_step(result)
        if result.step < result.steps and hooks.should_stop():
            break
    return recorder.finish(hooks)


def _with_depth_note(run: TextureRun, outputs: OutputConfig) -> TextureRun:
    """The run, whose warnings tell what its files cannot hold of the initial texture."""
    image_format = None if outputs.export is None else outputs.export.image_format
    note = depth_note(run.sources.depth, image_format, locked=run.sources.lock_mask is not None)
    return run if note is None else replace(run, warnings=(*run.warnings, note))


@dataclass(slots=True, eq=False)
class _Recorder:
    """Writes what a run leaves behind, while it runs and at its end."""

    run: TextureRun
    folder: RunFolder
    outputs: OutputConfig
    arguments: Mapping[str, Any]
    clock: _Clock
    next_preview: float = field(init=False)
    next_checkpoint: float = field(init=False)
    framing: Framing = field(init=False)
    light: Light | None = None
    """Of previews of whole materials; made once."""

    def __post_init__(self) -> None:
        now = self.clock.elapsed()
        self.next_preview = now + self.outputs.first_preview_seconds
        self.next_checkpoint = now + self.outputs.checkpoint_seconds
        self.framing = Framing.of(self.run.mesh.triangles, self.run.request.prompt.front_axis)

    def after_step(self, result: StepResult) -> None:
        """Previews at growing distances, checkpoints at fixed ones."""
        for stage, seconds in result.seconds.items():
            self.clock.add(stage, seconds)
        now = self.clock.elapsed()
        if now >= self.next_preview:
            self.folder.write_preview(self.run.rasterizer, self.current_look(), self.framing, self.outputs.preview)
            self.next_preview = now + (now - self.clock.stages["prepare"]) * (self.outputs.preview_growth - 1.0)
            self.clock.add("previews", self.clock.elapsed() - now)
        if now >= self.next_checkpoint:
            self.run.save(self.folder.checkpoint)
            self.next_checkpoint = self.clock.elapsed() + self.outputs.checkpoint_seconds

    def current_look(self) -> Look:
        """The texture as it is, without the work of baking it."""
        texture = self.run.optimization.scene.texture
        if self.run.optimization.scene.lighting is not None:
            if self.light is None:
                self.light = studio_light()
            return LitMaterial(fetch=texture.sample, light=self.light)

        def colors(points: SurfacePoints) -> torch.Tensor:
            return texture.sample(points)["base_color"]

        return colors

    def finish(self, hooks: RunHooks) -> RunOutcome:
        """Results, or what is needed to go on; then the report."""
        optimization = self.run.optimization
        finished = optimization.step >= optimization.config.steps
        tell = hooks.progress or (lambda stage, fraction: None)
        if not finished:
            # First of all, since the person who pressed Ctrl-C may press it again.
            self.run.save(self.folder.checkpoint)
        tell("Baking", 0.0)
        start = self.clock.elapsed()
        texture = self.run.bake()
        self.clock.add("bake", self.clock.elapsed() - start)
        tell("Writing", 0.0)
        start = self.clock.elapsed()
        files = self.folder.write_texture(self.run.mesh, texture, self.run.rasterizer, self.framing, self.outputs)
        self.clock.add("write", self.clock.elapsed() - start)
        state: RunState = "finished" if finished else "interrupted"
        report = self.write_report(state, files, texture.uncovered_fraction)
        if finished:
            self.folder.checkpoint.unlink(missing_ok=True)
        return RunOutcome(finished=finished, report=report, run=self.run)

    def write_report(
        self, state: RunState, files: Mapping[str, str] | None = None, uncovered: float | None = None
    ) -> RunReport:
        """run.json as things stand."""
        run = self.run
        mesh = run.mesh
        report = RunReport(
            state=state,
            arguments=self.arguments,
            resolved=plain(run.request),
            seed=run.request.settings.optimize.seed,
            steps_done=run.optimization.step,
            device=str(run.guidance.device),
            mesh={
                "name": mesh.mesh.name,
                "vertices": len(mesh.mesh.positions),
                "polygons": len(mesh.mesh.polygon_sizes),
                "triangles": len(mesh.triangles.faces),
                "report": plain(mesh.report),
            },
            unknown_words=run.unknown_words,
            warnings=run.warnings,
            seconds=self.clock.summary(),
            files=files or {},
            uncovered_fraction=uncovered,
        )
        write_report(self.folder.report, report)
        return report
