# SPDX-License-Identifier: Apache-2.0
"""Real models through load, UV verdict, new UVs where due, and a short run with a known pattern in space.

    python -m tests.benchmarks.furniture BlendSwap-CC-0.sh3f --work FOLDER --out RESULT.json [--quick] [--before]

The archive is that of Sweet Home 3D's "Blend Swap CC-0" models (Debian: sweethome3d-furniture): 175 OBJ files as
their artists left them, all CC0. Parts are kept in a folder of their own for each configuration, so that an
interrupted run goes on; nothing of the archive is kept beside them.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pgc
from pgc.errors import PgcError
from pgc.evaluation.cache import ResultCache, environment, file_hash, rounded, write_json
from pgc.evaluation.measures.statistics import median
from pgc.mesh import UvPolicy, load_mesh, prepare_mesh
from tests.benchmarks.pattern_run import PatternRunConfig, pattern_run

__all__ = ["FurnitureConfig", "main", "model_names", "run_model", "summarise"]

_SECONDS_A_MODEL = 9.0
"""A guess for the announcement, on one core; the measured times are in the result."""
_OUTLIER = 3.0
_STACKED = 0.05
"""Of the surface: parts that the artist made to share texels get one picture, and a pattern in space has no such; the
run says so."""
_CODE = ("unwrap.py", "xatlas_worker.py", "policy.py", "fill.py", "layout.py")
_QUICK = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class FurnitureConfig:
    """All that a row depends on, but for the library's code."""

    run: PatternRunConfig = field(default_factory=PatternRunConfig)
    before: bool = False
    """Also run the artist's own UVs where new ones were made."""


def model_names(archive: Path) -> list[str]:
    """The OBJ files of the archive, sorted."""
    with zipfile.ZipFile(archive) as content:
        return sorted(name for name in content.namelist() if name.lower().endswith(".obj"))


def run_model(archive: Path, name: str, config: FurnitureConfig) -> dict[str, Any]:
    """One model: what it is, what was done about its UVs, and the error of the recovered pattern."""
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(archive) as content:
            path = Path(content.extract(name, folder))
        row: dict[str, Any] = {"model": PurePosixPath(name).stem}
        try:
            row |= _run(path, "auto", config.run)
            if config.before and row["done"] == "new" and row["verdict"] != "none":
                row["error_in_own_uvs"] = _run(path, "keep", config.run)["error"]
        except PgcError as error:
            row["refused"] = str(error)
    return row


def _run(path: Path, policy: UvPolicy, config: PatternRunConfig) -> dict[str, Any]:
    start = time.perf_counter()
    mesh = load_mesh(path)
    loaded = time.perf_counter()
    prepared = prepare_mesh(mesh, uvs=policy)
    ready = time.perf_counter()
    report = prepared.report
    measure = report.uvs.measure
    return {
        "triangles": len(prepared.triangles.faces),
        "verdict": report.uvs.verdict,
        "done": report.uvs.done,
        "tiles": len(report.tiles),
        "shared": 0.0 if measure is None else measure.area_tiled + measure.area_crossed,
        "stacked": 0.0 if measure is None else measure.area_stacked,
        "warnings": list(report.warnings),
        "seconds_load": loaded - start,
        "seconds_prepare": ready - loaded,
        **pattern_run(prepared, config),
    }


def summarise(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Counts, the median error, and which models end above three times of it."""
    done = [row for row in rows if "refused" not in row]
    middle = median([row["error"] for row in done])
    bad = [row for row in done if row["error"] > _OUTLIER * middle]
    counts: dict[str, int] = {}
    for row in done:
        key = f"{row['verdict']}: {row['done']}"
        counts[key] = counts.get(key, 0) + 1
    own = [row for row in done if "error_in_own_uvs" in row]
    return {
        "n": len(rows),
        "refused": len(rows) - len(done),
        "counts": counts,
        "median_error": middle,
        "worst_error": max(row["error"] for row in done),
        "outliers": sorted(row["model"] for row in bad if row["stacked"] <= _STACKED),
        "outliers_stacked_on_purpose": sorted(row["model"] for row in bad if row["stacked"] > _STACKED),
        "worst_shared": max(row["shared"] for row in done if row["done"] != "kept"),
        "median_error_in_own_uvs": median([row["error_in_own_uvs"] for row in own]) if own else None,
        "outliers_in_own_uvs": sum(row["error_in_own_uvs"] > _OUTLIER * middle for row in own) if own else None,
    }


def _code_hash() -> str:
    """Of what decides UVs: other code there gives other rows."""
    package = Path(pgc.__file__).parent
    measure = package.parent / "blender_addon" / "uv_measure"
    uvs = package / "mesh" / "uvs"
    files = [*(uvs / name for name in _CODE), package / "mesh" / "triangulation.py", *sorted(measure.glob("*.py"))]
    return hashlib.sha256("".join(file_hash(file) for file in files).encode()).hexdigest()[:16]


def run_all(
    archive: Path, config: FurnitureConfig, work: Path, limit: int | None, report: Callable[[str], None]
) -> dict[str, Any]:
    """Run, or go on; returns the whole result."""
    names = model_names(archive)[:limit]
    cache = ResultCache(
        work, {"format": 1, "config": asdict(config), "archive": file_hash(archive), "uv_code": _code_hash()}
    )
    missing = sum(cache.get(PurePosixPath(name).stem) is None for name in names)
    report(
        f"{len(names)} models, {len(names) - missing} done before; about {missing * _SECONDS_A_MODEL / 60:.0f} minutes "
        f"to go. Parts are kept in {cache.folder}."
    )
    rows: list[dict[str, Any]] = []
    for name in names:
        stem = PurePosixPath(name).stem
        row = cache.get(stem)
        if row is None:
            row = rounded(run_model(archive, name, config), 4)
            cache.put(stem, row)
            report(_line(row))
        rows.append(row)
    return {
        "environment": environment(),
        "configuration": cache.configuration,
        "summary": summarise(rows),
        "rows": rows,
    }


def _line(row: dict[str, Any]) -> str:
    if "refused" in row:
        return f"{row['model']}: refused: {row['refused']}"
    own = f" (in its own UVs {row['error_in_own_uvs']:.3f})" if "error_in_own_uvs" in row else ""
    return (
        f"{row['model']}: {row['triangles']:,} triangles, {row['verdict']}, {row['done']}; "
        f"error {row['error']:.3f}{own}, {row['seconds_prepare']:.1f} s + {row['seconds']:.1f} s"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; 1 where a model ends above three times the median error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="BlendSwap-CC-0.sh3f")
    parser.add_argument("--work", type=Path, required=True, help="folder for the parts, outside the repository")
    parser.add_argument("--out", type=Path, help="result, JSON")
    parser.add_argument("--quick", action="store_true", help=f"the first {_QUICK} models only")
    parser.add_argument("--limit", type=int, help="so many models only")
    parser.add_argument("--before", action="store_true", help="also measure the artists' own UVs where they were bad")
    given = parser.parse_args(arguments)
    result = run_all(
        given.archive,
        FurnitureConfig(before=given.before),
        given.work,
        _QUICK if given.quick else given.limit,
        lambda text: _say(text),
    )
    if given.out is not None:
        write_json(given.out, result)
    for key, value in result["summary"].items():
        _say(f"{key}: {value}")
    return 1 if result["summary"]["outliers"] else 0


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
