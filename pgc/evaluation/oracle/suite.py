# SPDX-License-Identifier: Apache-2.0
"""`pgc eval oracle`: what the path from texel to gradient loses when the prior itself is perfect.

The guidance's score is that of a known material's render (see pgc.guidance.oracle), so the right texture is known
texel by texel. Runs differ in the encoder (identity, or a random convolution with an ugly derivative), in the
oracle's noise, and in gradient clipping.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from pgc.cameras.sampling import SphereCameraSampler, SphereSamplerConfig
from pgc.errors import ConfigError
from pgc.evaluation.ground_truth import bake_material, chart_mask, field_of_texture, material_of
from pgc.evaluation.measures.scores import maximum_difference, psnr_by_mip, sha256_of_maps
from pgc.evaluation.measures.seams import seam_ratios
from pgc.evaluation.meshes import EvaluationMeshName, evaluation_mesh
from pgc.gradient_regulation.pixelwise_clipping import PixelwiseClippingConfig
from pgc.gradient_regulation.unregulated import UnregulatedConfig
from pgc.guidance.oracle import (
    ConvolutionEncoderConfig,
    IdentityEncoderConfig,
    OracleConfig,
    OracleGuidance,
    OracleNoise,
)
from pgc.mesh import TriangleMesh, prepare_mesh
from pgc.optimization.config import OptimizeConfig, Prompt
from pgc.optimization.loop import Optimization
from pgc.optimization.scene import Scene
from pgc.pocket.data.materials import ColorName, MaterialName
from pgc.rendering.raster.rasterizer import RasterizerConfig
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.runs.checkpoint import load_checkpoint, save_checkpoint
from pgc.texture.field import BakedTexture
from pgc.texture.texel_pyramid import TexelPyramid, TexelPyramidConfig

__all__ = ["OracleCase", "OracleSuiteConfig", "OracleWorld", "cases", "lock_and_resume", "run_case", "shared_worlds"]

Encoder = Literal["identity", "convolution"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleSuiteConfig:
    """The grid of runs and the settings of each."""

    meshes: tuple[EvaluationMeshName, ...] = ("trefoil", "star", "blossom")
    materials: tuple[tuple[ColorName, MaterialName], ...] = (("red", "brick"), ("blue", "checker"), ("green", "marble"))
    steps: int = 300
    views: int = 2
    resolution: int = 256
    texture_size: int = 256
    learning_rate: float = 0.05
    seed: int = 11

    def __post_init__(self) -> None:
        if not self.meshes or not self.materials:
            raise ConfigError("The oracle suite needs at least one mesh and one material.")
        if self.steps < 4:
            raise ConfigError(
                f"The oracle suite's runs have {self.steps} steps; it stops and resumes, so give 4 or more."
            )

    @staticmethod
    def quick() -> OracleSuiteConfig:
        """Returns a slice of a few minutes on one core: one mesh, one material, shorter runs."""
        return OracleSuiteConfig(meshes=("trefoil",), materials=(("red", "brick"),), steps=120)


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleCase:
    """One run of the suite: a mesh, its material, the oracle's encoder and noise, and whether gradients are clipped."""

    mesh: EvaluationMeshName
    color: ColorName
    material: MaterialName
    encoder: Encoder
    noise: bool
    clipping: bool

    @property
    def name(self) -> str:
        """The case's name in files and reports."""
        noise = "noise" if self.noise else "clean"
        clipping = "pgc" if self.clipping else "plain"
        return f"{self.mesh}-{self.color}-{self.material}-{self.encoder}-{noise}-{clipping}"


def cases(config: OracleSuiteConfig) -> tuple[OracleCase, ...]:
    """Returns the full grid, meshes outermost."""
    encoders: tuple[Encoder, ...] = ("identity", "convolution")
    return tuple(
        OracleCase(mesh=mesh, color=color, material=material, encoder=encoder, noise=noise, clipping=clipping)
        for mesh in config.meshes
        for color, material in config.materials
        for encoder in encoders
        for noise in (False, True)
        for clipping in (True, False)
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OracleWorld:
    """A mesh with a known material, ready for runs."""

    config: OracleSuiteConfig
    triangles: TriangleMesh
    truth: BakedTexture

    @staticmethod
    def build(config: OracleSuiteConfig, case: OracleCase) -> OracleWorld:
        """Builds the world of a case; cases that share mesh and material share it."""
        triangles = prepare_mesh(evaluation_mesh(case.mesh)).triangles
        params = material_of(case.color, case.material, config.seed)
        return OracleWorld(
            config=config, triangles=triangles, truth=bake_material(triangles, params, config.texture_size)
        )

    def optimization(
        self, case: OracleCase, *, initial: BakedTexture | None = None, lock_mask: torch.Tensor | None = None
    ) -> Optimization:
        """Sets up a fresh run of a case."""
        config, device = self.config, torch.device("cpu")
        texture = TexelPyramid(
            self.triangles,
            TexelPyramidConfig(texture_size=config.texture_size),
            initial=initial,
            lock_mask=None if lock_mask is None else [lock_mask],
        )
        scene = Scene(
            rasterizer=WarpRasterizer(self.triangles, device=device, config=RasterizerConfig()),
            texture=texture,
            cameras=SphereCameraSampler(SphereSamplerConfig()),
            reference=field_of_texture(self.triangles, self.truth),
        )
        encoder = IdentityEncoderConfig() if case.encoder == "identity" else ConvolutionEncoderConfig()
        oracle = OracleConfig(
            image_size=config.resolution, encoder=encoder, noise=OracleNoise() if case.noise else None
        )
        optimize = OptimizeConfig(
            steps=config.steps,
            views=config.views,
            resolution=config.resolution,
            seed=config.seed,
            learning_rate=config.learning_rate,
            regulation=PixelwiseClippingConfig() if case.clipping else UnregulatedConfig(),
        )
        return Optimization(scene, OracleGuidance(oracle, device), Prompt(text=""), optimize)


def run_case(world: OracleWorld, case: OracleCase) -> dict[str, Any]:
    """Takes one run to its end and returns its scores: PSNR (dB) a mip over charts, seam ratio a mip beside the
    truth's, uncovered texels."""
    start = time.perf_counter()
    run = world.optimization(case)
    medians, maxima = [], []
    for gradient in [result.gradient for result in run.steps()]:
        if gradient is not None:
            medians.append(gradient.median_after)
            maxima.append(gradient.maximum_after)
    texture = run.scene.texture.bake()
    image, truth = texture.maps["base_color"][0], world.truth.maps["base_color"][0]
    mask = chart_mask(world.triangles, world.config.texture_size)
    return {
        "case": asdict(case),
        "psnr": psnr_by_mip(image, truth, mask),
        "seam_ratio": [seams.ratio for seams in seam_ratios(world.triangles, texture)],
        "seam_ratio_truth": [seams.ratio for seams in seam_ratios(world.triangles, world.truth)],
        "uncovered_fraction": texture.uncovered_fraction,
        "gradient_median": sorted(medians)[len(medians) // 2],
        "gradient_maximum": max(maxima),
        "seconds": time.perf_counter() - start,
    }


def lock_and_resume(world: OracleWorld, case: OracleCase, folder: Path) -> dict[str, Any]:
    """Makes a run from an initial texture with a locked stripe, whole, and again stopped half-way and resumed from
    disk.

    Returns:
        The largest difference of a locked texel's channel (must be 0), that of the free ones (must not be), and
        the SHA-256 of both runs' maps (must be equal).
    """
    world = replace(world, config=replace(world.config, steps=max(4, world.config.steps // 4)))
    size = world.config.texture_size
    initial = BakedTexture(maps={"base_color": [torch.rand(3, size, size, generator=torch.Generator().manual_seed(5))]})
    lock_mask = torch.zeros(size, size, dtype=torch.bool)
    lock_mask[:, size // 3 : 2 * size // 3] = True
    whole = world.optimization(case, initial=initial, lock_mask=lock_mask)
    _advance(whole, world.config.steps)
    texture = whole.scene.texture.bake()
    stopped = world.optimization(case, initial=initial, lock_mask=lock_mask)
    _advance(stopped, world.config.steps // 2)
    save_checkpoint(folder / "stopped.safetensors", *stopped.state_dict())
    resumed = world.optimization(case, initial=initial, lock_mask=lock_mask)
    resumed.load_state_dict(*load_checkpoint(folder / "stopped.safetensors"))
    _advance(resumed, world.config.steps)
    (folder / "stopped.safetensors").unlink()
    image = texture.maps["base_color"][0]
    free = chart_mask(world.triangles, size) & ~lock_mask
    return {
        "locked_difference": maximum_difference(image, initial.maps["base_color"][0], lock_mask),
        "free_difference": maximum_difference(image, initial.maps["base_color"][0], free),
        "sha256_uninterrupted": sha256_of_maps(texture.maps),
        "sha256_resumed": sha256_of_maps(resumed.scene.texture.bake().maps),
        "steps": world.config.steps,
    }


def _advance(run: Optimization, until: int) -> None:
    while run.step < until:
        run.advance()


def shared_worlds(
    config: OracleSuiteConfig, chosen: Sequence[OracleCase]
) -> Iterator[tuple[Callable[[], OracleWorld], OracleCase]]:
    """Yields every case with a way to its world, which is built when first asked for and shared by cases that can."""
    for _, group in itertools.groupby(chosen, key=lambda case: (case.mesh, case.color, case.material)):
        members = list(group)
        build = functools.cache(functools.partial(OracleWorld.build, config, members[0]))
        for case in members:
            yield build, case
