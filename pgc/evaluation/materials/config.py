# SPDX-License-Identifier: Apache-2.0
"""What `pgc eval materials` runs: settings of the suite, and the list of its cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from pgc.errors import ConfigError
from pgc.evaluation.materials.truth import SUITE_MATERIALS, SUITE_MESHES, SuiteMaterial
from pgc.gradient_regulation.build import RegulationConfig
from pgc.gradient_regulation.unregulated import UnregulatedConfig
from pgc.guidance.oracle import OracleNoise
from pgc.lighting.explained.explaining import ExplainedLightConfig
from pgc.lighting.explained.prior import LightPriorConfig
from pgc.rendering.environment import MEAN_RADIANCE
from pgc.texture.material_field import MaterialFieldConfig
from pgc.texture.penalties import MaterialPriorConfig
from pgc.texture.texel_config import MapSettings

__all__ = ["LIGHT_SETTINGS", "LightSetting", "MaterialCase", "MaterialSuiteConfig", "cases"]

LightSetting = Literal["known", "unknown", "paper", "explained"]
"""Explained: unknown, with the light of what the oracle wants found step by step (`pgc.lighting.explained`)."""
LIGHT_SETTINGS: tuple[LightSetting, ...] = get_args(LightSetting)

_EXPOSURE_OFFSET = 0.7
_QUICK_MESHES = (0, 1, 3, 5, 6, 7)
"""Teapot, trefoil and blossom, a lathe, a tube and a prism: one of each kind but the lumps."""


def _suite_maps() -> MaterialFieldConfig:
    """Rates by a search on worlds of other seeds: metal has the longest way to go, relief hurts most when noisy."""
    return MaterialFieldConfig(
        base_color=MapSettings(initial=0.5, low=0.02, rate=1.5),
        roughness=MapSettings(initial=0.5, low=0.05, rate=2.0),
        metallic=MapSettings(initial=0.3, rate=4.0),
        slope=MapSettings(initial=0.5, rate=0.25),
    )


def _suite_priors() -> MaterialPriorConfig:
    """Little of each: with so many views a step the guide's noise is small, and priors blur where metal ends."""
    return MaterialPriorConfig(
        smoothness=0.002, roughness_smoothness=2.0, metallic_extremes=0.003, color_smoothness=0.0005
    )


def _suite_explained_light() -> ExplainedLightConfig:
    """Light as bright as the suite's pictures are; the rest by a search on worlds of another seed."""
    return ExplainedLightConfig(prior=LightPriorConfig(degree=4, brightness=MEAN_RADIANCE * 2.0**_EXPOSURE_OFFSET))


@dataclass(frozen=True, slots=True, kw_only=True)
class MaterialSuiteConfig:
    """What is recovered, how, and what it is judged by.

    Attributes:
        meshes: indices into the suite's meshes; materials: which of them on each mesh.
        environments: held-out ones to relight under; relight_views: views for each of them.
        relight_resolution: side of those pictures, in pixels.
        seed: draws the materials' colours and patterns, the runs, and the held-out environments. All settings were
            chosen on others.
        views: many and small, since the oracle's disturbance is the same over a whole picture and another in the next.
        steps, resolution, texture_size, learning_rate, final_learning_rate, betas, average_from: of the runs,
            as in `OptimizeConfig`.
        epsilon: Adam's. Far above the usual, since texels that few pixels see have gradients of little but noise,
            which Adam would otherwise blow up to whole steps: single texels of wild colours were the result.
        exposure_offset: stops by which the pictures of the runs are brighter than those that relighting is judged by.
        camera_pool: number of views that a run draws from; their G-buffers are kept.
        noise: of the oracle; None for an exact one.
        maps: their ranges and rates.
        priors: weights without material ids; region_weight: of the material ids, where a case has them.
        regulation: of the gradient.
        explained_light: how the light is found where it is explained; no other run depends on it.
    """

    meshes: tuple[int, ...] = tuple(range(SUITE_MESHES))
    materials: tuple[SuiteMaterial, ...] = SUITE_MATERIALS
    environments: int = 8
    relight_views: int = 32
    relight_resolution: int = 64
    seed: int = 2026
    steps: int = 240
    views: int = 32
    resolution: int = 48
    texture_size: int = 64
    camera_pool: int = 160
    exposure_offset: float = _EXPOSURE_OFFSET
    learning_rate: float = 0.025
    final_learning_rate: float = 0.1
    betas: tuple[float, float] = (0.9, 0.99)
    epsilon: float = 0.03
    average_from: float = 0.5
    noise: OracleNoise | None = field(default_factory=OracleNoise)
    maps: MaterialFieldConfig = field(default_factory=_suite_maps)
    priors: MaterialPriorConfig = field(default_factory=_suite_priors)
    region_weight: float = 0.02
    regulation: RegulationConfig = field(default_factory=UnregulatedConfig)
    explained_light: ExplainedLightConfig = field(default_factory=_suite_explained_light)

    def __post_init__(self) -> None:
        if not self.meshes or not self.materials:
            raise ConfigError("The material suite needs at least one mesh and one material.")
        if not all(0 <= index < SUITE_MESHES for index in self.meshes):
            raise ConfigError(f"Got meshes {self.meshes}; the suite has numbers 0 to {SUITE_MESHES - 1}.")
        if min(self.environments, self.relight_views, self.relight_resolution) < 1:
            raise ConfigError("Relighting needs at least one environment, one view and one pixel.")

    @staticmethod
    def quick() -> MaterialSuiteConfig:
        """Returns six meshes and four materials, relit from eight views under each held-out environment."""
        return MaterialSuiteConfig(meshes=_QUICK_MESHES, materials=SUITE_MATERIALS[:4], relight_views=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaterialCase:
    """One run of the suite: a mesh, its material and its light."""

    mesh: int
    material: SuiteMaterial
    light: LightSetting
    noise: bool = True
    ids: bool = False
    """Whether the mesh's material slots are taken for materials: texels of one are to agree, and seams between two are
    left open. Smoothness ends at slots either way, which on two worlds of another seed made no difference
    (`materials-ablations.json`)."""

    @property
    def setting(self) -> str:
        """What is compared between runs on the same world."""
        return f"{self.light}{'' if self.noise else ', clean'}{', ids' if self.ids else ''}"

    @property
    def name(self) -> str:
        """The case's name in files and reports."""
        return f"{self.mesh:02d}-{self.material}-{self.setting.replace(', ', '-')}"


def cases(
    config: MaterialSuiteConfig, settings: Sequence[LightSetting], *, ids: bool = True, worlds: int | None = None
) -> list[MaterialCase]:
    """Lists all runs: every light setting with noise, and with `ids` the known light again with material slots.

    `worlds`: only the first so many pairs of a mesh and a material.

    Settings come one after another, each over all worlds in the same order, in which meshes and materials take turns:
    however many runs there was time for, they are spread evenly, and settings compare on the same worlds.
    """
    kinds = len(config.materials)
    chosen: list[tuple[int, SuiteMaterial]] = [
        (mesh, config.materials[(place + turn) % kinds])
        for turn in range(kinds)
        for place, mesh in enumerate(config.meshes)
    ]
    wanted: list[tuple[LightSetting, bool]] = []
    for light in settings:
        wanted.append((light, False))
        if ids and light == "known":
            wanted.append((light, True))
    return [
        MaterialCase(mesh=mesh, material=material, light=light, ids=given)
        for light, given in wanted
        for mesh, material in chosen[:worlds]
    ]
