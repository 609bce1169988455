# SPDX-License-Identifier: Apache-2.0
"""Steps of a model of published size with random weights, on the CPU: shapes, dtypes, finite gradients, memory.

    python -m tests.benchmarks.true_size_step [--size sdxl] [--resolution 1024] [--loss sds] [--out FILE] [--quick]

One view, PGC on the whole gradient, a depth ControlNet, guidance in two passes. Weights are stored in bfloat16 and each
layer computes in float32. --quick takes the tiny model.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from pgc.cameras.sampling import SphereCameraSampler, SphereSamplerConfig
from pgc.evaluation.cache import environment, rounded, write_json
from pgc.evaluation.meshes import evaluation_mesh
from pgc.gradient_regulation.pixelwise_clipping import PixelwiseClippingConfig
from pgc.guidance.diffusion.latent_diffusion import LatentDiffusionConfig
from pgc.mesh import prepare_mesh
from pgc.optimization.config import OptimizeConfig, Prompt
from pgc.optimization.loop import Optimization
from pgc.optimization.scene import Scene
from pgc.rendering.raster.rasterizer import RasterizerConfig
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.texture.texel_pyramid import TexelPyramid, TexelPyramidConfig
from tests.benchmarks.random_models import MODEL_SIZES, RandomGuidance, SizeName, parameter_counts

__all__ = ["true_size_step"]

_CPU = torch.device("cpu")


def true_size_step(size: SizeName, resolution: int, steps: int = 1) -> dict[str, Any]:
    """Runs the real loop for so many steps; returns shapes, dtypes, what PGC did, and peak memory of the process.

    Raises:
        AssertionError: a gradient or the texture is not finite, or no texel learned anything.
    """
    triangles = prepare_mesh(evaluation_mesh("trefoil")).triangles
    config = LatentDiffusionConfig(image_size=resolution, sequential_guidance=True)
    guidance = RandomGuidance(size, _CPU, torch.float32, config, stored=torch.bfloat16)
    guidance.model.vae.enable_gradient_checkpointing()
    texture = TexelPyramid(triangles, TexelPyramidConfig(texture_size=512))
    before = {name: value.clone() for name, value in texture.state_dict().items()}
    scene = Scene(
        rasterizer=WarpRasterizer(triangles, device=_CPU, config=RasterizerConfig()),
        texture=texture,
        cameras=SphereCameraSampler(SphereSamplerConfig()),
    )
    loop = OptimizeConfig(
        steps=steps, views=1, resolution=resolution, coarse_to_fine=0.0, regulation=PixelwiseClippingConfig()
    )
    run = Optimization(scene, guidance, Prompt(text="a red brick object"), loop)
    rows: list[dict[str, Any]] = []
    picture = torch.zeros(0)
    start = time.process_time()
    for result in run.steps():
        if not bool(torch.isfinite(result.image).all()) or result.gradient.non_finite_pixels:
            raise AssertionError("the picture or its gradient is not finite")
        seconds = {stage: round(value, 1) for stage, value in result.seconds.items()}
        rows.append({"seconds": seconds, "timesteps": result.timesteps, "gradient": asdict(result.gradient)})
        picture = result.image
    if all(torch.equal(value, before[name]) for name, value in texture.state_dict().items()):
        raise AssertionError("no texel learned anything")
    with torch.no_grad():
        latents = guidance.encode_image(picture)
    return {
        "size": size,
        "picture": list(picture.shape),
        "latents": list(latents.shape),
        "latents_dtype": str(latents.dtype),
        "weights_stored_as": str(next(guidance.model.unet.parameters()).dtype),
        "parameters": parameter_counts(size),
        "steps": rows,
        "processor_seconds": round(time.process_time() - start, 1),
        "peak_memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=[*MODEL_SIZES], default="sdxl")
    parser.add_argument("--resolution", type=int, help="of the picture; default: the model's own")
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="the tiny model")
    parser.add_argument("--out", type=Path, help="result, JSON")
    given = parser.parse_args(arguments)
    size: SizeName = "tiny" if given.quick else given.size
    result = true_size_step(size, given.resolution or MODEL_SIZES[size].image_size, given.steps)
    report = rounded(
        {"environment": environment(), "torch": torch.__version__, "threads": torch.get_num_threads()} | result
    )
    if given.out is not None:
        write_json(given.out, report)
    sys.stdout.write(f"{report}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
