# SPDX-License-Identifier: Apache-2.0
"""The command behind `pgc eval oracle`: cost first, resumable parts, JSON, a page, and a verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pgc.evaluation.cache import ResultCache, environment, write_json
from pgc.evaluation.measures.statistics import median
from pgc.evaluation.oracle.suite import OracleSuiteConfig, OracleWorld, cases, lock_and_resume, run_case, shared_worlds
from pgc.evaluation.report import settings_block, table, write_page

__all__ = ["checks", "run_oracle"]

_SECONDS_A_STEP = 0.15
"""A guess for the announcement; the measured times are in the result."""


def run_oracle(
    config: OracleSuiteConfig, work: Path, out: Path | None, limit: int | None, report: Callable[[str], None]
) -> bool:
    """Runs, or goes on, and writes the results. Returns whether everything that must hold exactly does."""
    chosen = cases(config)[:limit]
    cache = ResultCache(work, {"format": 1, "suite": asdict(config)})
    done = sum(cache.get(case.name) is not None for case in chosen)
    steps = (len(chosen) - done) * config.steps
    report(
        f"{len(chosen)} runs of {config.steps} steps, {done} done before; about {steps * _SECONDS_A_STEP / 60:.0f} "
        f"minutes to go. Parts are kept in {cache.folder}."
    )
    rows = []
    for world, case in shared_worlds(config, chosen):
        row = cache.get(case.name)
        if row is None:
            row = run_case(world(), case)
            cache.put(case.name, row)
        rows.append(row)
        report(
            f"{case.name}: {row['psnr'][0]:.1f} dB ({row['psnr'][1]:.1f} at mip 1), "
            f"seam ratio {row['seam_ratio'][0]:.2f} (truth {row['seam_ratio_truth'][0]:.2f}), "
            f"uncovered {row['uncovered_fraction']:.2%}, "
            f"{row['seconds']:.0f} s"
        )
    exact = cache.get("lock-and-resume")
    if exact is None:
        case = chosen[-1]
        exact = lock_and_resume(OracleWorld.build(config, case), case, cache.folder)
        cache.put("lock-and-resume", exact)
    held = checks(exact)
    summary = {
        "environment": environment(),
        "configuration": cache.configuration,
        "configuration_hash": cache.key,
        "n": len(rows),
        "rows": rows,
        "by_setting": _by_setting(rows),
        "exact": exact,
        "checks": held,
    }
    target = out or cache.folder / "result.json"
    write_json(target, summary)
    _write_report(cache.folder, summary)
    for name, passed in held.items():
        report(f"{name}: {'yes' if passed else 'NO'}")
    report(f"{target}\n{cache.folder / 'report.html'}")
    return all(held.values())


def checks(exact: dict[str, Any]) -> dict[str, bool]:
    """Returns what must hold exactly, and whether it does."""
    return {
        "locked texels are bit-identical": exact["locked_difference"] == 0.0,
        "free texels have changed": exact["free_difference"] > 0.0,
        "resumed equals uninterrupted (SHA-256)": exact["sha256_resumed"] == exact["sha256_uninterrupted"],
    }


def _by_setting(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, float | int]]:
    """Medians over meshes and materials for each of the eight settings."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        case = row["case"]
        noise, clipping = ("noise" if case["noise"] else "clean"), ("PGC" if case["clipping"] else "plain")
        groups.setdefault(f"{case['encoder']}, {noise}, {clipping}", []).append(row)
    return {
        name: {
            "n": len(group),
            "psnr_mip_0": median([row["psnr"][0] for row in group]),
            "psnr_mip_1": median([row["psnr"][1] for row in group]),
            "seam_ratio_mip_0": median([row["seam_ratio"][0] for row in group]),
            "seam_ratio_worst_mip": median([max(row["seam_ratio"]) for row in group]),
            "seam_ratio_truth_mip_0": median([row["seam_ratio_truth"][0] for row in group]),
            "uncovered_fraction": median([row["uncovered_fraction"] for row in group]),
        }
        for name, group in groups.items()
    }


def _write_report(folder: Path, summary: dict[str, Any]) -> None:
    medians = summary["by_setting"]
    columns = list(next(iter(medians.values())))
    rows = [
        (
            *row["case"].values(), *row["psnr"], *row["seam_ratio"], row["seam_ratio_truth"][0],
            row["uncovered_fraction"], row["gradient_maximum"], row["seconds"],
        )
        for row in summary["rows"]
    ]  # fmt: skip
    mips = [f"seam ratio, mip {level}" for level in range(len(summary["rows"][0]["seam_ratio"]))]
    decibels = [f"dB, mip {level}" for level in range(len(summary["rows"][0]["psnr"]))]
    header = [*summary["rows"][0]["case"], *decibels, *mips, "of the truth", "uncovered", "largest gradient", "s"]
    sections = {
        "Must hold exactly": table(("", "holds"), [(k, "yes" if v else "NO") for k, v in summary["checks"].items()]),
        "Medians": table(("setting", *columns), [(name, *row.values()) for name, row in medians.items()]),
        "Runs": table(header, rows),
        "Settings": settings_block({"environment": summary["environment"], **summary["configuration"]}),
    }
    write_page(folder / "report.html", "Oracle recovery", sections)
