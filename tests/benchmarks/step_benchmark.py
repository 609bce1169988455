# SPDX-License-Identifier: Apache-2.0
"""Where the time of a step goes: rasterise, fetch, shade, guidance, backward, other.

    python tests/benchmarks/step_benchmark.py [--prior pocket|random] [--out FILE] [--quick]

Two questions, on the CPU. With the pocket prior, which part of a step is not guidance? (Budget: 25 %, at the settings
that its runs have, spread over a run from the strongest noise to the weakest; beside it a plain step of score
distillation with one call of the denoiser, which no run with this prior makes.) With a prior
of SDXL's size, whose step would take minutes here: the rest is measured at 1024 pixels, and the guidance's time is
its counted FLOPs over the rate that this machine reaches on large convolutions, the kindest rate to the guidance
and so the harshest to the rest. (Budget: 10 %.)
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from random_models import random_guidance

from pgc.cameras.sampling import SphereCameraSampler, SphereSamplerConfig
from pgc.evaluation.cache import environment, write_json
from pgc.evaluation.meshes import evaluation_mesh
from pgc.guidance.base import Guidance
from pgc.guidance.oracle import OracleConfig, OracleGuidance
from pgc.guidance.specs import PocketSpec, load_guidance
from pgc.mesh import prepare_mesh
from pgc.optimization.config import OptimizeConfig, Prompt
from pgc.optimization.loop import Optimization
from pgc.optimization.scene import Scene
from pgc.rendering.raster.rasterizer import RasterizerConfig
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.runs.settings.presets import preset_settings
from pgc.texture.texel_pyramid import TexelPyramid, TexelPyramidConfig
from tests.benchmarks.guidance_cost import count_flops

CPU = torch.device("cpu")
POCKET_BUDGET, SDXL_BUDGET = 0.25, 0.10
_WARM_UP = 2


def calibration(repeats: int) -> float:
    """FLOP/s of this machine, now, on a convolution like those of a UNet: the median of `repeats`."""
    x, weight = torch.randn(1, 320, 64, 64), torch.randn(320, 320, 3, 3)
    flops = 2.0 * 320 * 320 * 9 * 64 * 64
    rates = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        torch.nn.functional.conv2d(x, weight, padding=1)
        rates.append(flops / (time.perf_counter() - start))
    return median(rates[1:])


def timed_steps(guidance: Guidance, optimize: OptimizeConfig, *, texture_size: int, steps: int) -> dict[str, Any]:
    """Median seconds a stage over `steps` steps after two of warm-up, with fresh cameras in every step."""
    triangles = prepare_mesh(evaluation_mesh("trefoil")).triangles
    scene = Scene(
        rasterizer=WarpRasterizer(triangles, device=CPU, config=RasterizerConfig()),
        texture=TexelPyramid(triangles, TexelPyramidConfig(texture_size=texture_size)),
        cameras=SphereCameraSampler(SphereSamplerConfig()),
        reference=_reference(triangles, texture_size) if guidance.name == "oracle" else None,
    )
    config = replace(optimize, steps=_WARM_UP + steps)
    run = Optimization(scene, guidance, Prompt(text="a red brick object"), config)
    rows = [dict(result.seconds) for result in run.steps()][_WARM_UP:]
    stages = {stage: median(row[stage] for row in rows) for stage in rows[0]}
    totals = [sum(row.values()) for row in rows]
    shares = [1.0 - row["guidance"] / total for row, total in zip(rows, totals, strict=True)]
    return {
        "resolution": config.resolution,
        "views": config.views,
        "updates": config.updates,
        "texture_size": texture_size,
        "steps": steps,
        "median_seconds": median(totals),
        "median_seconds_by_stage": stages,
        "median_share_outside_guidance": median(shares),
        "share_of_all_time_outside_guidance": 1.0 - sum(row["guidance"] for row in rows) / sum(totals),
        "shares_outside_guidance": [round(share, 4) for share in shares],
    }


def _reference(triangles: Any, size: int) -> TexelPyramid:
    field = TexelPyramid(triangles, TexelPyramidConfig(texture_size=size))
    field.set_progress(1.0)
    return field


def load_prior(choice: str) -> Guidance:
    """The pocket prior, or random weights of about its size where they are asked for."""
    if choice == "random":
        return random_guidance("pocket", CPU, torch.float32)
    return load_guidance(PocketSpec(), CPU)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write the result, and say whether both budgets hold (exit code 1 where one does not)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--prior", choices=("pocket", "random"), default="pocket")
    parser.add_argument("--out", type=Path, default=Path("out/benchmarks/step.json"))
    parser.add_argument("--quick", action="store_true", help="5 steps of each instead of 15")
    options = parser.parse_args(arguments)
    steps = 5 if options.quick else 15
    before = calibration(5)
    prior = load_prior(options.prior)
    # All levels live from the start: the dearest steps of a run.
    plain = OptimizeConfig(views=2, resolution=prior.image_size, coarse_to_fine=0.0)
    pocket = timed_steps(prior, preset_settings("standard", PocketSpec()).optimize, texture_size=512, steps=2 * steps)
    single = timed_steps(prior, plain, texture_size=512, steps=steps)
    rest = timed_steps(
        OracleGuidance(OracleConfig(image_size=64), CPU),
        OptimizeConfig(views=1, resolution=1024, coarse_to_fine=0.0),
        texture_size=1024,
        steps=max(5, steps // 3),
    )
    after = calibration(5)
    cost = count_flops("sdxl")
    rate = max(before, after)
    outside = sum(value for stage, value in rest["median_seconds_by_stage"].items() if stage != "guidance")
    guidance_seconds = cost.step / rate
    sdxl_share = outside / (outside + guidance_seconds)
    pocket_share = pocket["median_share_outside_guidance"]
    result = {
        "environment": {**environment(), "load_average": list(os.getloadavg())},
        "calibration_gflops": {"before": before / 1e9, "after": after / 1e9},
        "prior": prior.name,
        "pocket": {**pocket, "budget": POCKET_BUDGET, "within_budget": pocket_share <= POCKET_BUDGET},
        "pocket_plain_step": single,
        "sdxl": {
            "measured_outside_guidance": rest,
            "guidance_flops": {**asdict(cost), "step": cost.step},
            "guidance_seconds_at_calibrated_rate": guidance_seconds,
            "share_outside_guidance": sdxl_share,
            "budget": SDXL_BUDGET,
            "within_budget": sdxl_share <= SDXL_BUDGET,
        },
    }
    write_json(options.out, result)
    sys.stdout.write(
        f"{prior.name}: {pocket_share:.1%} of a step is not guidance (budget {POCKET_BUDGET:.0%}), "
        f"{pocket['median_seconds']:.3f} s a step\n"
        f"SDXL size: {sdxl_share:.1%} (budget {SDXL_BUDGET:.0%}): {outside:.3f} s beside "
        f"{cost.step / 1e12:.1f} TFLOP at {rate / 1e9:.0f} GFLOP/s\n{options.out}\n"
    )
    return 0 if pocket_share <= POCKET_BUDGET and sdxl_share <= SDXL_BUDGET else 1


if __name__ == "__main__":
    sys.exit(main())
