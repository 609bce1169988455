# SPDX-License-Identifier: Apache-2.0
"""Tables of what a choice of method does: thresholds, encoders' tails, the posterior."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.benchmarks.markdown import mean_and_half, table

__all__ = ["clipping", "clipping_tuning", "encoder_tails", "losses", "schedules", "strength"]

_ENCODERS = {
    "built-in": "built-in, 128 pixels",
    "oracle": "the oracle's ugly one, 128",
    "autoencoder-kl-256": "Stable Diffusion's configuration, random weights, 256",
    "autoencoder-kl-512": "the same, 512",
}


def _pair(name: str) -> list[str]:
    clip, weight = name.split("-")
    return [clip.removeprefix("c").replace("none", "∞"), weight.removeprefix("l")]


def clipping_tuning(read: Callable[[str], Any]) -> str:
    """Returns what the judge says of each threshold, weight and epsilon on the tuning prompt; the best is bold."""
    found = read("clipping")
    epsilons = [f"{epsilon:g}" for epsilon in found["sweep"]["epsilons"]]
    rows: list[list[str]] = []
    for name, scores in found["tuning"].items():
        best = max(scores.values())
        cells = [f"**{scores[one]:.3f}**" if scores[one] == best else f"{scores[one]:.3f}" for one in epsilons]
        rows.append([*_pair(name), *cells])
    return table(["c", "λ", *(f"ε = {epsilon}" for epsilon in epsilons)], rows)


def clipping(read: Callable[[str], Any]) -> str:
    """Returns the scores of the finalists, and how they differ from no clipping, seed by seed."""
    found = read("clipping")
    rows: list[list[str]] = []
    for name, scores in found["pairs"].items():
        less = [mean_and_half(scores["less_reference"][one], 3) for one in ("color", "material")]
        rows.append(
            [
                *_pair(name),
                f"{found['epsilon'][name]:g}",
                *(mean_and_half(scores[one], 3) for one in ("color", "material")),
                *(["–", "–"] if name == found["reference"] else less),
                f"{scores['speckle']['mean']:.4f}",
                f"{scores['clipped_fraction']['mean']:.0%}",
            ]
        )
    header = ["c", "λ", "ε", "colour", "material", "colour, less no clipping", "material, less no clipping", "speckle"]
    return table([*header, "pixels clipped"], rows)


def encoder_tails(read: Callable[[str], Any]) -> str:
    """Returns the norms of ∂L/∂x by encoder, as multiples of the median, before and after clipping."""
    encoders = read("threshold_ablation")["encoders"]
    rows = [
        [
            title,
            f"{found['median']:.3g}",
            f"{found['p99.9 over median']:.3g}",
            f"{found['largest over median']:.3g}",
            f"{found['p99.9 after'] / found['median']:.3g}",
            f"{found['clipped_fraction']:.1%}",
        ]
        for key, title in _ENCODERS.items()
        if (found := encoders.get(key)) is not None
    ]
    header = ["encoder", "median", "99.9 % over it", "largest over it", "99.9 % over it, clipped at 0.1", "touched"]
    return table(header, rows)


def losses(read: Callable[[str], Any]) -> str:
    """Returns what the judge says of each loss from one warm start."""
    return _compared(read("losses")["losses"], "loss")


def schedules(read: Callable[[str], Any]) -> str:
    """Returns what the judge says of each schedule of noise from one warm start."""
    return _compared(read("schedules")["schedules"], "schedule")


def _compared(found: dict[str, Any], what: str) -> str:
    rows = [
        [
            name.replace("_", " ").replace("-", " "),
            *(mean_and_half(scores[one], 3) for one in ("color", "material")),
            f"{scores['speckle']['mean']:.4f}",
            f"{scores['clipped_fraction']['mean']:.1%}",
        ]
        for name, scores in sorted(found.items(), key=lambda row: -row[1]["material"]["mean"])
    ]
    return table([what, "colour", "material", "speckle", "pixels clipped"], rows)


def strength(read: Callable[[str], Any]) -> str:
    """Returns how sure the judge is of the old prompt's colour and material, and of the new one's, at each strength."""
    answers = [f"{which}_{what}" for which in ("old", "new") for what in ("color", "material")]
    rows = [
        [at, *(f"{scores[one]['mean']:.2f} ({scores[one]['min']:.2f}–{scores[one]['max']:.2f})" for one in answers)]
        for at, scores in read("strength")["by_strength"].items()
    ]
    return table(["strength", "old colour", "old material", "new colour", "new material"], rows)
