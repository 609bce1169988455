# SPDX-License-Identifier: Apache-2.0
"""Tables of what textures are worth: prompts, finishes, recovered materials, shading."""

from __future__ import annotations

from collections.abc import Callable
from statistics import mean, median
from typing import Any

from tests.benchmarks.markdown import mean_and_half, share_with_interval, table

__all__ = [
    "explained_light",
    "finishes",
    "material_pairs",
    "materials_full",
    "materials_quick",
    "methods",
    "prompts",
    "shading",
    "warm_start",
]

SETTINGS = {
    "known": "light known",
    "unknown": "light unknown",
    "paper": "the paper's setting",
    "known, ids": "known, with ids",
}
"""The settings of the material suite, as the result files and as the tables call them."""

SCORES = (
    ("base colour, dB", "base_color_psnr", 1, "28"),
    ("roughness, RMSE", "roughness_rmse", 3, "0.08"),
    ("metallic, RMSE", "metallic_rmse", 3, "0.10; ids 0.05"),
    ("normal, degrees", "normal_angle", 1, ""),
    ("relit, dB", "relit_psnr", 1, "38"),
    ("relit, FLIP", "relit_flip", 3, ""),
    ("baked light, std", "baked_light_std", 3, "0.04"),
)
"""Name, key, digits and target (for known light) of a score."""

PICTURES = {
    "texture": "textures of the built-in model",
    "sample": "its own single pictures",
    "truth": "true materials",
    "untrained": "untrained textures",
}


def prompts(read: Callable[[str], Any]) -> str:
    """Returns how often a judge names colour and material as the prompt did."""
    results = read("prompts")["results"]
    rows = [
        [title, share_with_interval(found["color"]["accuracy"]), share_with_interval(found["material"]["accuracy"])]
        for title, found in ((title, results[kind]) for kind, title in PICTURES.items())
    ]
    return table(["judged", "colour as asked", "material as asked"], rows)


def repaint(read: Callable[[str], Any]) -> str:
    """Returns how often a judge names the new prompt's colour and material in a repainted region."""
    found = read("repaint_prompts")
    rows = [
        ["the new prompt's", *(share_with_interval(found["named"][key]) for key in ("color", "material"))],
        ["the old one's", *(f"{found['old_named'][key]} of {found['n']}" for key in ("color", "material"))],
    ]
    return table(["the judge names", "colour", "material"], rows)


def warm_start(read: Callable[[str], Any]) -> str:
    """Returns the judge's answers with a warm start, and without one on the same prompts of the list."""
    rows, earlier = read("warm_start")["rows"], read("prompts")
    asked = {row["case"]["index"]: row["case"] for row in rows}
    cold = [found for found in earlier["verdicts"]["texture"] if found["index"] in asked]
    warm = [{**row["warm"], "index": row["case"]["index"]} for row in rows]
    warm = [found for found in warm if found["index"] in {one["index"] for one in cold}]
    seconds = median([found["processor_seconds"]["finished"] for found in warm])
    return table(
        ["begins", "colour as asked", "material as asked", "speckle, median", "processor seconds, median"],
        [
            ["warm, then 70 steps", *_answers(warm, asked), f"{seconds:.0f}"],
            ["gray, 170 steps", *_answers(cold, asked), "not measured beside it"],
        ],
    )


def _answers(found: list[dict[str, Any]], asked: dict[int, dict[str, Any]]) -> list[str]:
    right = [
        f"{sum(one[question] == asked[one['index']][question] for one in found)} of {len(found)}"
        for question in ("color", "material")
    ]
    return [*right, f"{median([one['speckle']['1'] for one in found]):.4f}"]


def finishes(read: Callable[[str], Any]) -> str:
    """Returns metallic and roughness for four prompts: mean and range over the meshes."""
    rows = [
        [
            prompt,
            _mean_and_range(found["metallic"]),
            _mean_and_range(found["roughness"]),
            f"{found['right']} of {found['runs']}",
        ]
        for prompt, found in sorted(read("finishes")["results"].items())
    ]
    return table(["prompt", "metallic", "roughness", "both in the right half"], rows)


def methods(read: Callable[[str], Any]) -> str:
    """Returns what threshold and weight of the latent gradient do to the built-in model's textures."""
    rows = []
    for name, found in read("methods")["methods"].items():
        clip, weight, _ = name.split("-")
        shares = [mean_and_half(found[one], 2) for one in ("color", "material")]
        rows.append(
            [
                clip.removeprefix("c").replace("q", "quantile "),
                weight.removeprefix("l"),
                *shares,
                f"{found['speckle']['mean']:.4f}",
                f"{found['clipped_fraction']['mean']:.0%}",
                f"{found['median_before']['mean']:.2f} / {found['tail_before']['mean']:.2f}",
            ]
        )
    header = ["c", "λ", "colour", "material", "speckle", "pixels clipped", "norm before: median / 99.9 %"]
    return table(header, rows)


def _mean_and_range(values: list[float]) -> str:
    return f"{mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def materials_quick(read: Callable[[str], Any]) -> str:
    """Returns the short material suite beside the toy and the targets."""
    result = read("materials-quick")
    toy = result["toy"]
    rows = []
    for title, key, digits, target in SCORES:
        plain = [toy[light].get(key) for light in ("known", "unknown")]
        beside = " / ".join("–" if value is None else f"{value:.{digits}f}" for value in plain)
        rows.append([title, *_by_setting(result, key, digits), beside, target])
    return table(["", *_settings_with_n(result), "toy, known / unknown", "target"], rows)


def materials_full(read: Callable[[str], Any]) -> str:
    """Returns the whole material suite, with the worst seams of the mips 0 to 4."""
    result = read("materials-full")
    rows = [[title, *_by_setting(result, key, digits)] for title, key, digits, _target in SCORES]
    rows.append(["worst seams of mips 0 to 4", *(_seams(result["summary"][setting]) for setting in SETTINGS)])
    return table(["", *_settings_with_n(result)], rows)


def _settings_with_n(result: Any) -> list[str]:
    return [f"{title} ({result['summary'][key]['base_color_psnr']['n']})" for key, title in SETTINGS.items()]


def _by_setting(result: Any, key: str, digits: int) -> list[str]:
    return [mean_and_half(result["summary"][setting][key], digits) for setting in SETTINGS]


def _seams(scores: Any) -> str:
    found = [one["mean"] if isinstance(one, dict) else one for one in scores["seam_by_mip"]]
    truth = [one["mean"] if isinstance(one, dict) else one for one in scores["seam_by_mip_truth"]]
    worst = max(range(len(found)), key=found.__getitem__)
    return f"{found[worst]:.2f} (mip {worst}; true materials {truth[worst]:.2f})"


def material_pairs(read: Callable[[str], Any]) -> str:
    """Returns what each setting is worth against known light, world by world in pairs."""
    differences = read("materials-full")["differences"]
    rows = [
        [
            SETTINGS[setting],
            *(
                mean_and_half(found[key], digits)
                for key, digits in (("base_color_psnr", 1), ("relit_psnr", 1), ("metallic_rmse", 3))
            ),
        ]
        for setting, found in differences.items()
    ]
    return table(["against light known", "base colour, dB", "relit, dB", "metallic, RMSE"], rows)


def explained_light(read: Callable[[str], Any]) -> str:
    """Returns what finding the light is worth where it is not told, on the same worlds, and what a step of it costs."""
    result = read("explained-light")
    wanted = {"base_color_psnr": "≥ 27", "relit_psnr": "≥ 28", "roughness_rmse": "≤ 0.12", "metallic_rmse": "≤ 0.30"}
    wanted["baked_light_std"] = "≤ 0.02"
    rows = [
        [
            title,
            *(mean_and_half(result["summary"][setting][key], digits) for setting in ("unknown", "explained")),
            mean_and_half(result["differences"][key], digits),
            wanted.get(key, ""),
        ]
        for title, key, digits, _target in SCORES
    ]
    ratios = [f"{result['cost'][prior]['ratio']:.2f}" for prior in ("oracle", "pocket")]
    rows.append(["processor time of a step, oracle / built-in model", "1", " / ".join(ratios), "", "≤ 1.15"])
    return table(["", f"light unknown ({result['n']})", "unknown, explained away", "in pairs", "wanted"], rows)


def shading(read: Callable[[str], Any]) -> str:
    """Returns how far shading is from Monte Carlo sums and from Blender's Cycles."""
    ours, cycles = read("split_sum"), read("cycles_shading")
    lobes = [one["picture"] for one in ours["rmse_percent"]["lobes"].values()]
    single = [value for values in cycles["rmse_percent"].values() for value in values]
    rows = [
        [
            "Monte Carlo",
            f"{ours['rmse_percent_of_all_pictures']['lobes']:.1f} %",
            f"{min(lobes):.1f} to {max(lobes):.1f} % by roughness",
        ],
        [
            "Cycles",
            f"{cycles['rmse_percent_of_all_pictures']:.1f} %",
            f"{min(single):.1f} to {max(single):.1f} % by picture",
        ],
    ]
    return table(["split sum against", "RMSE of all pictures", "range"], rows)
