# SPDX-License-Identifier: Apache-2.0
"""The command behind `pgc eval prompts`: demo settings, cost first, resumable parts, JSON and a page."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pgc.demo.config import DemoConfig
from pgc.errors import ConfigError
from pgc.evaluation.cache import ResultCache, environment, file_hash, folder_hash, write_json
from pgc.evaluation.judge.judge import JUDGE_FILE, load_judge
from pgc.evaluation.pictures import contact_sheet
from pgc.evaluation.prior_runs import PriorRunRequest, Texturizer
from pgc.evaluation.prompts.prompts import PROMPTS_FILE, PromptCase, load_prompts
from pgc.evaluation.prompts.suite import KINDS, Kind, PromptSuite, PromptSuiteConfig, summarize
from pgc.evaluation.report import confusion_table, settings_block, table, write_page
from pgc.guidance.diffusion.pocket import pocket_weights
from pgc.guidance.specs import PocketSpec, load_guidance
from pgc.whole_files import write_picture

__all__ = ["TARGETS", "run_prompts", "select_cases"]

TARGETS = {"color": 0.92, "material": 0.75}
_SECONDS_A_RUN = 60.0
"""A guess for the announcement, replaced by the measured median as soon as one run is done."""


def select_cases(cases: Sequence[PromptCase], limit: int | None) -> tuple[PromptCase, ...]:
    """Returns the first `limit` cases of a round over the meshes, with other colours on each: an even slice of the
    list."""
    if limit is None or limit >= len(cases):
        return tuple(cases)
    meshes = sorted({case.mesh for case in cases})
    by_mesh = [[case for case in cases if case.mesh == mesh] for mesh in meshes]
    chosen = []
    for turn in range(limit):
        row = by_mesh[turn % len(meshes)]
        # Each mesh starts at another place of its list, since all lists run through the colours in one order.
        start = (turn % len(meshes)) * len(row) // len(meshes)
        chosen.append(row[(start + turn // len(meshes)) % len(row)])
    return tuple(sorted(chosen, key=lambda case: case.index))


def run_prompts(request: PriorRunRequest, report: Callable[[str], None]) -> dict[str, Any]:
    """Runs, or goes on, and writes the results. Returns the summary that the JSON holds."""
    spec, settings = DemoConfig().resolved()
    if not isinstance(spec, PocketSpec):
        raise ConfigError(f"The demo's prior is {type(spec).__name__}; this evaluation is of the pocket prior.")
    if request.weights is not None:
        spec = replace(spec, source=str(request.weights))
    folder = request.weights or pocket_weights()
    cases = select_cases(load_prompts(), request.limit)
    config = PromptSuiteConfig()
    configuration = {
        "format": 1,
        "suite": asdict(config),
        "settings": asdict(settings),
        "guidance": {**asdict(spec), "source": None},
        "weights": folder_hash(folder),
        "judge": file_hash(JUDGE_FILE),
        "prompts": file_hash(PROMPTS_FILE),
    }
    cache = ResultCache(request.work, configuration)
    done = sum(cache.get(f"{case.index:03d}-texture") is not None for case in cases)
    _announce(cases, done, cache, report)
    guidance = load_guidance(spec, torch.device("cpu"))
    judge = load_judge()
    suite = PromptSuite(config, judge, guidance, Texturizer(settings, guidance), cache)
    results: dict[Kind, list[dict[str, Any]]] = {kind: _score(suite, kind, cases, report) for kind in KINDS}
    summary = {
        "environment": environment(),
        "configuration": configuration,
        "configuration_hash": cache.key,
        "cases": [asdict(case) for case in cases],
        "of_cases": len(load_prompts()),
        "targets": TARGETS,
        "results": summarize(results, judge),
        "verdicts": {kind: [_short(row) for row in rows] for kind, rows in results.items()},
    }
    out = request.out or cache.folder / "result.json"
    write_json(out, summary)
    _write_report(cache.folder, summary, results["texture"])
    for kind in KINDS:
        row = summary["results"][kind]
        report(f"{kind}: colour {_percent(row['color'])}, material {_percent(row['material'])}")
    report(f"{out}\n{cache.folder / 'report.html'}")
    return summary


def _announce(cases: Sequence[PromptCase], done: int, cache: ResultCache, report: Callable[[str], None]) -> None:
    known = [row["seconds"] for case in cases if (row := cache.get(f"{case.index:03d}-texture")) is not None]
    each = float(np.median(known)) if known else _SECONDS_A_RUN
    minutes = (len(cases) - done) * (each + 8.0) / 60.0
    report(f"{len(cases)} prompts, {done} done before; about {minutes:.0f} minutes to go ({each:.0f} s a run).")
    report(f"Parts are kept in {cache.folder}: interrupt at will, the same command goes on.")


def _score(
    suite: PromptSuite, kind: Kind, cases: Sequence[PromptCase], report: Callable[[str], None]
) -> list[dict[str, Any]]:
    rows = []
    for case in cases:
        row = suite.score(kind, case)
        verdict = row["verdict"]
        report(
            f"{kind} {case.index:2d} {case.prompt} on {case.mesh}: {verdict['color']} {verdict['material']}, "
            f"{row['seconds']:.0f} s"
        )
        rows.append(row)
    return rows


def _short(row: dict[str, Any]) -> dict[str, Any]:
    verdict = row["verdict"]
    return {
        "index": row["case"]["index"],
        "color": verdict["color"],
        "material": verdict["material"],
        "color_confidence": round(verdict["color_confidence"], 4),
        "material_confidence": round(verdict["material_confidence"], 4),
        "speckle": {scale: round(value, 5) for scale, value in row["speckle"].items()},
        "seconds": round(row["seconds"], 2),
    }


def _percent(answer: dict[str, Any]) -> str:
    score = answer["accuracy"]
    return (
        f"{100 * score['share']:.1f} % ({score['successes']} of {score['trials']}, "
        f"95 % CI {100 * score['low']:.1f} to {100 * score['high']:.1f})"
    )


def _strips(folder: Path, rows: Sequence[dict[str, Any]], kind: str) -> list[list[np.ndarray]]:
    """The six small pictures of each case, cut from the strips that the suite has kept."""
    result = []
    for row in rows:
        strip = np.asarray(Image.open(folder / f"{row['case']['index']:03d}-{kind}.webp").convert("RGB"))
        result.append(list(np.split(strip, strip.shape[1] // strip.shape[0], axis=1)))
    return result


def _sheet(folder: Path, rows: Sequence[dict[str, Any]], name: str) -> str:
    """A contact sheet beside the report, as HTML; a sentence where there is nothing to show."""
    if not rows:
        return "<p>None.</p>"
    captions = [
        f"{row['case']['index']}: {row['case']['prompt']} ({row['case']['mesh']}) - the judge says "
        f"{row['verdict']['color']} {row['verdict']['material']}"
        for row in rows
    ]
    write_picture(folder / name, contact_sheet(_strips(folder, rows, "texture"), captions), quality=80)
    return f'<img src="{html.escape(name)}" alt="six views a row, captions name prompt and answer">'


def _write_report(folder: Path, summary: dict[str, Any], textures: Sequence[dict[str, Any]]) -> None:
    results = summary["results"]
    header = ("pictures", "n", "colour", "material", "speckle, median", "s a case, median")
    lines = [
        (
            kind, row["n"], _percent(row["color"]), _percent(row["material"]),
            row["speckle_median"]["1"], row["seconds_median"],
        )
        for kind, row in results.items()
    ]  # fmt: skip
    failed = {entry["index"] for entry in results["texture"]["failures"]}
    wrong = [row for row in textures if row["case"]["index"] in failed]
    sections = {
        "Scores": table(header, lines)
        + f"<p>Targets: colour {TARGETS['color']:.0%}, material {TARGETS['material']:.0%}. "
        "texture: the runs; sample: plain 2D samples of the prior under the same depth; truth: the procedural "
        "material itself; untrained: a gray texture.</p>",
        "Failures": _sheet(folder, wrong, "failures.webp"),
        "Confusion, material": confusion_table(
            results["texture"]["material"]["labels"], results["texture"]["material"]["confusion"]
        ),
        "Confusion, colour": confusion_table(
            results["texture"]["color"]["labels"], results["texture"]["color"]["confusion"]
        ),
        "All textures": _sheet(folder, textures, "textures.webp"),
        "Settings": settings_block({"environment": summary["environment"], **summary["configuration"]}),
    }
    write_page(folder / "report.html", "Prompt agreement", sections)
