# SPDX-License-Identifier: Apache-2.0
"""A run that is ready to take steps: what a request here and a job on a server have in common."""

from __future__ import annotations

from dataclasses import dataclass

from pgc.cameras.sampling import CameraSampler
from pgc.guidance.base import Guidance
from pgc.mesh import PreparedMesh
from pgc.optimization.config import Prompt
from pgc.optimization.loop import Optimization
from pgc.rendering.raster.rasterizer import Rasterizer
from pgc.runs.memory.plan import MemoryPlan
from pgc.runs.scene_building import SourceTextures, bake_maps, build_scene, with_alpha_of, with_kept_occlusion
from pgc.runs.settings.presets import RunSettings
from pgc.texture.field import BakedTexture

__all__ = ["PreparedRun", "start_optimization"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreparedRun:
    """Takes steps by its `optimization`, and gives the maps that its settings name."""

    prompt: Prompt
    settings: RunSettings
    """As they run, which may be less than was asked for."""
    mesh: PreparedMesh
    guidance: Guidance
    optimization: Optimization
    sources: SourceTextures
    memory_plan: MemoryPlan
    warnings: tuple[str, ...]
    """Plain sentences for the person who asked."""
    unknown_words: tuple[str, ...]

    def bake(self) -> BakedTexture:
        """Bakes the wanted maps as they are now: filled, padded, without seams."""
        done = bake_maps(self.optimization.scene, self.mesh, self.settings)
        return with_alpha_of(with_kept_occlusion(done, self.sources), self.sources.initial)


def start_optimization(
    mesh: PreparedMesh,
    prompt: Prompt,
    settings: RunSettings,
    guidance: Guidance,
    *,
    sources: SourceTextures | None = None,
    rasterizer: Rasterizer | None = None,
    cameras: CameraSampler | None = None,
) -> Optimization:
    """Sets up a run on a mesh at hand, with a prior that is loaded already; on the prior's device.

    `cameras`: views of the normalised mesh; by default those of the settings.

    Raises:
        PgcError: the textures do not fit the mesh or the settings.
    """
    scene = build_scene(
        mesh, settings, sources or SourceTextures(), guidance.device, rasterizer=rasterizer, cameras=cameras
    )
    return Optimization(scene, guidance, prompt, settings.optimize)
