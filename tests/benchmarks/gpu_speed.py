# SPDX-License-Identifier: Apache-2.0
"""Steps a second and peak memory of the real loop with models of real size and random weights."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import torch
from gpu_whole_run import estimate_gb
from random_models import SizeName, random_guidance
from stored_scene import StoredRasterizer, StoredScene

from pgc.cameras.sampling import SphereCameraSampler, SphereSamplerConfig
from pgc.guidance.diffusion.latent_diffusion import LatentDiffusionConfig
from pgc.optimization.config import OptimizeConfig, Prompt
from pgc.optimization.loop import Optimization
from pgc.optimization.scene import Scene
from pgc.texture.texel_pyramid import TexelPyramid, TexelPyramidConfig

__all__ = ["step"]

_WARM_UP = 2


def step(
    scene: StoredScene, size: SizeName, precision: str, *, views: int, steps: int, device: torch.device
) -> dict[str, Any]:
    """Median seconds by stage over `steps` steps after two of warm-up, and the peak of allocated GPU memory."""
    dtype = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}[precision]
    start = time.perf_counter()
    stored = scene.gbuffer.face_index.shape[-1]
    guidance = random_guidance(size, device, dtype, LatentDiffusionConfig(sequential_guidance=views > 1))
    made = time.perf_counter() - start
    resolution = max(stored, guidance.image_size)
    texture = TexelPyramid(
        scene.triangles, TexelPyramidConfig(texture_size=64 if size == "tiny" else 1024), device=device
    )
    world = Scene(
        rasterizer=StoredRasterizer(scene, device),
        texture=texture,
        cameras=SphereCameraSampler(SphereSamplerConfig()),
    )
    config = OptimizeConfig(steps=_WARM_UP + steps, views=views, resolution=resolution)
    run = Optimization(world, guidance, Prompt(text="a red brick object"), config)
    if views > 1:
        run.encode_view_by_view()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds: list[dict[str, float]] = []
    finite = True
    for result in run.steps():
        seconds.append(dict(result.seconds))
        finite = finite and bool(torch.isfinite(result.image).all())
    if not finite:
        raise AssertionError("the texture is not finite")
    timed = seconds[_WARM_UP:]
    stages = {stage: median(row[stage] for row in timed) for stage in timed[0]}
    total = median(sum(row.values()) for row in timed)
    return {
        "image_size": guidance.image_size,
        "resolution": resolution,
        "initialisation_seconds": round(made, 3),
        "median_seconds": total,
        "steps_a_second": 1.0 / total,
        "views_a_second": views / total,
        "median_seconds_by_stage": stages,
        "outside_guidance_share": 1.0 - stages.get("guidance", 0.0) / sum(stages.values()),
        "estimated_gb": estimate_gb(size, views, view_by_view=views > 1, device=device),
        "peak_memory_gib": torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None,
    }
