# SPDX-License-Identifier: Apache-2.0
"""The command behind `pgc eval methods`: cost first, resumable parts, one table a method, JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from pgc.errors import ConfigError
from pgc.evaluation.cache import environment, write_json
from pgc.evaluation.judge.judge import load_judge
from pgc.evaluation.measures.statistics import mean_interval, median
from pgc.evaluation.methods.config import Method, clipping_methods, tuning_cases
from pgc.evaluation.methods.suite import MethodSuite, demo_prior
from pgc.guidance.specs import load_guidance

__all__ = ["MethodRunRequest", "run_methods"]

_SECONDS_A_RUN = 40.0
"""A guess for the announcement, replaced by the measured median as soon as one run is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodRunRequest:
    """What the command was asked for."""

    work: Path
    out: Path | None
    quick: bool = False
    cases: int = 6
    steps: int = 80
    only: tuple[str, ...] = ()
    """Names of methods; () takes all."""


def run_methods(request: MethodRunRequest, report: Callable[[str], None]) -> dict[str, Any]:
    """Runs, or goes on, and writes the results. Returns the summary that the JSON holds.

    Raises:
        ConfigError: a method is named that the sweep does not have.
    """
    spec, settings, cache = demo_prior(request.steps, request.work)
    methods = _chosen(clipping_methods(settings.optimize, quick=request.quick), request.only)
    cases = tuning_cases(request.cases)
    parts = [(method, case) for case in cases for method in methods]
    known = [row["seconds"] for one in parts if (row := cache.get(MethodSuite.part(*one))) is not None]
    each = median(known) if known else _SECONDS_A_RUN
    report(
        f"{len(methods)} methods on {len(cases)} cases: {len(parts)} runs, {len(known)} done before; about "
        f"{(len(parts) - len(known)) * each / 60.0:.0f} minutes to go ({each:.0f} s a run). "
        f"Parts are kept in {cache.folder}: interrupt at will, the same command goes on."
    )
    suite = MethodSuite(settings, load_guidance(spec, torch.device("cpu")), load_judge(), cache)
    rows: list[dict[str, Any]] = []
    for method, case in parts:
        row = suite.score(method, case)
        rows.append(row)
        report(
            f"{row['name']} {case.prompt}: colour {row['color']:.2f}, material {row['material']:.2f}, speckle "
            f"{row['speckle']:.4f}, clipped {row['regulation']['clipped_fraction']:.0%}, {row['seconds']:.0f} s"
        )
    summary = {
        "environment": environment(),
        "configuration": cache.configuration,
        "configuration_hash": cache.key,
        "methods": {method.name: _summary([row for row in rows if row["method"] == method.name]) for method in methods},
        "cases": [asdict(case) for case in cases],
        "rows": rows,
    }
    out = request.out or cache.folder / "result.json"
    write_json(out, summary)
    report(str(out))
    return summary


def _chosen(methods: tuple[Method, ...], names: tuple[str, ...]) -> tuple[Method, ...]:
    unknown = sorted(set(names) - {method.name for method in methods})
    if unknown:
        raise ConfigError(
            f"There is no method {', '.join(unknown)}; the sweep has {', '.join(method.name for method in methods)}."
        )
    return tuple(method for method in methods if not names or method.name in names)


def _summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over the cases, with intervals."""
    regulated = [row["regulation"] for row in rows]
    return {
        "n": len(rows),
        **{name: mean_interval([row[name] for row in rows]) for name in ("color", "material", "speckle")},
        **{
            name: mean_interval([one[name] for one in regulated])
            for name in ("clipped_fraction", "median_before", "tail_before", "tail_after")
        },
        "seconds_median": median([row["seconds"] for row in rows]),
    }
