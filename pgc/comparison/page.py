# SPDX-License-Identifier: Apache-2.0
"""One HTML page with everything in it: viewers side by side, pictures, scores, and the blind choice between two."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from pgc.comparison.votes import VOTES_FORMAT
from pgc.demo.assets import viewer_script
from pgc.errors import ConfigError
from pgc.evaluation.cache import configuration_hash
from pgc.evaluation.measures.statistics import mean_interval
from pgc.whole_files import write_bytes

__all__ = ["ComparedRun", "comparison_html", "write_comparison_page"]

_PICTURES = {"preview": "preview.png", "gradient": "gradient.webp"}
_MODEL = "textured.glb"
_MOST_BYTES = 1_500_000_000
"""Of all models together: browsers refuse larger pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRun:
    """A run that is done, as the page shows it."""

    key: str
    method: str
    settings: Mapping[str, str]
    prompt: str
    mesh: str
    seed: int
    steps: int
    seconds: float
    scores: Mapping[str, float]
    regulation: Mapping[str, float | int]
    folder: Path
    """With textured.glb, preview.png and, where there is one, gradient.webp."""


def comparison_html(runs: Sequence[ComparedRun]) -> str:
    """Writes the page; it needs neither a network nor a server.

    Raises:
        ConfigError: there are no runs, or their models are too many for one page.
    """
    if not runs:
        raise ConfigError("There is no run that is done, and so nothing to compare.")
    size = sum((run.folder / _MODEL).stat().st_size for run in runs)
    if size > _MOST_BYTES:
        raise ConfigError(
            f"The models of {len(runs)} runs have {size / 1e9:.1f} GB together, and a page holds "
            f"{_MOST_BYTES / 1e9:.1f} GB; compare fewer, or choose a smaller texture_size."
        )
    data = {
        "format": VOTES_FORMAT,
        "methods": _methods(runs),
        "runs": [_run_data(run) for run in runs],
        "means": _means(runs),
    }
    models = "".join(
        f'<script type="application/octet-stream" id="model-{run.key}">{_base64(run.folder / _MODEL)}</script>\n'
        for run in {run.key: run for run in runs}.values()
    )
    page = _own("compare.html")
    parts = {
        "/*style*/": _own("compare.css"),
        "<!--data-->": _inline(json.dumps(data, ensure_ascii=True, allow_nan=False)),
        "<!--models-->": models,
        "/*script*/": _script(_own("compare.js")),
        "/*viewer*/": _script(viewer_script()),
    }
    # One after the other, so that what stands in a prompt is never taken for a place of the page.
    for place, text in parts.items():
        before, _, after = page.partition(place)
        page = before + text + after
    return page


def write_comparison_page(path: Path, runs: Sequence[ComparedRun]) -> Path:
    """Writes the page and returns its path. Raises ConfigError as `comparison_html`, OutputError if it cannot."""
    write_bytes(path, comparison_html(runs).encode())
    return path


def _own(name: str) -> str:
    return files("pgc.comparison").joinpath("web", name).read_text(encoding="utf-8")


def _inline(text: str) -> str:
    """JSON for a script element, which ends at the first "</script" and changes its ways at "<!--"."""
    return text.replace("<", r"\u003c")


def _script(text: str) -> str:
    return text.replace("</script", r"<\/script")


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")


def _methods(runs: Sequence[ComparedRun]) -> dict[str, str]:
    """The methods in their order, each with a hash of what it means, so that votes of other settings do not mix."""
    return {run.method: configuration_hash(dict(run.settings)) for run in runs}


def _run_data(run: ComparedRun) -> dict[str, Any]:
    pictures: dict[str, str] = {}
    for name, file in _PICTURES.items():
        path = run.folder / file
        if path.is_file():
            pictures[name] = f"data:image/{path.suffix.removeprefix('.')};base64,{_base64(path)}"
    facts = [f"{run.steps} steps", f"{run.seconds:.0f} s"]
    if "clipped_fraction" in run.regulation:
        facts.append(f"{run.regulation['clipped_fraction']:.0%} of the pixels clipped")
    return {
        "key": run.key,
        "method": run.method,
        "settings": ", ".join(f"{name} {value}" for name, value in run.settings.items()) or "as preset",
        "prompt": run.prompt,
        "mesh": Path(run.mesh).name,
        "seed": run.seed,
        "facts": ", ".join(facts),
        "scores": {name: f"{value:.3f}" for name, value in run.scores.items()},
        **pictures,
    }


def _means(runs: Sequence[ComparedRun]) -> list[dict[str, str]]:
    """A row a method: the mean of each score with its interval, over the runs that have it."""
    rows: list[dict[str, str]] = []
    for method in dict.fromkeys(run.method for run in runs):
        own = [run for run in runs if run.method == method]
        row = {"method": method, "runs": str(len(own))}
        for name in dict.fromkeys(name for run in runs for name in run.scores):
            values = [run.scores[name] for run in own if name in run.scores]
            if values:
                found = mean_interval(values)
                row[name] = f"{found['mean']:.3f} ({found['low']:.3f} to {found['high']:.3f})"
        row["seconds"] = f"{sum(run.seconds for run in own) / len(own):.0f}"
        rows.append(row)
    return rows
