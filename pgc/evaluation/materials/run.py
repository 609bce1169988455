# SPDX-License-Identifier: Apache-2.0
"""The command behind `pgc eval materials`: cost first, resumable parts, JSON, a page with pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from pgc.errors import ConfigError
from pgc.evaluation.cache import ResultCache, environment, rounded, write_json
from pgc.evaluation.materials.config import LIGHT_SETTINGS, LightSetting, MaterialCase, MaterialSuiteConfig, cases
from pgc.evaluation.materials.judge import judge
from pgc.evaluation.materials.report import paired_differences, picture, summarize, verdicts, write_report
from pgc.evaluation.materials.suite import MaterialWorld, recover, shared_worlds
from pgc.evaluation.materials.toy import ToyConfig, run_toy
from pgc.whole_files import write_picture

__all__ = ["MaterialRunRequest", "light_settings", "run_materials"]

_SECONDS_A_MEGAPIXEL = 2.0
"""One core: a run's pixels, shaded twice and fetched twice, or relit twice and scored. A guess for the announcement."""
_PICTURES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class MaterialRunRequest:
    """What is asked for on the command line.

    Attributes:
        config: the suite.
        settings: light settings to compare; `ids`: whether the known light is run with material ids too.
        work: folder of parts; out: where the result JSON goes, None for the work folder.
        earlier: a result file of the same suite, whose runs are taken over: parts that another machine made.
        limit: only the first so many pairs of a mesh and a material, in every setting.
        toy: the toy's settings; None leaves it out.
        report_only: start nothing; write results and report of the runs that are done.
    """

    config: MaterialSuiteConfig
    settings: tuple[LightSetting, ...] = LIGHT_SETTINGS
    ids: bool = True
    work: Path = Path("out/eval/materials")
    out: Path | None = None
    earlier: Path | None = None
    limit: int | None = None
    toy: ToyConfig | None = None
    report_only: bool = False


def light_settings(names: Sequence[str] | None) -> tuple[LightSetting, ...]:
    """Returns light settings by name, each once; all of them for None.

    Raises:
        ConfigError: there is no such setting.
    """
    strange = sorted(set(names or ()) - set(LIGHT_SETTINGS))
    if strange:
        raise ConfigError(f"There is no light setting {strange}; choose among {list(LIGHT_SETTINGS)}.")
    return tuple(setting for setting in LIGHT_SETTINGS if not names or setting in names)


def run_materials(request: MaterialRunRequest, report: Callable[[str], None]) -> dict[str, Any]:
    """Runs, or goes on, and writes the results; returns what the JSON holds."""
    config = request.config
    chosen = cases(config, request.settings, ids=request.ids, worlds=request.limit)
    # Meshes, materials and settings choose what is run and not how: a longer list goes on where a shorter one ended.
    # How light is explained matters to some runs alone, which say it themselves: the others stay as they were.
    chosen_by = ("meshes", "materials", "explained_light")
    fixed = {name: value for name, value in asdict(config).items() if name not in chosen_by}
    cache = ResultCache(request.work, {"format": 1, "suite": fixed})
    if request.earlier is not None:
        report(f"{cache.take_over(request.earlier)} runs taken over from {request.earlier}.")
    waiting = sum(_done(cache, case, config) is None for case in chosen)
    report(
        f"{len(chosen)} runs of {config.steps} steps, {len(chosen) - waiting} done before; about "
        f"{_duration(waiting * _seconds_a_run(config))} on one core. Parts: {cache.folder}."
    )
    if request.report_only:
        chosen = [case for case in chosen if _done(cache, case, config) is not None]
        if not chosen:
            raise ConfigError(f"Nothing is done yet in {cache.folder}; leave out --limit 0 to start.")
    rows = []
    for world, case in shared_worlds(config, chosen):
        row = _done(cache, case, config)
        if row is None:
            row = _run(world(), case, cache.folder)
            cache.put(case.name, row)
        rows.append(row)
        report(_line(row))
    toy = {} if request.toy is None else _toys(cache, request.toy, report)
    summary = summarize(rows)
    result = {
        "environment": environment(),
        "configuration": {"suite": asdict(config), "toy": None if request.toy is None else asdict(request.toy)},
        "configuration_hash": cache.key,
        "n": len(rows),
        "summary": rounded(summary),
        "differences": rounded(paired_differences(rows)),
        "targets": verdicts(summary),
        "toy": toy,
        "rows": rounded(rows),
    }
    target = request.out or cache.folder / "result.json"
    write_json(target, result)
    write_report(cache.folder / "report.html", result, _pictures(cache.folder, chosen))
    for row in result["targets"]:
        report(
            f"{row['setting']}: {row['score']} {row['mean']:.3g}, target {row['target']:g}: "
            f"{'met' if row['met'] else 'MISSED'}"
        )
    report(f"{target}\n{cache.folder / 'report.html'}")
    return result


def _done(cache: ResultCache, case: MaterialCase, config: MaterialSuiteConfig) -> dict[str, Any] | None:
    """A case's stored row; None where there is none, or one whose light was explained in another way."""
    row = cache.get(case.name)
    return row if row is not None and row.get("explained_light") == _explained_by(case, config) else None


def _explained_by(case: MaterialCase, config: MaterialSuiteConfig) -> dict[str, Any] | None:
    return asdict(config.explained_light) if case.light == "explained" else None


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 7200.0 else f"{seconds / 3600:.0f} hours"


def _seconds_a_run(config: MaterialSuiteConfig) -> float:
    learnt = config.steps * config.views * config.resolution**2
    relit = config.environments * config.relight_views * config.relight_resolution**2
    return 2.0 + 1e-6 * (learnt + relit) * _SECONDS_A_MEGAPIXEL


def _run(world: MaterialWorld, case: MaterialCase, folder: Path) -> dict[str, Any]:
    texture, took = recover(world, case)
    sheet: Image.Image = picture(world, texture)
    explained = _explained_by(case, world.config)
    write_picture(folder / f"{case.name}.png", sheet)
    return {
        "name": case.name,
        "setting": case.setting,
        "mesh": world.mesh_name,
        "case": asdict(case),
        **({"explained_light": explained} if explained is not None else {}),
        **judge(world, texture),
        **took,
    }


def _line(row: dict[str, Any]) -> str:
    return (
        f"{row['name']}: base {row['base_color_psnr']:.1f} dB, roughness {row['roughness_rmse']:.3f}, metallic "
        f"{row['metallic_rmse']:.3f}, normal {row['normal_angle']:.1f}°, relit {row['relit_psnr']:.1f} dB, baked "
        f"{row['baked_light_std']:.3f}, seams {max(row['seam_ratio']):.2f}, {row['seconds']:.0f} s"
    )


def _toys(cache: ResultCache, config: ToyConfig, report: Callable[[str], None]) -> dict[str, Any]:
    results: dict[str, Any] = {}
    for light in ("known", "unknown"):
        part = f"toy-{light}-{config.steps}-{config.noise:g}-{config.seed}"
        row = cache.get(part)
        if row is None:
            row = run_toy(light, config)
            cache.put(part, row)
        results[light] = row
        report(f"toy, light {light}: base {row['base_color_psnr']:.1f} dB, relit {row['relit_psnr']:.1f} dB")
    return results


def _pictures(folder: Path, chosen: Sequence[MaterialCase]) -> list[Path]:
    """Some of the runs, spread evenly."""
    paths = [path for case in chosen if (path := folder / f"{case.name}.png").is_file()]
    step = max(1, len(paths) // _PICTURES)
    return paths[::step][:_PICTURES]
