# SPDX-License-Identifier: Apache-2.0
"""Settings that go together, for each kind of prior; and from what a person chose to all that a run needs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pgc.baking.occlusion import OcclusionConfig
from pgc.cameras.named import CamerasConfig, cameras_named
from pgc.cameras.sampling import SphereSamplerConfig
from pgc.distillation.hifa import HiFAConfig
from pgc.distillation.rfds import RFDSConfig
from pgc.distillation.sds import SDSConfig
from pgc.distillation.timestep import AnnealedTimestepConfig
from pgc.errors import ConfigError
from pgc.gradient_regulation.pixelwise_clipping import PixelwiseClippingConfig
from pgc.guidance.specs import FlowSpec, GuidanceSpec, OracleSpec, PocketSpec, SDXLSpec, StableDiffusionSpec
from pgc.maps import MapName, complete_maps, need_light
from pgc.optimization.config import OptimizeConfig
from pgc.runs.settings.added import with_added
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.controls import check_light, with_controls
from pgc.runs.settings.lit import MaterialConfig, base_material, lit_optimize, lit_prior, with_found_light
from pgc.runs.settings.method import chosen_method
from pgc.runs.settings.offers import PRESETS, PresetName
from pgc.runs.settings.papers import SDXL_STEPS, expanded_choices
from pgc.runs.settings.warm import starts_warm, steps_from_texture, warm_material, warm_optimize
from pgc.texture.hash_grid import HashGridTextureConfig
from pgc.texture.texel_config import TexelPyramidConfig

__all__ = [
    "RunSettings",
    "explicit_choices",
    "preset_settings",
    "resolve",
    "with_hash_grid",
    "with_maps",
    "with_mask",
    "with_overrides",
    "with_separate_slots",
]

_SLOT_WEIGHT = 0.02
"""Of one finish a slot: what the material suite uses (`pgc eval materials`, material ids)."""
STEP_SCALE: dict[PresetName, float] = {"draft": 0.5, "standard": 1.0, "fine": 2.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """What decides a run's outcome beside the mesh, the prompt and the prior."""

    optimize: OptimizeConfig = field(default_factory=OptimizeConfig)
    texture: TexelPyramidConfig = field(default_factory=TexelPyramidConfig)
    cameras: CamerasConfig = field(default_factory=SphereSamplerConfig)
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


def resolve(choices: RunChoices, spec: GuidanceSpec) -> tuple[GuidanceSpec, RunSettings]:
    """Makes the prior and the settings of a run from what was chosen: the one way to them, wherever that was.

    Args:
        choices: what a person chose.
        spec: the prior that was named.

    Raises:
        ConfigError: a value is out of range.
    """
    choices = expanded_choices(choices)
    maps = complete_maps(choices.maps or ("base_color",))
    prior = with_added(with_controls(lit_prior(spec) if need_light(maps) else spec, choices), choices)
    preset: PresetName = choices.preset if choices.preset in PRESETS else "standard"
    settings = with_overrides(
        preset_settings(preset, spec),
        steps=choices.steps,
        views=choices.views,
        resolution=choices.resolution,
        texture_size=choices.texture_size,
        seed=choices.seed,
    )
    if choices.texture_field == "hashgrid":
        settings = with_hash_grid(settings, maps)
    if choices.rig is not None:
        settings = replace(settings, cameras=cameras_named(choices.rig, settings.cameras))
    if choices.strength is not None and choices.steps is None:
        steps = steps_from_texture(settings.optimize.steps, spec, choices, STEP_SCALE[preset])
        settings = with_overrides(settings, steps=steps)
    cold = optimize = chosen_method(choices, settings.optimize)
    if starts_warm(choices, spec):
        optimize = warm_optimize(cold, spec, choices, settings.cameras, STEP_SCALE[preset])
    _check_served(optimize, spec)
    settings = with_maps(replace(settings, optimize=optimize), spec, maps)
    if settings.material is not None:
        settings = replace(settings, material=warm_material(_lit(choices, settings.material), cold, optimize))
    check_light(prior, lit=settings.material is not None)
    if choices.explain_light:
        settings = replace(settings, optimize=with_found_light(settings.optimize, settings.material, prior))
    settings = with_mask(settings, choices)
    return prior, with_separate_slots(settings) if choices.separate_slots else settings


def _check_served(optimize: OptimizeConfig, spec: GuidanceSpec) -> None:
    """Refuses a loss that the prior cannot serve, before any of it is loaded (`build_distillation` says so too)."""
    if isinstance(optimize.distillation, RFDSConfig) and not isinstance(spec, FlowSpec):
        raise ConfigError(
            "The loss rfds is for models that say velocities of a straight flow (sd35, flux, z-image); use sds with "
            "this one."
        )


def explicit_choices(choices: RunChoices, settings: RunSettings) -> RunChoices:
    """Returns the choices that gave these settings, each number named, whatever another version's preset says."""
    optimize = settings.optimize
    return replace(
        choices,
        steps=optimize.steps,
        views=optimize.views,
        resolution=optimize.resolution,
        texture_size=settings.texture.texture_size,
        seed=optimize.seed,
        maps=settings.maps,
        warm_start=optimize.warm_start is not None,
    )


def _lit(choices: RunChoices, preset: MaterialConfig) -> MaterialConfig:
    lighting = preset.lighting
    lighting = replace(
        lighting,
        rotate=lighting.rotate if choices.rotate_light is None else choices.rotate_light,
        exposure=lighting.exposure if choices.exposure is None else choices.exposure,
    )
    if choices.environments is None:
        return replace(preset, lighting=lighting)
    return replace(preset, lighting=lighting, environments=choices.environments, drawn=0)


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
                # Of residuals in a picture of [0, 1]: at the paper's 0.1 most pixels would be clipped.
                regulation=PixelwiseClippingConfig(threshold=0.3),
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
            # As many as the official author says that version 1.0 needs; with fewer it was blue and without texture.
            optimize = OptimizeConfig(steps=SDXL_STEPS, resolution=1024)
            return RunSettings(optimize=optimize, texture=TexelPyramidConfig(texture_size=2048))
        case FlowSpec():
            optimize = OptimizeConfig(resolution=1024, distillation=RFDSConfig())
            return RunSettings(optimize=optimize, texture=TexelPyramidConfig(texture_size=2048))


def preset_settings(name: PresetName, spec: GuidanceSpec) -> RunSettings:
    """Returns the settings of a preset for a prior: "draft" takes half the steps of "standard", "fine" twice as
    many."""
    settings = _base_settings(spec)
    steps = max(1, round(settings.optimize.steps * STEP_SCALE[name]))
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
    """Returns the same settings with what is not None in place of the preset's.

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


def with_hash_grid(settings: RunSettings, maps: tuple[MapName, ...]) -> RunSettings:
    """Returns the settings of the same run with the paper's hash grid, at the rates and the optimiser of its code.

    Raises:
        ConfigError: maps are wanted that only light shows.
    """
    if need_light(maps):
        raise ConfigError(f"The hash grid has base colour alone, and not {', '.join(maps[1:])}; take --field texels.")
    given = settings.texture
    texture = HashGridTextureConfig(
        texture_size=given.texture_size,
        coarsest_size=given.coarsest_size,
        start_size=given.start_size,
        seed=settings.optimize.seed,
    )
    optimize = replace(settings.optimize, learning_rate=0.01, final_learning_rate=1.0, betas=(0.9, 0.99), epsilon=1e-15)
    return replace(settings, texture=texture, optimize=optimize)


def with_maps(settings: RunSettings, spec: GuidanceSpec, wanted: Iterable[MapName]) -> RunSettings:
    """Returns the settings of the same run for other maps, with a prior's settings for those that need light.

    Base colour alone leaves everything as it is; so does occlusion beside it, which is computed.
    """
    maps = complete_maps(wanted)
    occlusion = (settings.occlusion or OcclusionConfig()) if "occlusion" in maps else None
    if not need_light(maps):
        return replace(settings, maps=maps, material=None, occlusion=occlusion)
    material = settings.material or base_material(spec)
    return replace(
        settings,
        optimize=lit_optimize(settings.optimize, spec),
        maps=maps,
        material=replace(material, fields=material.fields.for_maps(maps)),
        occlusion=occlusion,
    )


def with_mask(settings: RunSettings, choices: RunChoices) -> RunSettings:
    """Returns the settings of the same run with what was chosen of its mask."""
    if choices.mask_start is None and choices.soft_edge is None:
        return settings
    begins, width = choices.mask_start or "present", choices.soft_edge or 0
    return replace(settings, texture=replace(settings.texture, mask_start=begins, soft_edge=width))


def with_separate_slots(settings: RunSettings) -> RunSettings:
    """Returns the settings of the same run for a mesh whose material slots are different materials.

    Seams between two slots stay open, and roughness and metallic are drawn together within a slot, where they nearly
    agree (`pgc.texture.region_penalty`).
    """
    texture = settings.texture
    settings = replace(settings, texture=replace(texture, seams=replace(texture.seams, across_slots=False)))
    if settings.material is None:
        return settings
    priors = replace(settings.material.priors, regions=_SLOT_WEIGHT)
    return replace(settings, material=replace(settings.material, priors=priors))
