# SPDX-License-Identifier: Apache-2.0
"""Runs a request into a folder: previews and checkpoints as it goes, results at the end, a report always."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from pgc.devices import release_cached_memory, resolve_device
from pgc.errors import ConfigError, PgcError
from pgc.guidance.base import Guidance
from pgc.images.kept_depth import depth_note
from pgc.mesh import PreparedMesh
from pgc.optimization.ranks import Ranks
from pgc.rendering.raster.rasterizer import Rasterizer
from pgc.runs.checkpoint import load_checkpoint
from pgc.runs.folder import OutputConfig, RunFolder
from pgc.runs.memory.errors import is_out_of_memory
from pgc.runs.memory.plan import device_memory
from pgc.runs.ranked.following import share_run
from pgc.runs.recorder import RunHooks, RunOutcome, RunRecorder
from pgc.runs.report import RunClock
from pgc.runs.request import TextureRequest, TextureRun, planner_for, prepare_run, saved_plan

__all__ = ["RunHooks", "RunOutcome", "SharedParts", "texture_mesh"]

_TOO_LITTLE_FOR_A_SHARE = (
    "A graphics card ran out of memory for its share of the run; ask for less (--views, --resolution, --texture-size), "
    "and go on with --resume."
)
_State = tuple[dict[str, Tensor], dict[str, Any]]
"""Tensors and header, as a checkpoint has them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SharedParts:
    """What several runs share: a loaded prior, a mesh made ready, a rasteriser of the same mesh."""

    guidance: Guidance | None = None
    mesh: PreparedMesh | None = None
    rasterizer: Rasterizer | None = None
    ranks: Ranks | None = None
    """The processes that share this run, of which this is the first."""


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
    """Textures a mesh from beginning to end. The folder must be claimed, or hold the run that is to be resumed.

    Raises:
        PgcError: something is missing, damaged or does not fit.
    """
    if resume:
        folder.remove_leftovers()
    given = _Given(
        request=request,
        folder=folder,
        arguments=arguments or {},
        outputs=outputs or OutputConfig(),
        hooks=hooks or RunHooks(),
        shared=shared or SharedParts(),
    )
    attempts = _Attempts(given, load_checkpoint(folder.checkpoint) if resume else None)
    while True:
        outcome = attempts.until_memory_ends()
        if outcome is not None:
            return outcome
        attempts.step_down()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Given:
    """What `texture_mesh` was called with."""

    request: TextureRequest
    folder: RunFolder
    arguments: Mapping[str, Any]
    outputs: OutputConfig
    hooks: RunHooks
    shared: SharedParts


class _Attempts:
    """A run, and the same run again with less where memory runs out."""

    def __init__(self, given: _Given, saved: _State | None) -> None:
        self._given = given
        self._clock = RunClock()
        self._saved = saved
        self._least_plan = 0 if saved is None else saved_plan(saved[1])
        self._planner = planner_for(given.request, resolve_device(given.request.device))
        self._state: _State | None = None
        self._plan = self._least_plan
        self._notes: tuple[str, ...] = ()
        self._was_ready = False
        self._begun = 0.0

    def until_memory_ends(self) -> RunOutcome | None:
        """Returns the finished or stopped run; None where memory ran out. The error and its frames are gone by then.

        Raises:
            PgcError: as `texture_mesh`.
        """
        given = self._given
        run: TextureRun | None = None
        self._begun = self._clock.elapsed()
        try:
            run = prepare_run(
                given.request,
                guidance=given.shared.guidance,
                mesh=given.shared.mesh,
                rasterizer=given.shared.rasterizer,
                progress=given.hooks.progress,
                least_plan=self._least_plan,
            )
            run = _with_depth_note(run, given.outputs)
            self._plan = run.plan_number
            if self._state is not None:
                run.restore(*self._state)
            elif self._saved is not None:
                run.resume_from(*self._saved)
            if given.shared.ranks is not None:
                share_run(run, given.shared.ranks)
            return self._steps(run)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if given.shared.ranks is not None:
                # The other processes wait for this one in the middle of a step: none can go on with less.
                raise ConfigError(_TOO_LITTLE_FOR_A_SHARE) from error
            self._keep(run)
            return None

    def _steps(self, run: TextureRun) -> RunOutcome:
        given = self._given
        self._clock.add("prepare", self._clock.elapsed() - self._begun)
        recorder = RunRecorder(run, given.folder, given.outputs, given.arguments, self._clock, self._notes)
        recorder.write_report("running")
        if not self._was_ready:
            self._was_ready = True
            given.hooks.on_ready(run)
        try:
            for result in run.optimization.steps():
                recorder.after_step(result)
                given.hooks.on_step(result)
                if result.step < result.steps and given.hooks.should_stop():
                    break
        except PgcError as error:
            recorder.keep_failed(error)
            raise
        return recorder.finish(given.hooks)

    def _keep(self, run: TextureRun | None) -> None:
        """What the run had reached, away from the device."""
        if run is None or run.optimization.step == 0:
            return
        tensors, header = run.optimization.state_dict()
        self._state = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}, header

    def step_down(self) -> None:
        """Steps to the next plan.

        Raises:
            ConfigError: there is none.
        """
        release_cached_memory()
        later = self._planner.after(self._plan, device_memory(self._planner.device))
        if later is None:
            raise ConfigError(
                f"There is not enough memory for this run, even with one small view a step. "
                f"{self._planner.suggestion()}"
            )
        note = self._planner.describe(later, since=self._plan)
        self._notes = (*self._notes, note)
        self._given.hooks.on_note(note)
        self._least_plan = later


def _with_depth_note(run: TextureRun, outputs: OutputConfig) -> TextureRun:
    """The run, whose warnings tell what its files cannot hold of the initial texture."""
    image_format = None if outputs.export is None else outputs.export.image_format
    note = depth_note(run.sources.depth, image_format, locked=run.sources.lock_mask is not None)
    return run if note is None else replace(run, warnings=(*run.warnings, note))
