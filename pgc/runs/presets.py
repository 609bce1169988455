# SPDX-License-Identifier: Apache-2.0
"""Settings that go together, for each kind of prior. Whoever wants others replaces single fields."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from pgc.baking.occlusion import OcclusionConfig
from pgc.cameras.sampling import SphereSamplerConfig
from pgc.distillation.hifa import HiFAConfig
from pgc.distillation.sds import SDSConfig
from pgc.distillation.timestep import AnnealedTimestepConfig
from pgc.errors import ConfigError
from pgc.guidance.specs import GuidanceSpec, OracleSpec, PocketSpec, SDXLSpec, StableDiffusionSpec
from pgc.maps import MapName, complete_maps, need_light
from pgc.optimization.config import OptimizeConfig
from pgc.pocket import takes_shading, weights_folder
from pgc.runs.lit_settings import MaterialConfig
from pgc.texture.material_field import MaterialFieldConfig
from pgc.texture.priors import MaterialPriorConfig
from pgc.texture.texel_config import MapSettings
from pgc.texture.texel_pyramid import TexelPyramidConfig

__all__ = [
    "PRESETS",
    "PresetName",
    "RunSettings",
    "lit_prior",
    "preset_settings",
    "with_maps",
    "with_overrides",
    "with_separate_slots",
]

PresetName = Literal["draft", "standard", "fine"]
PRESETS: tuple[PresetName, ...] = get_args(PresetName)

_SLOT_WEIGHT = 0.02
"""Of one finish a slot: what the material suite uses (`pgc eval materials`, material ids)."""
_STEP_SCALE: dict[PresetName, float] = {"draft": 0.5, "standard": 1.0, "fine": 2.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What decides a run's outcome beside the mesh, the prompt and the prior."""

    optimize: OptimizeConfig = field(default_factory=OptimizeConfig)
    texture: TexelPyramidConfig = field(default_factory=TexelPyramidConfig)
    """Its tiles and addressing are replaced by those that the mesh needs."""
    cameras: SphereSamplerConfig = field(default_factory=SphereSamplerConfig)
    maps: tuple[MapName, ...] = ("base_color",)
    """What the run gives; see `pgc.maps.complete_maps`."""
    material: MaterialConfig | None = None
    """How maps are found that only light shows; None: there are none of them, and base colour is shown unlit."""
    occlusion: OcclusionConfig | None = None
    """How occlusion is computed, where it is wanted."""

    def __post_init__(self) -> None:
        if self.maps != complete_maps(self.maps):
            raise ConfigError(f"Got maps {self.maps}; expected {complete_maps(self.maps)}.")
        if (self.material is not None) != need_light(self.maps):
            raise ConfigError(f"Got maps {self.maps}, but the material's settings say otherwise; use with_maps.")
        if (self.occlusion is not None) != ("occlusion" in self.maps):
            raise ConfigError(f"Got maps {self.maps}, but occlusion's settings say otherwise; use with_maps.")


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


def with_maps(settings: RunSettings, spec: GuidanceSpec, wanted: Iterable[MapName]) -> RunSettings:
    """The same run for other maps, with a prior's settings for those that need light.

    Base colour alone leaves everything as it is; so does occlusion beside it, which is computed.
    """
    maps = complete_maps(wanted)
    occlusion = (settings.occlusion or OcclusionConfig()) if "occlusion" in maps else None
    if not need_light(maps):
        return replace(settings, maps=maps, material=None, occlusion=occlusion)
    material = settings.material or _base_material(spec)
    fields = replace(
        material.fields,
        with_metallic="metallic" in maps,
        with_normal="normal" in maps,
        texture=settings.texture,
    )
    return replace(
        settings,
        optimize=_lit_optimize(settings.optimize, spec),
        maps=maps,
        material=replace(material, fields=fields),
        occlusion=occlusion,
    )


def with_separate_slots(settings: RunSettings) -> RunSettings:
    """The same run for a mesh whose material slots are different materials.

    Seams between two slots stay open, and roughness and metallic are drawn together within a slot, where they nearly
    agree (`pgc.texture.region_prior`).
    """
    texture = settings.texture
    settings = replace(settings, texture=replace(texture, seams=replace(texture.seams, across_slots=False)))
    if settings.material is None:
        return settings
    material = settings.material
    fields = replace(material.fields, texture=settings.texture)
    priors = replace(material.priors, regions=_SLOT_WEIGHT)
    return replace(settings, material=replace(material, fields=fields, priors=priors))


def _is_told_the_light(spec: GuidanceSpec) -> bool:
    """Whether a prior's weights were trained to be; only the pocket prior's second edition was."""
    if not isinstance(spec, PocketSpec):
        return False
    return takes_shading(weights_folder() if spec.source is None else Path(spec.source))


def _base_material(spec: GuidanceSpec) -> MaterialConfig:
    if _is_told_the_light(spec):
        # What such a prior paints fits the light that it is told, and metal may go where the picture says: it starts
        # between the two and moves fast. Its noise is more than the oracle's, and so are the weights against it. And
        # its small decoder blunts highlights, which roughness would take for its own.
        fields = MaterialFieldConfig(
            roughness=MapSettings(initial=0.5, low=0.05, rate=1.5), metallic=MapSettings(initial=0.3, rate=2.0)
        )
        priors = MaterialPriorConfig(
            smoothness=0.05, roughness_smoothness=1.0, metallic_extremes=0.02, color_smoothness=0.002
        )
        return MaterialConfig(
            fields=fields,
            priors=priors,
            environments=("studio", "overcast", "sky"),
            drawn=0,
            baseline="reconstruction",
        )
    if not isinstance(spec, OracleSpec):
        # A prior that is not told the light explains whatever it wants to see by metal and relief, if these may go
        # anywhere: they move slowly, and are held together more. Coloured light it would paint against.
        fields = MaterialFieldConfig(
            roughness=MapSettings(initial=0.6, low=0.05, rate=0.4),
            metallic=MapSettings(initial=0.02, rate=0.1),
            slope=MapSettings(initial=0.5, rate=0.08),
        )
        priors = MaterialPriorConfig(
            smoothness=0.05, roughness_smoothness=1.0, metallic_extremes=0.02, color_smoothness=0.002
        )
        return MaterialConfig(fields=fields, priors=priors, environments=("studio", "overcast", "sky"), drawn=0)
    # Rates and weights of the material suite (`pgc eval materials`): metal has the longest way to go.
    priors = MaterialPriorConfig(
        smoothness=0.01, roughness_smoothness=2.0, metallic_extremes=0.01, color_smoothness=0.002
    )
    fields = MaterialFieldConfig(
        base_color=MapSettings(initial=0.5, low=0.02, rate=1.5),
        roughness=MapSettings(initial=0.5, low=0.05, rate=2.0),
        metallic=MapSettings(initial=0.3, rate=3.0),
    )
    return MaterialConfig(fields=fields, priors=priors)


def _lit_optimize(optimize: OptimizeConfig, spec: GuidanceSpec) -> OptimizeConfig:
    """Light changes from step to step, and what it shows of a texel with it."""
    if not isinstance(spec, OracleSpec):
        return optimize
    # Texels that few pixels see have gradients of little but noise, which a small epsilon makes whole steps of.
    return replace(optimize, epsilon=max(optimize.epsilon, 0.03), average_from=min(optimize.average_from, 0.5))


def lit_prior(spec: GuidanceSpec) -> GuidanceSpec:
    """The prior for lit pictures: the pocket prior is told that there is light, in the words of its training."""
    if isinstance(spec, PocketSpec) and spec.prompt_suffix == PocketSpec().prompt_suffix:
        return replace(spec, prompt_suffix=", soft lighting")
    return spec
