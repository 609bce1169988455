# SPDX-License-Identifier: Apache-2.0
"""The official recipe's work beside ours: counted for the prior, timed for the rest.

    python -m tests.benchmarks.card.compare_pgc3d --out tests/benchmarks/results/compare_pgc3d.json [--quick]

The official command for a given mesh (SDXL with a depth ControlNet, 4 views a step over two cards, a hash grid for a
texture) and our standard with the same model, with a warm start and without. Of the prior, floating-point operations
are counted at the published sizes. What is outside of it (drawing, the field, going back, learning) takes turns in one
process on the CPU under an oracle, in processor seconds a step. Its own code was not run: this is its recipe in ours.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch

from pgc.cameras.sampling import SphereCameraSampler, SphereSamplerConfig
from pgc.evaluation.cache import environment, rounded, write_json
from pgc.evaluation.meshes import evaluation_mesh
from pgc.guidance.oracle import OracleConfig, OracleGuidance
from pgc.guidance.specs import SDXLSpec
from pgc.mesh import prepare_mesh
from pgc.optimization.config import OptimizeConfig, Prompt
from pgc.optimization.loop import Optimization
from pgc.optimization.scene import Scene
from pgc.rendering.raster.rasterizer import RasterizerConfig
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.runs.memory.costs import cost_of
from pgc.runs.memory.speeds import PEAKS, expected_seconds
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.papers import PAPERS
from pgc.runs.settings.presets import resolve
from pgc.texture.hash_grid import HashGridTexture, HashGridTextureConfig
from pgc.texture.texel_pyramid import TexelPyramid, TexelPyramidConfig

__all__ = ["by_count", "timed_fields"]

_CPU = torch.device("cpu")
_CARDS = ("RTX 3060", "RTX 4090")
_WARM_UP = 1


def by_count() -> dict[str, dict[str, Any]]:
    """Returns the prior's work of a whole texture, PFLOP, and hours at half of two cards' peak."""
    cost = cost_of(SDXLSpec())
    assert cost.row_tflop is not None
    view = 2.0 * cost.row_tflop + cost.encode_tflop + cost.backward_tflop
    rows: dict[str, dict[str, Any]] = {}
    for name in ("pgc/paper", "pgc3d/sdxl-depth"):
        choices = PAPERS[name].choices
        assert choices.steps is not None
        assert choices.views is not None
        rows[name] = _row(choices.steps, choices.views, choices.steps * choices.views * view)
    for name, warm in (("standard", None), ("standard, from gray", False)):
        _, settings = resolve(RunChoices(warm_start=warm), SDXLSpec())
        optimize = settings.optimize
        # A warm start asks without a gradient; the share of a step says how much of all work it is.
        whole = optimize.steps / (1.0 - optimize.share_done(optimize.warm_steps))
        rows[name] = _row(optimize.steps, optimize.views, whole * optimize.views * view)
    return rows


def _row(steps: int, views: int, tflop: float) -> dict[str, Any]:
    hours = {card: expected_seconds(tflop, 0.0, PEAKS[card]) / 3600.0 for card in _CARDS}
    return {"steps": steps, "views": views, "pflop": tflop / 1000.0, "hours": hours}


def timed_fields(resolution: int, texture: int, steps: int) -> dict[str, float]:
    """Returns processor seconds a step outside of the prior, one view, for the official field and for texels."""
    triangles = prepare_mesh(evaluation_mesh("trefoil")).triangles
    texels = TexelPyramid(triangles, TexelPyramidConfig(texture_size=texture))
    texels.set_progress(1.0)
    fields = {
        "hash grid": HashGridTexture(triangles, HashGridTextureConfig(texture_size=texture)),
        "texels": texels,
    }
    loops = dict[str, Optimization]()
    for name, field in fields.items():
        scene = Scene(
            rasterizer=WarpRasterizer(triangles, device=_CPU, config=RasterizerConfig(cache_bytes=0)),
            texture=field,
            cameras=SphereCameraSampler(SphereSamplerConfig()),
            reference=TexelPyramid(triangles, TexelPyramidConfig(texture_size=64)),
        )
        config = OptimizeConfig(steps=_WARM_UP + steps, views=1, resolution=resolution, coarse_to_fine=0.0)
        guidance = OracleGuidance(OracleConfig(image_size=32), _CPU)
        loops[name] = Optimization(scene, guidance, Prompt(text=""), config)
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(_WARM_UP + steps):
        for name, loop in loops.items():
            begun = time.process_time()
            loop.advance()
            seconds[name].append(time.process_time() - begun)
    return {name: median(taken[_WARM_UP:]) for name, taken in seconds.items()}


def main() -> None:
    """Counts, measures and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="small pictures, few steps")
    given = parser.parse_args()
    resolution, texture, steps = (64, 128, 2) if given.quick else (512, 2048, 3)
    result = {
        "environment": {**environment(), "threads": torch.get_num_threads(), "load_average": list(os.getloadavg())},
        "by_count": by_count(),
        "step_outside_the_prior_s": {
            "resolution": resolution,
            "texture": texture,
            **timed_fields(resolution, texture, steps),
        },
    }
    write_json(given.out, rounded(result, 5))


if __name__ == "__main__":
    main()
