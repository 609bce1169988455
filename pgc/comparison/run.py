# SPDX-License-Identifier: Apache-2.0
"""Runs a grid: what it costs first, then each run into a folder of its own, then the page.

A run's folder is named after a hash of all that the run depends on. What is there is not run again, a run that was
stopped goes on from its checkpoint, and a grid that grew runs what is new.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pgc.comparison.gradient_sheet import gradient_sheet
from pgc.comparison.grid import Case, Grid, spelling
from pgc.comparison.page import ComparedRun, write_comparison_page
from pgc.comparison.scores import VIEW_SIZE, texture_scores
from pgc.errors import PgcError
from pgc.evaluation.cache import configuration_hash, environment, file_hash, folder_hash, write_json
from pgc.evaluation.judge.judge import JUDGE_FILE, Judge, load_judge
from pgc.evaluation.measures.statistics import median
from pgc.evaluation.pictures import MeshViews
from pgc.guidance.diffusion.pocket import pocket_weights
from pgc.guidance.models import require_installed
from pgc.guidance.specs import PocketSpec
from pgc.optimization.step_result import StepResult
from pgc.runs.folder import OutputConfig, RunFolder
from pgc.runs.report import read_report
from pgc.runs.request import TextureRequest, check_images, uv_policy
from pgc.runs.runner import RunHooks, RunOutcome, SharedParts, texture_mesh
from pgc.whole_files import write_picture

__all__ = ["ComparisonOutcome", "ComparisonRequest", "PlannedRun", "planned_runs", "run_comparison"]

_GUESSED_STEP = 0.3
"""Seconds a step of the built-in model, on two cores: for the announcement, until a run is done."""
_SCORES = "scores.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """A run of the grid, checked and ready to begin."""

    case: Case
    request: TextureRequest
    key: str
    """16 hex digits of all that it depends on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRequest:
    """What the command was asked for."""

    grid: Grid
    out: Path
    device: str | None = None
    limit: int | None = None
    """Only so many runs that are not there yet."""
    only_cost: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonOutcome:
    """What became of it."""

    page: Path | None
    """None: nothing is done yet that could be shown."""
    finished: bool
    """False: runs are missing; the same command goes on."""


def planned_runs(grid: Grid, device: str | None = None) -> tuple[PlannedRun, ...]:
    """Makes every run's request, so that what cannot run is refused before any does.

    Raises:
        PgcError: a setting is out of range, a file or a model is missing.
    """
    found: list[PlannedRun] = []
    weights: str | None = None
    for case in grid.cases():
        try:
            request = case.arguments(device).to_request()
            require_installed(request.guidance)
            check_images(request)
        except PgcError as error:
            raise type(error)(f"{case.method.name!r} on {case.mesh}: {error}") from error
        if isinstance(request.guidance, PocketSpec) and weights is None:
            weights = folder_hash(pocket_weights())
        depends = {
            "request": request.fingerprint(),
            # A file that is not there is refused by its reader, with the words for it.
            "mesh": file_hash(request.mesh),
            "weights": weights if isinstance(request.guidance, PocketSpec) else None,
            "format": 1,
        }
        found.append(PlannedRun(case=case, request=request, key=configuration_hash(depends)))
    return tuple(found)


def run_comparison(
    request: ComparisonRequest, report: Callable[[str], None], hooks: RunHooks | None = None
) -> ComparisonOutcome:
    """Runs what is missing, and writes the page of what there is.

    `hooks`: its `should_stop` ends the comparison after the step that runs; the page shows what is done by then.

    Raises:
        PgcError: something is missing, damaged or does not fit.
    """
    runs = planned_runs(request.grid, request.device)
    desk = _Desk(request.out / "runs", hooks or RunHooks())
    done = {run.key: row for run in runs if (row := desk.row(run)) is not None}
    report(_cost(runs, done, desk.root))
    if request.only_cost:
        return ComparisonOutcome(page=None, finished=len(done) == len(runs))
    missing = [run for run in runs if run.key not in done]
    for at, run in enumerate(missing[: request.limit]):
        row = desk.texture(run)
        if row is None:
            break
        done[run.key] = row
        report(f"{at + 1} of {len(missing)}: {run.case.method.name}, {run.case.prompt!r}, {_words(row)}")
    if not done:
        return ComparisonOutcome(page=None, finished=False)
    shown = [_compared(run, done[run.key], desk.folder(run).path) for run in runs if run.key in done]
    write_json(
        request.out / "comparison.json", {"environment": environment(), "rows": [_plain_row(one) for one in shown]}
    )
    return ComparisonOutcome(
        page=write_comparison_page(request.out / "index.html", shown), finished=len(done) == len(runs)
    )


def _cost(runs: Sequence[PlannedRun], done: Mapping[str, Mapping[str, Any]], root: Path) -> str:
    paces = [row["seconds"] / max(row["steps"], 1) for row in done.values()]
    each = median(paces) if paces else _GUESSED_STEP
    steps = sum(run.request.settings.optimize.steps for run in runs if run.key not in done)
    how = "as measured" if paces else "a guess for the built-in model on two cores"
    cases = [run.case for run in runs]
    counts = [
        f"{len({case.method.name for case in cases})} methods",
        f"{len({case.prompt for case in cases})} prompts",
        f"{len({case.mesh for case in cases})} meshes",
        f"{len({case.seed for case in cases})} seeds",
    ]
    return (
        f"{' x '.join(counts)}: {len(runs)} runs, {len(done)} of them there already. To go: {steps:,} steps, about "
        f"{steps * each / 60.0:.0f} minutes ({each:.2g} s a step, {how}). Runs are kept in {root}: "
        "interrupt at will, the same command goes on."
    )


def _words(row: Mapping[str, Any]) -> str:
    scores = ", ".join(f"{name} {value:.3f}" for name, value in row["scores"].items())
    return f"{scores}, clipped {row['regulation'].get('clipped_fraction', 0.0):.0%}, {row['seconds']:.0f} s"


class _Desk:
    """Where runs are kept, and what one shares with the next."""

    def __init__(self, root: Path, hooks: RunHooks) -> None:
        self.root = root
        self._hooks = hooks
        self._shared: tuple[PlannedRun, SharedParts] | None = None
        self._views: tuple[str, MeshViews] | None = None
        self._judge: Judge | None = None
        self._judge_hash = file_hash(JUDGE_FILE)

    def folder(self, run: PlannedRun) -> RunFolder:
        """Returns where a run is kept."""
        return RunFolder(self.root / run.key)

    def row(self, run: PlannedRun) -> dict[str, Any] | None:
        """Reads what is known of a run; None where it is not done, or scored by another judge."""
        path = self.folder(run).path
        try:
            row = json.loads((path / _SCORES).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        whole = isinstance(row, dict) and row.get("judge") == self._judge_hash and (path / "textured.glb").is_file()
        return row if whole else None

    def texture(self, run: PlannedRun) -> dict[str, Any] | None:
        """Textures and scores; None where the run was stopped."""
        folder = self.folder(run)
        resume = folder.checkpoint.is_file() and folder.report.is_file()
        if not resume:
            folder.claim(overwrite=True)
        last = _LastStep(self._hooks)
        with folder.giving_back():
            outcome = texture_mesh(
                run.request,
                folder,
                arguments=run.case.arguments().given(),
                resume=resume,
                outputs=OutputConfig(turntable=None),
                hooks=replace(self._hooks, on_step=last),
                shared=self._parts(run),
            )
        self._shared = (run, SharedParts(guidance=outcome.run.guidance, rasterizer=outcome.run.rasterizer))
        return self._scored(run, outcome, last) if outcome.finished else None

    def _parts(self, run: PlannedRun) -> SharedParts:
        if self._shared is None:
            return SharedParts()
        before, parts = self._shared
        same_mesh = before.request.mesh == run.request.mesh and _uvs(before) == _uvs(run)
        return SharedParts(
            guidance=parts.guidance if before.request.guidance == run.request.guidance else None,
            rasterizer=parts.rasterizer if same_mesh else None,
        )

    def _scored(self, run: PlannedRun, outcome: RunOutcome, last: _LastStep) -> dict[str, Any]:
        if self._judge is None:
            self._judge = load_judge()
        place = f"{run.request.mesh}|{_uvs(run)}"
        if self._views is None or self._views[0] != place:
            self._views = place, MeshViews(outcome.run.mesh.triangles, VIEW_SIZE)
        path = self.folder(run).path
        if last.result is not None:
            write_picture(path / "gradient.webp", gradient_sheet(last.result), quality=85)
        report = read_report(self.folder(run).report)
        row = {
            "judge": self._judge_hash,
            "steps": outcome.report.steps_done,
            "seconds": outcome.report.seconds["total"],
            "scores": texture_scores(self._judge, self._views[1], outcome.run.bake(), run.case.prompt),
            "regulation": {k: v for k, v in report["regulation"].items() if isinstance(v, int | float)},
        }
        write_json(path / _SCORES, row)
        return row


def _uvs(run: PlannedRun) -> tuple[object, ...]:
    """What decides, beside the mesh, which UVs are textured."""
    asked = run.request
    return (asked.up_axis, uv_policy(asked))


@dataclass(slots=True, eq=False)
class _LastStep:
    """Keeps the newest step, of which the page shows the gradient."""

    hooks: RunHooks
    result: StepResult | None = field(default=None)

    def __call__(self, result: StepResult) -> None:
        self.result = result
        self.hooks.on_step(result)


def _compared(run: PlannedRun, row: Mapping[str, Any], folder: Path) -> ComparedRun:
    return ComparedRun(
        key=run.key,
        method=run.case.method.name,
        settings={spelling(name): str(value) for name, value in run.case.method.choices.items()},
        prompt=run.case.prompt,
        mesh=run.case.mesh,
        seed=run.case.seed,
        steps=row["steps"],
        seconds=row["seconds"],
        scores=row["scores"],
        regulation=row["regulation"],
        folder=folder,
    )


def _plain_row(one: ComparedRun) -> dict[str, Any]:
    return {
        "key": one.key,
        "method": one.method,
        "settings": dict(one.settings),
        "prompt": one.prompt,
        "mesh": one.mesh,
        "seed": one.seed,
        "steps": one.steps,
        "seconds": one.seconds,
        "scores": dict(one.scores),
        "regulation": dict(one.regulation),
    }
