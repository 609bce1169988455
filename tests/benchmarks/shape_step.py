# SPDX-License-Identifier: Apache-2.0
"""What a step of a shape run, and of a volume run, takes beside a step of a texture run.

    python -m tests.benchmarks.shape_step --out tests/benchmarks/results/shape_step.json [--quick]

All of them take turns in one process, under an oracle that costs next to nothing: what is left is drawing, shading,
going back and learning. Processor seconds are medians; memory is the most that torch's tensors hold in a step, counted
(the rasteriser's own is not). For Stable Diffusion XL the prior's part is added from what was counted of its networks
(`pgc.runs.memory.costs`).
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from pgc.mesh.data import PreparedMesh
from pgc.optimization.config import OptimizeConfig, Prompt
from pgc.optimization.distillation_loop import DistillationLoop
from pgc.optimization.loop import Optimization
from pgc.optimization.scene import Scene
from pgc.rendering.raster.rasterizer import RasterizerConfig
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.runs.memory.costs import cost_of
from pgc.runs.memory.plan import MemoryPlanner
from pgc.runs.memory.speeds import PEAKS, expected_seconds
from pgc.runs.settings.presets import preset_settings
from pgc.shape.geometry.dmtet import DMTetConfig
from pgc.shape.geometry.vertex_offsets import VertexOffsetsConfig
from pgc.shape.papers import SHAPE_PAPERS
from pgc.shape.prepared import geometry_of
from pgc.shape.rendering.moving_mesh import MovingMesh
from pgc.shape.rendering.renderer import RayRenderer
from pgc.shape.run.pictures import PictureKind
from pgc.shape.run.scene import ShapeScene
from pgc.shape.run.views import ShapeViews
from pgc.shape.settings import GeometryConfig
from pgc.texture.texel_pyramid import TexelPyramid, TexelPyramidConfig
from pgc.volume.views import KnownShape, VolumeScene, VolumeViews
from pgc.volume.volume import Volume, VolumeConfig
from tests.benchmarks.guidance_cost import count_flops
from tests.benchmarks.live_bytes import counted
from tests.benchmarks.shape import known_shape

__all__ = ["StepBenchmark", "by_count", "loops_of", "measured"]

_CPU = torch.device("cpu")
_WARM_UP = 2
_CARDS = ("RTX 3060", "RTX 4090")


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBenchmark:
    """What is run."""

    resolution: int = 512
    volume_resolution: int = 64
    """Stable-DreamFusion's: each of its pixels asks the field some hundred times."""
    texture_size: int = 1024
    cubes: int = 48
    steps: int = 12
    mesh: str = "trefoil"


def loops_of(benchmark: StepBenchmark) -> dict[str, DistillationLoop]:
    """Builds what takes turns: one view a step each."""
    prepared = prepare_mesh(evaluation_mesh(benchmark.mesh))
    shapes: dict[str, tuple[GeometryConfig, tuple[PictureKind, ...]]] = {
        "offsets, colours": (VertexOffsetsConfig(), ("rgb",)),
        "offsets, normals": (VertexOffsetsConfig(), ("normal",)),
        "offsets, both": (VertexOffsetsConfig(), ("normal", "rgb")),
        "dmtet, both": (DMTetConfig(cubes=benchmark.cubes), ("normal", "rgb")),
    }
    loops: dict[str, DistillationLoop] = {"texture": _texture(benchmark, prepared)}
    for name, (geometry, shown) in shapes.items():
        scene = ShapeScene(
            geometry=geometry_of(prepared.triangles, geometry, _CPU),
            renderer=RayRenderer("cpu"),
            cameras=SphereCameraSampler(SphereSamplerConfig()),
            shown=shown,
            reference=_known(),
        )
        config = _config(benchmark, benchmark.resolution)
        guidance = _oracle()
        loops[name] = DistillationLoop(ShapeViews(scene, guidance, Prompt(text=""), config), guidance, config)
    loops["volume"] = _volume(benchmark)
    return loops


def measured(benchmark: StepBenchmark) -> dict[str, dict[str, float]]:
    """Returns processor seconds and tensors' peak in MB of a step of each."""
    loops = loops_of(benchmark)
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(_WARM_UP + benchmark.steps):
        for name, loop in loops.items():
            begun = time.process_time()
            loop.advance()
            seconds[name].append(time.process_time() - begun)
    found: dict[str, dict[str, float]] = {}
    for name, loop in loops.items():
        with counted() as live:
            loop.advance()
        found[name] = {"processor_seconds": median(seconds[name][_WARM_UP:]), "tensors_mb": live.peak / 1e6}
    return found


def by_count() -> dict[str, dict[str, Any]]:
    """Returns what runs with Stable Diffusion XL ask of the prior, and how long that takes on two cards."""
    spec = SDXLSpec()
    flops, cost = count_flops("sdxl"), cost_of(spec)
    planner = MemoryPlanner(spec=spec, settings=preset_settings("standard", spec), device=torch.device("cuda", 0))
    runs = {"texture": (planner.settings.optimize, 1, True)}
    for name, paper in SHAPE_PAPERS.items():
        runs[name] = (paper.settings.optimize, len(paper.settings.shown), paper.depth)
    rows: dict[str, dict[str, Any]] = {}
    for name, (optimize, pictures, depth) in runs.items():
        row = (flops.unet + depth * flops.controlnet) / 1e12
        tflop = optimize.views * pictures * (2.0 * row + cost.encode_tflop + cost.backward_tflop)
        rows[name] = {
            "steps": optimize.steps,
            "views": optimize.views,
            "pictures": pictures,
            "tflop_a_step": tflop,
            "hours": {card: optimize.steps * expected_seconds(tflop, 0.0, PEAKS[card]) / 3600 for card in _CARDS},
        }
    rows["texture"]["planner_gb"] = planner.estimate_bytes(0) / 1e9
    return rows


def _texture(benchmark: StepBenchmark, prepared: PreparedMesh) -> Optimization:
    triangles = prepared.triangles

    def texels() -> TexelPyramid:
        field = TexelPyramid(triangles, TexelPyramidConfig(texture_size=benchmark.texture_size))
        field.set_progress(1.0)
        return field

    scene = Scene(
        rasterizer=WarpRasterizer(triangles, device=_CPU, config=RasterizerConfig(cache_bytes=0)),
        texture=texels(),
        cameras=SphereCameraSampler(SphereSamplerConfig()),
        reference=texels(),
    )
    return Optimization(scene, _oracle(), Prompt(text=""), _config(benchmark, benchmark.resolution))


def _volume(benchmark: StepBenchmark) -> DistillationLoop:
    axis = torch.linspace(-1.0, 1.0, 32)
    start = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij")).norm(dim=0) - 0.6
    scene = VolumeScene(
        volume=Volume(VolumeConfig(), start),
        cameras=SphereCameraSampler(SphereSamplerConfig()),
        known=KnownShape(mesh=_known(), renderer=RayRenderer("cpu")),
    )
    config, guidance = _config(benchmark, benchmark.volume_resolution), _oracle()
    return DistillationLoop(VolumeViews(scene, guidance, Prompt(text=""), config), guidance, config)


def _config(benchmark: StepBenchmark, resolution: int) -> OptimizeConfig:
    steps = _WARM_UP + benchmark.steps + 1
    return OptimizeConfig(steps=steps, views=1, resolution=resolution, coarse_to_fine=0.0, learning_rate=1e-3)


def _oracle() -> OracleGuidance:
    return OracleGuidance(OracleConfig(image_size=64), _CPU)


def _known() -> MovingMesh:
    known = known_shape("box")
    positions = torch.tensor(known.vertices, dtype=torch.float32)
    return MovingMesh(
        positions=positions, faces=torch.tensor(known.faces).long(), colors=torch.full_like(positions, 0.5)
    )


def main() -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="few steps of small pictures")
    given = parser.parse_args()
    benchmark = StepBenchmark()
    if given.quick:
        benchmark = replace(benchmark, resolution=128, texture_size=256, cubes=16, steps=3)
    result: Mapping[str, Any] = {
        "environment": {**environment(), "load_average": list(os.getloadavg())},
        "measured": measured(benchmark),
        "by_count": by_count(),
    }
    write_json(given.out, rounded(dict(result)))


if __name__ == "__main__":
    main()
