# SPDX-License-Identifier: Apache-2.0
"""How near a ball comes to known shapes, under an oracle that knows their normals and colours.

    python -m tests.benchmarks.shape --work out/shape --out out/shape.json [--quick] [--pictures FOLDER]

Both geometries, without noise and under heavy-tailed noise on the oracle's answer, with pixel-wise clipping and
without, three seeds. Distances are in units of a mesh of extent 1.6. Finished runs are kept in `--work`, and the same
command goes on; seeds are the outermost loop, so that an unfinished list is whole for the first of them.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from jaxtyping import Float, Int
from scipy.spatial import KDTree
from torch import Tensor

from pgc.cameras.sampling import SphereCameraSampler, SphereSamplerConfig
from pgc.distillation.sds import SDSConfig
from pgc.evaluation.cache import ResultCache, environment, write_json
from pgc.gradient_regulation.build import RegulationConfig
from pgc.gradient_regulation.pixelwise_clipping import PixelwiseClippingConfig
from pgc.gradient_regulation.unregulated import UnregulatedConfig
from pgc.guidance.base import Conditions, NoisePrediction
from pgc.guidance.oracle import OracleConfig, OracleGuidance
from pgc.images.maps import encode_png
from pgc.optimization.config import OptimizeConfig, Prompt
from pgc.optimization.distillation_loop import DistillationLoop
from pgc.shape.geometry.base import Geometry
from pgc.shape.geometry.dmtet import DMTet, DMTetConfig
from pgc.shape.geometry.vertex_offsets import VertexOffsets, VertexOffsetsConfig
from pgc.shape.outcome import shape_sheet
from pgc.shape.rendering.moving_mesh import MovingMesh
from pgc.shape.rendering.renderer import RayRenderer
from pgc.shape.run.scene import ShapeScene
from pgc.shape.run.views import ShapeViews
from pgc.whole_files import write_bytes

__all__ = [
    "CONDITIONS",
    "SHAPES",
    "ShapeBenchmark",
    "TailedOracle",
    "differences",
    "known_mesh",
    "known_shape",
    "run_one",
]

SHAPES = ("box", "torus", "bumps", "vase", "dumbbell")
GEOMETRIES = ("offsets", "dmtet")
CONDITIONS: dict[str, tuple[float, RegulationConfig]] = {
    "no noise, clipped": (0.0, PixelwiseClippingConfig(threshold=0.1)),
    "noise, clipped": (0.1, PixelwiseClippingConfig(threshold=0.1)),
    "noise, not clipped": (0.1, UnregulatedConfig()),
}
"""Scale of the noise (half its absolute values are smaller), and what regulates."""
_SAMPLES = 10_000
_RADIUS = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapeBenchmark:
    """What is run."""

    steps: int = 60
    views: int = 2
    resolution: int = 96
    seeds: int = 3
    subdivisions: int = 3
    """Of the ball whose vertices are moved."""
    cubes: int = 20


class TailedOracle(OracleGuidance):
    """The oracle with Cauchy noise on what it says: no variance, so that single pixels shout now and then."""

    def __init__(self, size: int, scale: float) -> None:
        super().__init__(OracleConfig(image_size=size), torch.device("cpu"))
        self.scale = scale

    def predict_noise(
        self, noisy_latents: Float[Tensor, "b k m n"], timestep: Int[Tensor, " b"], conditions: Conditions
    ) -> NoisePrediction:
        """Predicts as the oracle, and adds noise that the step's generator draws."""
        told = super().predict_noise(noisy_latents, timestep, conditions)
        uniform = torch.rand(told.cond.shape, generator=conditions.generator)
        added = self.scale * torch.tan(torch.pi * (uniform - 0.5))
        return NoisePrediction(cond=told.cond + added, uncond=told.uncond + added)


def known_shape(name: str) -> trimesh.Trimesh:
    """Makes one of the shapes that the oracle knows."""
    if name == "box":
        made = trimesh.creation.box((0.9, 0.7, 1.2)).subdivide().subdivide()
    elif name == "torus":
        made = trimesh.creation.torus(0.5, 0.24, major_sections=40, minor_sections=16)
    elif name == "bumps":
        made = _pushed(lambda p: 1.0 + 0.2 * np.sin(6 * p[:, 0]) * np.cos(7 * p[:, 1]) + 0.15 * np.sin(8 * p[:, 2]))
    elif name == "dumbbell":
        made = _pushed(lambda p: 0.55 + 0.65 * (p[:, 2] / _RADIUS) ** 2)
    else:
        outline = [(0, -0.7), (0.3, -0.7), (0.42, -0.4), (0.45, -0.1), (0.25, 0.3), (0.18, 0.5), (0.32, 0.7), (0, 0.6)]
        made = trimesh.creation.revolve(np.array(outline), sections=40)
    return trimesh.Trimesh(made.vertices, made.faces)


def _pushed(factor: Any) -> trimesh.Trimesh:
    made = trimesh.creation.icosphere(subdivisions=3, radius=_RADIUS)
    points = np.array(made.vertices)
    return trimesh.Trimesh(points * factor(points)[:, None], made.faces)


def differences(found: trimesh.Trimesh, known: trimesh.Trimesh) -> dict[str, float]:
    """Measures the Chamfer distance (mean of both ways) and the angle between normals at nearest points, degrees."""
    sampled = [trimesh.sample.sample_surface(mesh, _SAMPLES, seed=seed) for seed, mesh in enumerate((found, known))]
    points = [np.asarray(one[0]) for one in sampled]
    normals = [mesh.face_normals[one[1]] for mesh, one in zip((found, known), sampled, strict=True)]
    distances, angles = [], []
    for here, there in ((0, 1), (1, 0)):
        distance, nearest = KDTree(points[there]).query(points[here])
        cosine = (normals[here] * normals[there][nearest]).sum(axis=1)
        distances.append(distance.mean())
        angles.append(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))).mean())
    return {"chamfer": float(np.mean(distances)), "normal_angle": float(np.mean(angles))}


def run_one(
    benchmark: ShapeBenchmark, shape: str, geometry: str, condition: str, seed: int
) -> tuple[dict[str, Any], ShapeScene]:
    """Runs one case; returns its scores and what it ended as."""
    known = known_shape(shape)
    scale, regulation = CONDITIONS[condition]
    scene = ShapeScene(
        geometry=_begun(geometry, benchmark),
        renderer=RayRenderer("cpu"),
        cameras=SphereCameraSampler(SphereSamplerConfig(focal=(0.9, 0.9), distance=(2.4, 2.4))),
        shown=("normal", "rgb"),
        reference=known_mesh(known),
    )
    config = OptimizeConfig(
        steps=benchmark.steps,
        views=benchmark.views,
        resolution=benchmark.resolution,
        seed=seed,
        learning_rate=0.02,
        epsilon=1e-8,
        distillation=SDSConfig(guidance_scale=1.0),
        regulation=regulation,
    )
    guidance = TailedOracle(benchmark.resolution, scale)
    loop = DistillationLoop(ShapeViews(scene, guidance, Prompt(text=""), config), guidance, config)
    before, began = differences(_drawn(scene.geometry), known), time.process_time()
    for _ in loop.steps():
        pass
    seconds = time.process_time() - began
    row = {
        "shape": shape,
        "geometry": geometry,
        "condition": condition,
        "seed": seed,
        "before": before,
        "after": differences(_drawn(scene.geometry), known),
        "processor_seconds_a_step": seconds / benchmark.steps,
        "clipped_fraction": loop.regulation_summary()["clipped_fraction"],
    }
    return row, scene


def _begun(geometry: str, benchmark: ShapeBenchmark) -> Geometry:
    if geometry == "dmtet":
        config = DMTetConfig(cubes=benchmark.cubes)
        grid = DMTet.grid_of(config)
        return DMTet(grid, grid.positions.norm(dim=1) - _RADIUS, config)
    ball = trimesh.creation.icosphere(subdivisions=benchmark.subdivisions, radius=_RADIUS)
    return VertexOffsets(
        torch.tensor(ball.vertices, dtype=torch.float32), torch.tensor(ball.faces).long(), VertexOffsetsConfig()
    )


def known_mesh(known: trimesh.Trimesh) -> MovingMesh:
    """Returns a shape with the colours that the oracle knows of it."""
    positions = torch.tensor(known.vertices, dtype=torch.float32)
    # Colours that a place decides, so that pictures of colour tell places apart.
    return MovingMesh(
        positions=positions, faces=torch.tensor(known.faces).long(), colors=(0.5 + 0.5 * positions).clamp(0.0, 1.0)
    )


@torch.no_grad()
def _drawn(geometry: Geometry) -> trimesh.Trimesh:
    mesh = geometry.mesh()
    return trimesh.Trimesh(mesh.positions.numpy().astype(np.float64), mesh.faces.numpy(), process=False)


def main() -> None:
    """Runs what is missing, and writes the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=Path, help="folder for a picture of each case of the first seed")
    parser.add_argument("--quick", action="store_true", help="one shape and seed, few steps")
    given = parser.parse_args()
    benchmark = ShapeBenchmark()
    shapes = SHAPES
    if given.quick:
        benchmark, shapes = replace(benchmark, steps=20, seeds=1), SHAPES[:1]
    cases = [
        (shape, geometry, condition, seed)
        for seed in range(benchmark.seeds)
        for shape in shapes
        for geometry in GEOMETRIES
        for condition in CONDITIONS
    ]
    sys.stderr.write(
        f"{len(cases)} runs of {benchmark.steps} steps at {benchmark.resolution}² pixels: about "
        f"{len(cases) * benchmark.steps * 0.15 / 60:.0f} processor minutes.\n"
    )
    configuration = {"format": 1, **asdict(benchmark)}
    cache = ResultCache(given.work, configuration)
    rows: list[dict[str, Any]] = []
    for shape, geometry, condition, seed in cases:
        part = f"{shape}-{geometry}-{condition.replace(', ', '-').replace(' ', '-')}-{seed}"
        row = cache.get(part)
        if row is None:
            row, scene = run_one(benchmark, shape, geometry, condition, seed)
            cache.put(part, row)
            if given.pictures is not None and seed == 0:
                write_bytes(given.pictures / f"{part}.png", encode_png(shape_sheet(scene)))
        rows.append(row)
        write_json(given.out, {"environment": environment(), "configuration": configuration, "rows": rows})


if __name__ == "__main__":
    main()
