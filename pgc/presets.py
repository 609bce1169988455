# SPDX-License-Identifier: Apache-2.0
"""Settings that go together, for each kind of prior. Whoever wants others replaces single fields."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from pgc.camera_sampling import SphereSamplerConfig
from pgc.distillation.hifa import HiFAConfig
from pgc.distillation.sds import SDSConfig
from pgc.distillation.timestep import AnnealedTimestepConfig
from pgc.errors import ConfigError
from pgc.guidance.specs import GuidanceSpec, OracleSpec, PocketSpec, SDXLSpec, StableDiffusionSpec
from pgc.optimize import OptimizeConfig
from pgc.texture.texel_pyramid import TexelPyramidConfig

__all__ = ["PRESETS", "PresetName", "RunSettings", "preset_settings", "with_overrides"]

PresetName = Literal["draft", "standard", "fine"]
PRESETS: tuple[PresetName, ...] = get_args(PresetName)

_STEP_SCALE: dict[PresetName, float] = {"draft": 0.5, "standard": 1.0, "fine": 2.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What decides a run's outcome beside the mesh, the prompt and the prior."""

    optimize: OptimizeConfig = field(default_factory=OptimizeConfig)
    texture: TexelPyramidConfig = field(default_factory=TexelPyramidConfig)
    """Its tiles and addressing are replaced by those that the mesh needs."""
    cameras: SphereSamplerConfig = field(default_factory=SphereSamplerConfig)


def _base_settings(spec: GuidanceSpec) -> RunSettings:
    match spec:
        case PocketSpec():
            # Noise that falls as the run goes on, and the residual in the image alone: a texture that pleases the
            # small encoder has wrong hues and speckle that its decoder would never paint.
            distillation = HiFAConfig(
                guidance_scale=7.0,
                timestep=AnnealedTimestepConfig(start=0.85, end=0.15, power=0.75),
                latent_weight=0.0,
                longest_stride=0.25,
            )
            # Several updates a step, since the mean of what disagreeing views want has no contrast; and an epsilon
            # of the size of small residuals, since Adam would make full steps of their noise.
            optimize = OptimizeConfig(
                steps=170,
                views=2,
                updates=3,
                resolution=128,
                learning_rate=0.05,
                final_learning_rate=0.3,
                betas=(0.7, 0.95),
                epsilon=0.03,
                distillation=distillation,
            )
            # 128 pixels are few: the mesh fills more of them than the paper's lenses give it; and the size at which a
            # pattern is drawn follows that of the mesh in the picture, so that it must not vary much.
            cameras = SphereSamplerConfig(focal=(1.35, 1.6))
            return RunSettings(optimize=optimize, texture=TexelPyramidConfig(texture_size=512), cameras=cameras)
        case OracleSpec():
            # The oracle is exact, so that any guidance scale gives the same.
            distillation = SDSConfig(guidance_scale=1.0)
            optimize = OptimizeConfig(steps=200, views=2, resolution=128, learning_rate=0.05, distillation=distillation)
            return RunSettings(optimize=optimize, texture=TexelPyramidConfig(texture_size=256))
        case StableDiffusionSpec():
            return RunSettings(optimize=OptimizeConfig(resolution=512), texture=TexelPyramidConfig(texture_size=1024))
        case SDXLSpec():
            return RunSettings(optimize=OptimizeConfig(resolution=1024), texture=TexelPyramidConfig(texture_size=2048))


def preset_settings(name: PresetName, spec: GuidanceSpec) -> RunSettings:
    """The settings of a preset for a prior: "draft" takes half the steps of "standard", "fine" twice as many."""
    settings = _base_settings(spec)
    steps = max(1, round(settings.optimize.steps * _STEP_SCALE[name]))
    return replace(settings, optimize=replace(settings.optimize, steps=steps))


def with_overrides(
    settings: RunSettings,
    *,
    steps: int | None = None,
    views: int | None = None,
    resolution: int | None = None,
    texture_size: int | None = None,
    seed: int | None = None,
) -> RunSettings:
    """The same settings with what is not None in place of the preset's.

    Raises:
        ConfigError: a value is out of range.
    """
    given = {"steps": steps, "views": views, "resolution": resolution, "seed": seed}
    optimize = replace(settings.optimize, **{name: value for name, value in given.items() if value is not None})
    if optimize.seed < 0:
        raise ConfigError(f"seed is {optimize.seed}; it must be 0 or more.")
    if texture_size is None:
        return replace(settings, optimize=optimize)
    texture = settings.texture
    # Small textures have no room for the preset's coarsest levels.
    texture = replace(
        texture,
        texture_size=texture_size,
        coarsest_size=min(texture.coarsest_size, texture_size),
        start_size=min(texture.start_size, texture_size),
    )
    return replace(settings, optimize=optimize, texture=texture)
