# SPDX-License-Identifier: Apache-2.0
"""A short run whose truth is a pattern in space: where one texel serves two places, it cannot be right in both."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pgc.cameras import Camera
from pgc.cameras.sampling import SphereCameraSampler, SphereSamplerConfig
from pgc.evaluation.views import fixed_views
from pgc.guidance.oracle import IdentityEncoderConfig, OracleConfig, OracleGuidance
from pgc.mesh import PreparedMesh
from pgc.optimization.config import OptimizeConfig, Prompt
from pgc.optimization.loop import Optimization
from pgc.optimization.scene import Scene
from pgc.rendering.raster.gbuffer import surface_points
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.surface import SurfacePoints
from pgc.texture.texel_config import TexelLayout
from pgc.texture.texel_pyramid import TexelPyramid, TexelPyramidConfig

__all__ = ["PatternField", "PatternRunConfig", "pattern_colors", "pattern_run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternRunConfig:
    """Settings of the run and of the pictures that it is judged by."""

    steps: int = 20
    views: int = 4
    resolution: int = 128
    texture_size: int = 256
    learning_rate: float = 0.05
    period: float = 0.8
    """Of the pattern, in units of the normalised mesh, whose longest side is 1.6."""
    seed: int = 5


def pattern_colors(position: Tensor, period: float) -> Tensor:
    """Colours [B, 3, H, W] in [0.1, 0.9] of positions [B, 3, H, W]: a wave along each of three slanted axes, so that
    neither mirror images nor shifted copies look the same."""
    axes = torch.tensor([[1.0, 0.31, 0.17], [-0.23, 1.0, 0.37], [0.29, -0.19, 1.0]], device=position.device)
    phase = torch.einsum("kc,bchw->bkhw", axes, position) * (2.0 * torch.pi / period)
    offset = torch.tensor([0.4, 1.9, 3.1], device=position.device).reshape(1, 3, 1, 1)
    return 0.5 + 0.4 * torch.sin(phase + offset)


@dataclass(frozen=True, slots=True)
class PatternField:
    """The pattern as a material that nothing can change."""

    period: float

    @property
    def channels(self) -> Mapping[str, int]:
        """Base colour alone."""
        return {"base_color": 3}

    def sample(self, points: SurfacePoints) -> dict[str, Tensor]:
        """The pattern's colours, zeros off the mask."""
        return {"base_color": pattern_colors(points.position, self.period) * points.mask}


def pattern_run(mesh: PreparedMesh, config: PatternRunConfig) -> dict[str, Any]:
    """Recovers the pattern and measures what came of it in six views that the run did not choose.

    Returns:
        The mean absolute difference of a colour channel over all visible pixels ("error"), its 95th percentile over
        pixels ("error_95"), the part of the charts' texels that no camera saw, and the run's seconds.
    """
    start = time.perf_counter()
    device = torch.device("cpu")
    rasterizer = WarpRasterizer(mesh.triangles, device=device)
    texels = TexelPyramidConfig(texture_size=config.texture_size)
    layout = TexelLayout(tiles=mesh.report.tiles, repeat=mesh.report.needs_repeat)
    truth = PatternField(config.period)
    scene = Scene(
        rasterizer=rasterizer,
        texture=TexelPyramid(mesh.triangles, texels, layout=layout),
        cameras=SphereCameraSampler(SphereSamplerConfig()),
        reference=truth,
    )
    oracle = OracleGuidance(OracleConfig(image_size=config.resolution, encoder=IdentityEncoderConfig()), device)
    settings = OptimizeConfig(
        steps=config.steps,
        views=config.views,
        resolution=config.resolution,
        seed=config.seed,
        learning_rate=config.learning_rate,
    )
    for _ in Optimization(scene, oracle, Prompt(text=""), settings).steps():
        pass
    baked = scene.texture.bake()
    result = TexelPyramid(mesh.triangles, texels, baked, layout=layout)
    result.set_progress(1.0)
    error = _errors(rasterizer, result, truth, fixed_views(), config.resolution * 3 // 2)
    return {
        "error": float(error.mean()),
        "error_95": float(torch.quantile(error[:: max(1, len(error) // 100_000)], 0.95)),
        "uncovered": baked.uncovered_fraction,
        "seconds": time.perf_counter() - start,
    }


def _errors(
    rasterizer: WarpRasterizer, result: TexelPyramid, truth: PatternField, cameras: list[Camera], size: int
) -> Tensor:
    """Of every visible pixel, the mean difference of its channels."""
    errors = []
    for camera in cameras:
        points = surface_points(rasterizer.render([camera], (size, size)))
        with torch.no_grad():
            difference = (result.sample(points)["base_color"] - truth.sample(points)["base_color"]).abs().mean(dim=1)
        errors.append(difference[points.mask[:, 0]])
    return torch.cat(errors)
