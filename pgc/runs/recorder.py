# SPDX-License-Identifier: Apache-2.0
"""What a run leaves behind: previews and checkpoints as it goes, results and a report at its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from pgc.errors import PgcError
from pgc.optimization.step_result import StepResult
from pgc.pictures.studio import Framing, LitMaterial, Look, studio_light
from pgc.rendering.light import Light
from pgc.rendering.raster.choice import name_of
from pgc.runs.folder import OutputConfig, PreviewCadence, RunFolder
from pgc.runs.report import RunClock, RunReport, RunState, mesh_facts, plain, write_report
from pgc.runs.request import Progress, TextureRun
from pgc.surface import SurfacePoints

__all__ = ["RunHooks", "RunOutcome", "RunRecorder"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunHooks:
    """How the caller follows a run and ends it."""

    progress: Progress | None = None
    """Slow stages before and after the loop: name and fraction."""
    on_ready: Callable[[TextureRun], None] = lambda run: None
    """Once, before the first step."""
    on_step: Callable[[StepResult], None] = lambda result: None
    on_note: Callable[[str], None] = lambda text: None
    """What a person should know of a run that goes on, as soon as it happens: less memory than was thought, …"""
    should_stop: Callable[[], bool] = lambda: False
    """Asked after every step; True ends the run with all that is needed to resume it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunOutcome:
    """What became of a run: whether it finished, and its report."""

    finished: bool
    """False: stopped before its end, resumable."""
    report: RunReport
    run: TextureRun


@dataclass(slots=True, eq=False)
class RunRecorder:
    """Writes what a run leaves behind, while it runs and at its end."""

    run: TextureRun
    folder: RunFolder
    outputs: OutputConfig
    arguments: Mapping[str, Any]
    clock: RunClock
    earlier_notes: tuple[str, ...]
    cadence: PreviewCadence = field(init=False)
    next_checkpoint: float = field(init=False)
    framing: Framing = field(init=False)
    light: Light | None = None
    """Of previews of whole materials; made once."""

    def __post_init__(self) -> None:
        now = self.clock.elapsed()
        self.cadence = PreviewCadence(self.outputs, now, first=now + self.outputs.first_preview_seconds)
        self.next_checkpoint = now + self.outputs.checkpoint_seconds
        self.framing = Framing.of(self.run.mesh.triangles, self.run.request.prompt.front_axis)

    def after_step(self, result: StepResult) -> None:
        """Writes previews at growing distances and checkpoints at fixed ones."""
        for stage, seconds in result.seconds.items():
            self.clock.add(stage, seconds)
        now = self.clock.elapsed()
        if self.cadence.is_due(now):
            self.folder.write_preview(self.run.rasterizer, self.current_look(), self.framing, self.outputs.preview)
            took = self.clock.elapsed() - now
            self.cadence.made(now, took)
            self.clock.add("previews", took)
        if now >= self.next_checkpoint:
            self.run.save(self.folder.checkpoint)
            self.next_checkpoint = self.clock.elapsed() + self.outputs.checkpoint_seconds

    def keep_failed(self, error: PgcError) -> None:
        """Keeps the state of a run that cannot go on, and why."""
        self.run.save(self.folder.checkpoint)
        self.write_report("failed", why=(str(error),))

    def current_look(self) -> Look:
        """Returns the texture as it is, without the work of baking it."""
        texture = self.run.optimization.scene.texture
        if self.run.optimization.scene.lighting is not None:
            if self.light is None:
                self.light = studio_light()
            return LitMaterial(fetch=texture.sample, light=self.light)

        def colors(points: SurfacePoints) -> torch.Tensor:
            """Fetches the base colour alone."""
            return texture.sample(points)["base_color"]

        return colors

    def finish(self, hooks: RunHooks) -> RunOutcome:
        """Writes results, or what is needed to go on; then the report."""
        optimization = self.run.optimization
        finished = optimization.step >= optimization.length
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
        if optimization.explainer is not None and optimization.explainer.average is not None:
            files = {**files, **self.folder.write_found_light(optimization.explainer.average)}
        self.clock.add("write", self.clock.elapsed() - start)
        state: RunState = "finished" if finished else "interrupted"
        report = self.write_report(state, files, texture.uncovered_fraction)
        if finished:
            self.folder.checkpoint.unlink(missing_ok=True)
        return RunOutcome(finished=finished, report=report, run=self.run)

    def write_report(
        self,
        state: RunState,
        files: Mapping[str, str] | None = None,
        uncovered: float | None = None,
        why: tuple[str, ...] = (),
    ) -> RunReport:
        """Writes run.json as things stand."""
        run = self.run
        report = RunReport(
            state=state,
            arguments=self.arguments,
            resolved=plain(run.request),
            seed=run.request.settings.optimize.seed,
            steps_done=run.optimization.step,
            device=str(run.guidance.device),
            rasterizer=name_of(run.rasterizer),
            mesh=mesh_facts(run.mesh),
            unknown_words=run.unknown_words,
            warnings=(*self.earlier_notes, *run.warnings, *run.optimization.finite.notes, *why),
            seconds=self.clock.summary(),
            files=files or {},
            uncovered_fraction=uncovered,
            memory_plan=plain(run.memory_plan),
            non_finite=run.optimization.finite.summary(),
            regulation=plain(run.optimization.regulation_summary()),
            found_light={} if run.optimization.explainer is None else run.optimization.explainer.summary(),
        )
        write_report(self.folder.report, report)
        return report
