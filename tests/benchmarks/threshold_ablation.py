# SPDX-License-Identifier: Apache-2.0
"""Pan et al., Figure 7: pictures under PGC at several thresholds; and what an encoder makes of a gradient's tail.

    python -m tests.benchmarks.threshold_ablation --out tests/benchmarks/results/threshold_ablation.json

Pictures: the playground's, by the built-in model under score distillation, for prompts of the tuning list and seeds.
Norms: of ∂L/∂x at a pixel where ∂L/∂z is white noise of the size that score distillation has at t = 500, before and
after clipping, for the built-in encoder, the oracle's ugly one, and an AutoencoderKL of Stable Diffusion's
configuration with random weights, which has its shape and none of its learning.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from pgc.distillation.sds import SDSConfig
from pgc.evaluation.cache import environment, rounded, write_json
from pgc.evaluation.measures.speckle import chroma_noise
from pgc.evaluation.measures.statistics import mean_interval
from pgc.gradient_regulation.pixelwise_clipping import PixelwiseClipping, PixelwiseClippingConfig
from pgc.guidance.base import Guidance
from pgc.guidance.oracle import ConvolutionEncoderConfig, OracleConfig, OracleGuidance
from pgc.guidance.specs import PocketSpec, load_guidance
from pgc.optimization.gradient_statistics import gradient_statistics
from pgc.playground.picture import FinishedPicture, PlaygroundConfig, optimize_picture
from pgc.playground.sheet import sheet_png
from pgc.whole_files import write_picture

THRESHOLDS = (0.01, 0.05, 0.1, 0.5, 1.0)
PROMPTS = ("red bricks", "blue checkered object")
_DRAWS = 2
_CPU = torch.device("cpu")
_ENCODERS = ("built-in", "oracle", "autoencoder-kl-256", "autoencoder-kl-512")


def pictures(
    teacher: Guidance, steps: int, seeds: int, say: Callable[[str], None]
) -> tuple[list[dict[str, Any]], Image.Image]:
    """Makes a picture by each threshold, prompt and seed; rows, and the sheet of the first seed of each prompt."""
    rows: list[dict[str, Any]] = []
    sheets: list[Image.Image] = []
    base = PlaygroundConfig(steps=steps, distillation=SDSConfig(guidance_scale=15.0))
    for prompt in PROMPTS:
        for seed in range(seeds):
            made: list[FinishedPicture] = []
            for threshold in THRESHOLDS:
                found = optimize_picture(teacher, prompt, "pgc-n", replace(base, threshold=threshold, seed=seed))
                made.append(found)
                rows.append(picture_row(found, prompt, seed, threshold))
                say(f"{prompt}, seed {seed}, c {threshold:g}: {rows[-1]}")
            if seed == 0:
                sheets.append(Image.open(io.BytesIO(sheet_png(made))).convert("RGB"))
    sheet = Image.new("RGB", (max(one.width for one in sheets), sum(one.height for one in sheets)), "white")
    for at, one in enumerate(sheets):
        sheet.paste(one, (0, sum(before.height for before in sheets[:at])))
    return rows, sheet


def picture_row(found: FinishedPicture, prompt: str, seed: int, threshold: float) -> dict[str, Any]:
    """Describes a picture in numbers."""
    assert found.statistics is not None
    return {
        "prompt": prompt,
        "seed": seed,
        "threshold": threshold,
        "speckle": float(chroma_noise(found.image)[0]),
        "contrast": float(found.image.std()),
        "clipped_fraction": found.statistics.clipped_fraction,
        "median_before": found.statistics.median_before,
        "tail_before": found.statistics.tail_before,
        "tail_after": found.statistics.tail_after,
    }


def means(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Sums the rows up by threshold."""
    names = ("speckle", "contrast", "clipped_fraction", "median_before", "tail_before")
    return {
        f"{threshold:g}": {
            name: mean_interval([row[name] for row in rows if row["threshold"] == threshold]) for name in names
        }
        for threshold in THRESHOLDS
    }


def norms(encode: Callable[[Tensor], Tensor], size: int, threshold: float = 0.1, draws: int = _DRAWS) -> dict[str, Any]:
    """Compares the norms before and after clipping, of smooth random pictures; a histogram beside, by powers of ten."""
    generator = torch.Generator().manual_seed(0)
    regulation = PixelwiseClipping(PixelwiseClippingConfig(threshold=threshold))
    found: list[tuple[Tensor, Tensor]] = []
    for _ in range(draws):
        small = torch.rand((1, 3, 8, 8), generator=generator)
        leaf = (
            torch.nn.functional.interpolate(small, size=(size, size), mode="bicubic").clamp(0, 1).requires_grad_(True)
        )
        latents = encode(leaf)
        # w(500) of the paper's weighting, as white as the difference of two noises is at first.
        wanted = 0.72 * torch.randn(latents.shape, generator=generator)
        (gradient,) = torch.autograd.grad(latents, leaf, grad_outputs=wanted)
        found.append((gradient, regulation.regulate(gradient, torch.ones_like(gradient[:, :1], dtype=torch.bool))))
    before, after = (torch.cat(parts) for parts in zip(*found, strict=True))
    everywhere = torch.ones_like(before[:, :1], dtype=torch.bool)
    known = gradient_statistics(before, after, everywhere, ~everywhere)
    lengths = before.norm(dim=1).flatten()
    largest = float(lengths.max())
    over = (lengths / known.median_before).clamp_min(1e-12).log10()
    edges = torch.arange(-3.0, 3.01, 0.5)
    shares = torch.histogram(over, edges).hist / len(over)
    return {
        "draws": draws,
        "histogram of log10(norm over median), steps of 0.5 from -3": [round(float(share), 6) for share in shares],
        "pixels": known.pixels,
        "threshold": threshold,
        "median": known.median_before,
        "p99.9": known.tail_before,
        "largest": largest,
        "p99.9 over median": known.tail_before / known.median_before,
        "largest over median": largest / known.median_before,
        "clipped_fraction": known.clipped_fraction,
        "p99.9 after": known.tail_after,
        "largest after": known.maximum_after,
    }


def encoder_named(name: str, teacher: Guidance) -> tuple[Callable[[Tensor], Tensor], int]:
    """Returns an encoder and the side of its pictures."""
    if name == "built-in":
        return teacher.encode_image, teacher.image_size
    if name == "oracle":
        oracle = OracleGuidance(OracleConfig(encoder=ConvolutionEncoderConfig(), image_size=128), _CPU)
        return oracle.encode_image, 128
    from pgc.guidance.diffusion.loading import AutoencoderKL

    torch.manual_seed(0)
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(128, 256, 512, 512),
        layers_per_block=2,
        latent_channels=4,
        sample_size=512,
    )
    vae.requires_grad_(False)
    return lambda image: vae.encode(2.0 * image - 1.0).latent_dist.mean * 0.18215, int(name.rpartition("-")[2])


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> None:
    """Runs the ablation and the norms."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    teacher = load_guidance(PocketSpec(), _CPU)
    encoders: dict[str, Any] = {}
    for name in _ENCODERS:
        # At its true size a draw takes minutes.
        encoders[name] = norms(*encoder_named(name, teacher), draws=1 if name.endswith("512") else _DRAWS)
        _say(f"{name}: {encoders[name]}")
    rows, sheet = pictures(teacher, given.steps, given.seeds, _say)
    write_picture(given.out.with_suffix(".webp"), sheet, quality=80)
    write_json(
        given.out,
        rounded(
            {
                "environment": environment(),
                "steps": given.steps,
                "n": len(rows) // len(THRESHOLDS),
                "thresholds": means(rows),
                "rows": rows,
                "encoders": encoders,
            },
            4,
        ),
    )


if __name__ == "__main__":
    main()
