# SPDX-License-Identifier: Apache-2.0
"""`pgc eval materials`: known materials, recovered from a prior that knows how they look under a light.

The oracle (pgc.guidance.oracle) scores a render against that of the known material, lit as the render is ("known"), or
by another light at random ("unknown", and "explained" where the run looks for that light), or as the paper has it
("paper": no metal, one sky that never turns). What comes back is compared texel by texel, and under environments that
no run has seen.
"""

from __future__ import annotations

import functools
import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from pgc.cameras import Camera
from pgc.cameras.sampling import SphereCameraSampler, SphereSamplerConfig
from pgc.distillation.sds import SDSConfig
from pgc.distillation.timestep import UniformTimestepConfig
from pgc.evaluation.materials.config import LightSetting, MaterialCase, MaterialSuiteConfig
from pgc.evaluation.materials.truth import SuiteMaterial, bake_truth, suite_mesh
from pgc.guidance.oracle import OracleConfig, OracleGuidance
from pgc.lighting.environments import EnvironmentLighting, LightingConfig
from pgc.mesh import TriangleMesh
from pgc.optimization.config import OptimizeConfig, Prompt
from pgc.optimization.loop import Optimization
from pgc.optimization.scene import Scene
from pgc.randomness import numpy_generator_for
from pgc.rendering.environment import colored_key, overcast, random_environment, sky, studio
from pgc.rendering.pbr_shading import pbr_shade
from pgc.rendering.prefilter import PrefilteredEnvironment, prefilter
from pgc.rendering.raster.rasterizer import Rasterizer, RasterizerConfig
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.texture.field import BakedTexture
from pgc.texture.finished_texture import FinishedTexture
from pgc.texture.finishing.seams import SeamConfig
from pgc.texture.material_field import MaterialField
from pgc.texture.penalties import MaterialPenalties
from pgc.texture.texel_config import TexelPyramidConfig

__all__ = [
    "MaterialWorld",
    "PooledCameras",
    "held_out_environments",
    "recover",
    "shared_worlds",
    "training_environments",
]

_FOCAL = (1.1, 1.5)
"""In picture heights: of few pixels the mesh should fill most of them."""


class PooledCameras:
    """Cameras drawn once, over the whole sphere; a step takes some of them, so that their G-buffers are kept."""

    def __init__(self, pool: int, seed: int) -> None:
        sampler = SphereCameraSampler(SphereSamplerConfig(focal=_FOCAL))
        self.cameras = sampler.sample(pool, numpy_generator_for(seed, 0, "camera pool"))

    def sample(self, count: int, generator: np.random.Generator) -> list[Camera]:
        """Draws as `CameraSampler.sample` says; no camera twice in a step, while there are enough."""
        chosen = generator.choice(len(self.cameras), size=count, replace=count > len(self.cameras))
        return [self.cameras[int(index)] for index in chosen]


@functools.cache
def training_environments() -> tuple[PrefilteredEnvironment, ...]:
    """Makes what runs are lit by: the four named environments and four drawn ones; the sky comes first."""
    drawn = [random_environment(torch.Generator().manual_seed(1000 + index)) for index in range(4)]
    return tuple(prefilter(one) for one in (sky(), studio(), overcast(), colored_key(), *drawn))


@functools.cache
def held_out_environments(count: int, seed: int) -> tuple[PrefilteredEnvironment, ...]:
    """Makes what no run is lit by; drawn from a seed of their own."""
    generators = [torch.Generator().manual_seed(500_000 + 1000 * seed + index) for index in range(count)]
    return tuple(prefilter(random_environment(generator)) for generator in generators)


@functools.lru_cache(maxsize=1)
def _mesh_world(mesh: int) -> tuple[str, TriangleMesh, Rasterizer]:
    """A mesh with its rasteriser, whose kept G-buffers all materials on the mesh share."""
    name, triangles = suite_mesh(mesh)
    config = RasterizerConfig(cache_bytes=256 << 20)
    return name, triangles, WarpRasterizer(triangles, device=torch.device("cpu"), config=config)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MaterialWorld:
    """A mesh with a known material, ready for runs."""

    config: MaterialSuiteConfig
    mesh_name: str
    triangles: TriangleMesh
    truth: BakedTexture
    rasterizer: Rasterizer

    @staticmethod
    def build(config: MaterialSuiteConfig, mesh: int, material: SuiteMaterial) -> MaterialWorld:
        """Builds the world that all cases of a mesh and a material share."""
        name, triangles, rasterizer = _mesh_world(mesh)
        return MaterialWorld(
            config=config,
            mesh_name=name,
            triangles=triangles,
            truth=bake_truth(triangles, material, config.texture_size, config.seed),
            rasterizer=rasterizer,
        )

    def optimization(self, case: MaterialCase) -> Optimization:
        """Sets up a fresh run of a case."""
        config, device = self.config, torch.device("cpu")
        texture = TexelPyramidConfig(
            texture_size=config.texture_size,
            start_size=min(TexelPyramidConfig().start_size, config.texture_size),
            seams=SeamConfig(across_slots=not case.ids),
        )
        maps = replace(config.maps, with_metallic=case.light != "paper")
        material = MaterialField(self.triangles, maps, texture)
        priors = replace(config.priors, regions=config.region_weight if case.ids else 0.0)
        scene = Scene(
            rasterizer=self.rasterizer,
            texture=material,
            cameras=PooledCameras(config.camera_pool, config.seed),
            shade=pbr_shade,
            lighting=_lighting(case.light, config.exposure_offset),
            penalty=None if priors.is_off else MaterialPenalties(material, self.triangles, priors),
            reference=FinishedTexture(self.truth),
        )
        oracle = OracleConfig(image_size=config.resolution, noise=config.noise if case.noise else None)
        # One timestep: the oracle is exact at all of them, and they differ by a factor on the gradient alone.
        distillation = SDSConfig(guidance_scale=1.0, timestep=UniformTimestepConfig(minimum=0.3, maximum=0.3))
        optimize = OptimizeConfig(
            steps=config.steps,
            views=config.views,
            resolution=config.resolution,
            seed=config.seed,
            learning_rate=config.learning_rate,
            final_learning_rate=config.final_learning_rate,
            betas=config.betas,
            epsilon=config.epsilon,
            average_from=config.average_from,
            distillation=distillation,
            regulation=config.regulation,
            explained_light=config.explained_light if case.light == "explained" else None,
        )
        return Optimization(scene, OracleGuidance(oracle, device), Prompt(text=""), optimize)


def _lighting(light: LightSetting, offset: float) -> EnvironmentLighting:
    environments = training_environments()
    match light:
        case "known":
            return EnvironmentLighting(environments, LightingConfig(offset=offset))
        case "unknown" | "explained":
            return EnvironmentLighting(environments, LightingConfig(offset=offset, reference="unknown"))
        case "paper":
            return EnvironmentLighting(environments[:1], LightingConfig(rotate=False, exposure=0.0, offset=offset))


def recover(world: MaterialWorld, case: MaterialCase) -> tuple[BakedTexture, dict[str, Any]]:
    """Takes one run to its end; returns its finished texture, and what it took."""
    start = time.perf_counter()
    run = world.optimization(case)
    last = math.nan
    for result in run.steps():
        if result.gradient is not None:
            last = result.gradient.median_after
    return run.scene.texture.bake(), {"seconds": time.perf_counter() - start, "gradient_median": last}


def shared_worlds(
    config: MaterialSuiteConfig, chosen: Sequence[MaterialCase]
) -> Iterator[tuple[Callable[[], MaterialWorld], MaterialCase]]:
    """Yields every case with a way to its world, which is built when first asked for and shared by cases that can."""
    for key, group in itertools.groupby(chosen, key=lambda case: (case.mesh, case.material)):
        build = functools.cache(functools.partial(MaterialWorld.build, config, *key))
        for case in group:
            yield build, case
