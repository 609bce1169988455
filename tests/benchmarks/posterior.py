# SPDX-License-Identifier: Apache-2.0
"""Mean or sample of the autoencoder's posterior: PGC-3D samples, we take the mean. What is it worth?

    python -m tests.benchmarks.posterior --out tests/benchmarks/results/posterior.json

How wide the posterior is beside the latents themselves, on renders of the tuning meshes; and textures by the built-in
model whose gradient goes through the encoder (λ = 1, c = 0.3), by mean and by sample, in pairs of equal seeds.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import torch

from pgc.demo.config import DemoConfig
from pgc.evaluation.cache import ResultCache, environment, file_hash, folder_hash, rounded, write_json
from pgc.evaluation.judge.judge import JUDGE_FILE, load_judge
from pgc.evaluation.measures.statistics import mean_interval
from pgc.evaluation.methods.config import Method
from pgc.evaluation.methods.suite import MethodSuite
from pgc.evaluation.methods.sweep import Pair, SweepConfig
from pgc.guidance.base import Guidance
from pgc.guidance.diffusion.pocket import pocket_weights
from pgc.guidance.specs import load_guidance
from pgc.optimization.config import EncoderGradientConfig, OptimizeConfig

_NAMES = ("color", "material", "speckle")
_PAIR = Pair(threshold=0.3, weight=1.0)


def method_of(base: OptimizeConfig, posterior: Literal["mean", "sample"]) -> Method:
    """Returns the setting of the loop that takes the mean or a sample."""
    chosen = _PAIR.method(base, base.epsilon)
    through = EncoderGradientConfig(posterior=posterior)
    return Method(name=f"{chosen.name}-{posterior}", optimize=replace(chosen.optimize, encoder_gradient=through))


def spread(guidance: Guidance) -> dict[str, float]:
    """Compares the posterior's standard deviation with that of the latents, on smooth random pictures."""
    generator = torch.Generator().manual_seed(0)
    size = guidance.image_size
    small = torch.rand((8, 3, 16, 16), generator=generator)
    images = torch.nn.functional.interpolate(small, size=(size, size), mode="bicubic").clamp(0.0, 1.0)
    with torch.no_grad():
        mean = guidance.encode_image(images)
        sample = guidance.encode_image(images, generator=torch.Generator().manual_seed(1))
    return {"of the latents": float(mean.std()), "of the posterior": float((sample - mean).std())}


def main() -> None:
    """Runs both, and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("out/eval/posterior"))
    given = parser.parse_args()
    config = replace(SweepConfig(), scored_on=1)
    spec, settings = DemoConfig().resolved()
    base = replace(settings.optimize, steps=config.steps)
    settings = replace(settings, optimize=base)
    guidance = load_guidance(spec, torch.device("cpu"))
    cache = ResultCache(
        given.work,
        {"settings": asdict(settings), "weights": folder_hash(pocket_weights()), "judge": file_hash(JUDGE_FILE)},
    )
    suite = MethodSuite(settings, guidance, load_judge(), cache)
    rows: dict[str, list[dict[str, Any]]] = {"mean": [], "sample": []}
    for case in config.scored():
        for posterior in ("mean", "sample"):
            rows[posterior].append(suite.score(method_of(base, posterior), case))
            sys.stdout.write(f"{rows[posterior][-1]['name']}: {[rows[posterior][-1][name] for name in _NAMES]}\n")
            sys.stdout.flush()
    pairs = list(zip(rows["mean"], rows["sample"], strict=True))
    result = {
        "environment": environment(),
        "n": len(pairs),
        "prompt": config.scored()[0].prompt,
        "standard deviation": spread(guidance),
        "scores": {
            posterior: {name: mean_interval([row[name] for row in each]) for name in _NAMES}
            for posterior, each in rows.items()
        },
        "sample less mean": {name: mean_interval([b[name] - a[name] for a, b in pairs]) for name in _NAMES},
    }
    write_json(given.out, rounded(result, 5))


if __name__ == "__main__":
    main()
