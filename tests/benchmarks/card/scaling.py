# SPDX-License-Identifier: Apache-2.0
"""How a step grows with pixels, views, texels and triangles, and by which law.

    python -m tests.benchmarks.card.scaling --out tests/benchmarks/results/scaling.json [--quick]

Everything but the prior, which is an oracle that costs next to nothing: drawing, fetching, going back, learning. One
size changes at a time, and all of its sizes take turns. Processor seconds are medians. The law is a + b·n^p with a ≥ 0
and b ≥ 0, by least squares of relative errors.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from pgc.cameras.sampling import SphereCameraSampler, SphereSamplerConfig
from pgc.evaluation.cache import environment, rounded, write_json
from pgc.guidance.oracle import OracleConfig, OracleGuidance
from pgc.optimization.config import OptimizeConfig, Prompt
from pgc.optimization.loop import Optimization
from pgc.optimization.scene import Scene
from pgc.rendering.raster.rasterizer import RasterizerConfig
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.texture.texel_pyramid import TexelPyramid, TexelPyramidConfig
from tests.benchmarks.rasterizer_benchmark import bumpy_torus

__all__ = ["AXES", "Law", "Size", "fitted_law", "loop_of", "measured"]

_CPU = torch.device("cpu")
_WARM_UP = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Of one run."""

    resolution: int = 256
    views: int = 1
    texture: int = 1024
    triangles: int = 5_000


AXES: dict[str, tuple[int, ...]] = {
    "resolution": (128, 256, 512, 1024),
    "views": (1, 2, 4, 8),
    "texture": (512, 1024, 2048, 4096),
    "triangles": (2_000, 20_000, 200_000, 2_000_000),
}
"""What changes, and to which sizes."""
_QUICK: dict[str, tuple[int, ...]] = {
    "resolution": (32, 64, 128),
    "views": (1, 2, 4),
    "texture": (64, 128, 256),
    "triangles": (200, 2_000, 8_000),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """seconds = fixed + factor·n^power; `error` is the largest relative one at a measured size."""

    fixed: float
    factor: float
    power: float
    error: float


def fitted_law(sizes: Sequence[float], seconds: Sequence[float]) -> Law:
    """Fits the law to three sizes or more. Seconds are above 0."""
    n, t = np.asarray(sizes, dtype=float), np.asarray(seconds, dtype=float)
    best: tuple[float, Law] | None = None
    for power in np.arange(0.0, 2.51, 0.05):
        column = (n / n.max()) ** power
        # Weighted by 1 / t, so that small sizes count as much as large ones; each alone where one would be below 0.
        for columns in (np.stack([np.ones_like(column), column], 1), np.stack([0.0 * column, column], 1)):
            found, *_ = np.linalg.lstsq(columns / t[:, None], np.ones_like(t), rcond=None)
            fixed, factor = float(found[0]), float(found[1])
            if fixed < 0.0 or factor < 0.0:
                continue
            errors = (fixed + factor * column) / t - 1.0
            law = Law(
                fixed=fixed, factor=factor / n.max() ** power, power=float(power), error=float(np.abs(errors).max())
            )
            if best is None or float((errors**2).sum()) < best[0] - 1e-12:
                best = float((errors**2).sum()), law
    assert best is not None
    return best[1]


def loop_of(size: Size, steps: int) -> Optimization:
    """Builds the run of this size."""
    across = max(3, round((size.triangles / 4) ** 0.5))
    triangles = bumpy_torus(2 * across, across)
    field = TexelPyramid(triangles, TexelPyramidConfig(texture_size=size.texture))
    field.set_progress(1.0)
    scene = Scene(
        rasterizer=WarpRasterizer(triangles, device=_CPU, config=RasterizerConfig(cache_bytes=0)),
        texture=field,
        cameras=SphereCameraSampler(SphereSamplerConfig()),
        reference=TexelPyramid(triangles, TexelPyramidConfig(texture_size=64)),
    )
    config = OptimizeConfig(steps=steps, views=size.views, resolution=size.resolution, coarse_to_fine=0.0)
    guidance = OracleGuidance(OracleConfig(image_size=32), _CPU)
    return Optimization(scene, guidance, Prompt(text=""), config)


def measured(axis: str, sizes: Sequence[int], base: Size, steps: int) -> dict[str, Any]:
    """Returns what this axis' sizes take: building, and a step; and the step's law."""
    built, loops = list[float](), list[Optimization]()
    for size in sizes:
        begun = time.process_time()
        loops.append(loop_of(replace(base, **{axis: size}), _WARM_UP + steps))
        built.append(time.process_time() - begun)
    seconds: list[list[float]] = [[] for _ in sizes]
    for _ in range(_WARM_UP + steps):
        for loop, taken in zip(loops, seconds, strict=True):
            begun = time.process_time()
            loop.advance()
            taken.append(time.process_time() - begun)
    step = [median(taken[_WARM_UP:]) for taken in seconds]
    law = fitted_law([float(size) for size in sizes], step)
    return {
        "sizes": list(sizes),
        "build_s": built,
        "step_s": step,
        "law": {"fixed_s": law.fixed, "factor": law.factor, "power": law.power, "error": law.error},
    }


def main() -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="small sizes, few steps")
    given = parser.parse_args()
    axes = _QUICK if given.quick else AXES
    base = Size(resolution=64, texture=128, triangles=500) if given.quick else Size()
    found = {axis: measured(axis, sizes, base, 2 if given.quick else 3) for axis, sizes in axes.items()}
    about = {**environment(), "threads": torch.get_num_threads(), "load_average": list(os.getloadavg())}
    write_json(given.out, rounded({"environment": about, "axes": found}, 5))


if __name__ == "__main__":
    main()
