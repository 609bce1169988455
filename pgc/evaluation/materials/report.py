# SPDX-License-Identifier: Apache-2.0
"""The page and the summary of `pgc eval materials`: means with intervals, targets, the toy beside them, pictures."""

from __future__ import annotations

import base64
import html
import io
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from pgc.evaluation.materials.judge import relight_pairs
from pgc.evaluation.materials.suite import MaterialWorld
from pgc.evaluation.measures.statistics import mean_interval
from pgc.evaluation.report import settings_block, table, write_page
from pgc.texture.field import BakedTexture

__all__ = [
    "SCORES",
    "TARGETS",
    "paired_differences",
    "picture",
    "summarize",
    "verdicts",
    "write_report",
]

SCORES: dict[str, str] = {
    "base_color_psnr": "base colour, dB",
    "base_color_ssim": "SSIM",
    "base_color_delta_e_2000": "ΔE (CIEDE2000)",
    "roughness_rmse": "roughness RMSE",
    "metallic_rmse": "metallic RMSE",
    "normal_angle": "normal, degrees",
    "relit_psnr": "relit, dB",
    "relit_flip": "relit FLIP",
    "baked_light_std": "baked light, std",
    "seam_worst": "worst seam ratio, mips 0-4",
    "seam_excess": "the same over the truth's",
    "coverage": "coverage",
    "sharpness": "sharpness",
}
"""What is shown, in this order."""

TARGETS: dict[str, tuple[float, bool]] = {
    "base_color_psnr": (28.0, True),
    "roughness_rmse": (0.08, False),
    "metallic_rmse": (0.10, False),
    "relit_psnr": (38.0, True),
    "baked_light_std": (0.04, False),
}
"""For the mean over all runs with the oracle's noise and the light known: (value, whether more is better)."""

SEAM_TARGET = 1.05
"""For the mean ratio at each of the mips 0 to 4, and for that over the truth's own: a known material changes at charts'
borders more than elsewhere where its material slots end there, and nothing true to it can then have a ratio of 1."""

METALLIC_WITH_IDS = 0.05
"""The target for metallic where material ids are given."""


def flat_scores(row: Mapping[str, Any]) -> dict[str, float]:
    """Returns the scores of a run as single numbers."""
    scores = {name: float(row[name]) for name in SCORES if name in row}
    ratios, known = row["seam_ratio"], row["seam_ratio_truth"]
    scores["seam_worst"] = max(ratios)
    scores["seam_excess"] = max(found / max(truth, 1e-6) for found, truth in zip(ratios, known, strict=True))
    return scores


def summarize(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Returns setting -> score -> mean with interval; and the same by setting and material."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["setting"], []).append(row)
        groups.setdefault(f"{row['setting']} · {row['case']['material']}", []).append(row)
    result: dict[str, dict[str, Any]] = {}
    for name, group in groups.items():
        scores = [flat_scores(row) for row in group]
        result[name] = {score: mean_interval([each[score] for each in scores]) for score in SCORES}
        mips = list(zip(*(row["seam_ratio"] for row in group), strict=True))
        result[name]["seam_by_mip"] = [mean_interval(level) for level in mips]
        known = zip(*(row["seam_ratio_truth"] for row in group), strict=True)
        result[name]["seam_by_mip_truth"] = [mean_interval(level) for level in known]
    return result


def paired_differences(rows: Sequence[Mapping[str, Any]], reference: str = "known") -> dict[str, dict[str, Any]]:
    """Returns setting -> score -> mean difference from `reference` with its interval, over the worlds that both have
    run on.

    Worlds differ more than settings do, so that pairs tell settings apart which means over all worlds cannot.
    """

    def world(row: Mapping[str, Any]) -> tuple[Any, Any]:
        """Names the world that a run was on."""
        return row["case"]["mesh"], row["case"]["material"]

    base = {world(row): flat_scores(row) for row in rows if row["setting"] == reference}
    pairs: dict[str, list[tuple[dict[str, float], dict[str, float]]]] = {}
    for row in rows:
        if row["setting"] != reference and world(row) in base:
            pairs.setdefault(row["setting"], []).append((flat_scores(row), base[world(row)]))
    return {
        name: {score: mean_interval([other[score] - first[score] for other, first in group]) for score in SCORES}
        for name, group in pairs.items()
    }


def verdicts(summary: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Puts each target beside the mean that was reached, for the settings that it is about."""
    found = []
    for setting in ("known", "known, ids"):
        if setting not in summary:
            continue
        for name, (value, more) in TARGETS.items():
            target = METALLIC_WITH_IDS if (setting, name) == ("known, ids", "metallic_rmse") else value
            mean = float(summary[setting][name]["mean"])
            met = mean >= target if more else mean <= target
            found.append({"setting": setting, "score": SCORES[name], "target": target, "mean": mean, "met": met})
        ratios = [float(level["mean"]) for level in summary[setting]["seam_by_mip"]]
        truths = [float(level["mean"]) for level in summary[setting]["seam_by_mip_truth"]]
        for name, values in (
            ("seam ratio, worst of mips 0-4", ratios),
            ("the same over the truth's", [ratio / truth for ratio, truth in zip(ratios, truths, strict=True)]),
        ):
            worst = max(values)
            met = worst <= SEAM_TARGET
            found.append({"setting": setting, "score": name, "target": SEAM_TARGET, "mean": worst, "met": met})
    return found


def picture(world: MaterialWorld, texture: BakedTexture) -> Image.Image:
    """Draws the maps of the truth above those that were found; then four relit pictures of each."""
    size = 128
    columns: list[list[np.ndarray]] = [[], []]
    for row, each in enumerate((world.truth, texture)):
        for name in ("base_color", "roughness", "metallic", "normal"):
            image = each.maps[name][0].expand(3, -1, -1)
            columns[row].append(_square(image, size))
    # Every other environment of the first batch of views, each seen from another side.
    for at, (found, known, _) in enumerate(itertools.islice(relight_pairs(world, texture), 8)):
        if at % 2 == 0:
            columns[0].append(_square(known[at % len(known)], size))
            columns[1].append(_square(found[at % len(found)], size))
    width = min(len(row) for row in columns)
    return Image.fromarray(np.concatenate([np.concatenate(row[:width], axis=1) for row in columns], axis=0))


def _square(image: torch.Tensor, size: int) -> np.ndarray:
    values = (image.clamp(0.0, 1.0) * 255.0 + 0.5).to(torch.uint8).permute(1, 2, 0).numpy()
    return np.asarray(Image.fromarray(np.ascontiguousarray(values)).resize((size, size), Image.Resampling.NEAREST))


def _embedded(path: Path) -> str:
    data = io.BytesIO()
    Image.open(path).convert("RGB").save(data, "JPEG", quality=88)
    encoded = base64.b64encode(data.getvalue()).decode()
    return f'<p>{html.escape(path.stem)}</p><img alt="{html.escape(path.stem)}" src="data:image/jpeg;base64,{encoded}">'


def _interval(value: Mapping[str, float | int]) -> str:
    return f"{value['mean']:.3g}" + (f" ± {value['high'] - value['mean']:.2g}" if value["n"] > 1 else "")


def write_report(path: Path, result: Mapping[str, Any], pictures: Sequence[Path]) -> None:
    """Writes the page: targets, settings side by side with the toy, every run, pictures, and what it was made with."""
    summary, toy = result["summary"], result["toy"]
    head = ("setting", "n", *SCORES.values())
    body = [
        (name, scores["base_color_psnr"]["n"], *(_interval(scores[score]) for score in SCORES))
        for name, scores in summary.items()
    ]
    for name, scores in toy.items():
        body.append(
            (f"toy sphere, {name}", 1, *(f"{scores[score]:.3g}" if score in scores else "–" for score in SCORES))
        )
    targets = [
        (
            row["setting"],
            summary[row["setting"]]["base_color_psnr"]["n"],
            row["score"],
            row["target"],
            row["mean"],
            "yes" if row["met"] else "NO",
        )
        for row in result["targets"]
    ]
    runs = [(row["name"], *flat_scores(row).values(), row["seconds"]) for row in result["rows"]]
    differences = [
        (name, scores["base_color_psnr"]["n"], *(_interval(scores[score]) for score in SCORES))
        for name, scores in result["differences"].items()
    ]
    sections = {
        "Targets (oracle with noise, light known)": table(("setting", "n", "score", "target", "mean", "met"), targets),
        "Means with 95 % intervals": table(head, body),
        "Differences from known light on the same worlds, with 95 % intervals": table(head, differences),
        "Pictures": "<p>Above: the truth. Below: what came back. Base colour, roughness, metallic, normal; then under "
        "held-out light.</p>" + "".join(_embedded(each) for each in pictures),
        "Runs": table(("run", *SCORES.values(), "s"), runs),
        "Settings": settings_block({"environment": result["environment"], **result["configuration"]}),
    }
    write_page(path, "Materials recovered from a known truth", sections)
