# SPDX-License-Identifier: Apache-2.0
"""What a volume run is asked for, and what papers and measurements say it should be for each prior."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from pgc.cameras.named import CamerasConfig
from pgc.cameras.sampling import PaperSamplerConfig, SphereSamplerConfig
from pgc.distillation.build import has_image_target
from pgc.distillation.hifa import HiFAConfig
from pgc.distillation.sds import SDSConfig
from pgc.distillation.timestep import AnnealedTimestepConfig
from pgc.errors import ConfigError
from pgc.gradient_regulation.pixelwise_clipping import PixelwiseClippingConfig
from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.guidance.specs import FlowSpec, GuidanceSpec, OracleSpec, PocketSpec, SDXLSpec, StableDiffusionSpec
from pgc.optimization.config import OptimizeConfig
from pgc.runs.settings.offers import PresetName
from pgc.runs.settings.presets import STEP_SCALE, preset_settings
from pgc.volume.field import VolumeFieldConfig
from pgc.volume.light.marching import MarchConfig
from pgc.volume.light.penalties import VolumePenaltyConfig
from pgc.volume.light.shading import ShadingConfig
from pgc.volume.occupancy import OccupancyConfig
from pgc.volume.start import BallStart, NamedStart, StartConfig, named_in
from pgc.volume.surface import SurfaceConfig
from pgc.volume.views import DepthConfig
from pgc.volume.volume import VolumeConfig

__all__ = ["MOST_PIXELS", "VolumeSettings", "as_soft", "volume_settings", "with_start"]

MOST_PIXELS = 1024
_PAPER_SIZES = VolumeFieldConfig(
    grid_levels=16, coarsest_cells=16, finest_cells=2048, rows=1 << 19, hidden=64, network_rate=0.1
)
"""Of Instant-NGP, as Stable-DreamFusion and Magic3D have them."""
_PAPER_MARCH = MarchConfig(step=2.0 * math.sqrt(3.0) / 512, steps_at_once=64)
_FIRM = 60.0
"""Of a shape that is to stay: at the papers' 10 a vase's neck was so faint that it was gone after 40 steps."""
_PAPER_RATE = 0.01
"""Of the grid; the network's is a tenth of it, Stable-DreamFusion's 1e-3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeSettings:
    """What decides a volume run's outcome beside the prompt and the prior."""

    volume: VolumeConfig = field(default_factory=VolumeConfig)
    start: StartConfig = field(default_factory=BallStart)
    cameras: CamerasConfig = field(default_factory=SphereSamplerConfig)
    shading: ShadingConfig = field(default_factory=ShadingConfig)
    penalties: VolumePenaltyConfig = field(default_factory=VolumePenaltyConfig)
    depth: DepthConfig = field(default_factory=DepthConfig)
    surface: SurfaceConfig = field(default_factory=SurfaceConfig)
    latents_until: float = 0.0
    """Part of the run in which normals and opacity are the latents themselves; Stable-DreamFusion's is a fifth."""
    optimize: OptimizeConfig = field(default_factory=lambda: OptimizeConfig(resolution=64, learning_rate=_PAPER_RATE))

    def __post_init__(self) -> None:
        if not 0.0 <= self.latents_until <= 1.0:
            raise ConfigError(f"latents_until is {self.latents_until}; it must lie in [0, 1].")
        if self.latents_until and has_image_target(self.optimize.distillation):
            raise ConfigError(
                f"latents_until is {self.latents_until}, but {type(self.optimize.distillation).__name__} compares "
                "pictures, and latents are none; use 0, or another model."
            )
        if self.optimize.warm_start is not None:
            raise ConfigError("A volume begins as its start says; a warm start paints a texture that is there.")
        if self.optimize.resolution > MOST_PIXELS:
            raise ConfigError(f"resolution is {self.optimize.resolution}; a volume is rendered up to {MOST_PIXELS}.")
        if self.optimize.seed < 0:
            raise ConfigError(f"seed is {self.optimize.seed}; it must be 0 or more.")


def volume_settings(spec: GuidanceSpec, prompt: str, preset: PresetName = "standard") -> VolumeSettings:
    """Returns the settings of a run with a prior; a preset changes the number of steps.

    Raises:
        ConfigError: the prior cannot judge a volume.
    """
    settings = _standard_settings(spec, prompt)
    steps = round(settings.optimize.steps * STEP_SCALE[preset])
    return replace(settings, optimize=replace(settings.optimize, steps=steps))


def with_start(settings: VolumeSettings, start: StartConfig) -> VolumeSettings:
    """Returns settings whose volume begins as something else: firm where that is to stay, else as it was."""
    if isinstance(start, BallStart):
        return replace(settings, start=start)
    field = replace(settings.volume.field, start_density=_FIRM)
    return replace(settings, start=start, volume=replace(settings.volume, field=field))


def as_soft(settings: VolumeSettings, spec: GuidanceSpec | Zero123Spec) -> VolumeSettings:
    """Returns settings as versions before `with_start` had them: as firm as the prior's balls are, whatever begins."""
    if isinstance(spec, PocketSpec) or isinstance(settings.start, BallStart):
        return settings
    soft = VolumeFieldConfig().start_density
    return replace(settings, volume=replace(settings.volume, field=replace(settings.volume.field, start_density=soft)))


def _standard_settings(spec: GuidanceSpec, prompt: str) -> VolumeSettings:
    match spec:
        case PocketSpec():
            return _pocket_settings(prompt)
        case OracleSpec():
            raise ConfigError(
                "The oracle knows a texture and no prompt, so that it has no shape to aim at; take another model."
            )
        case StableDiffusionSpec():
            return _dreamfusion_settings(spec)
        case SDXLSpec() | FlowSpec():
            return _magic3d_settings(spec)


def _pocket_settings(prompt: str) -> VolumeSettings:
    """Measured: see tests/benchmarks/README.md. The model is shown the volume's own depth, as in its training."""
    named = named_in(prompt)
    base = preset_settings("standard", PocketSpec()).optimize
    optimize = replace(
        base,
        steps=40,
        views=2,
        updates=2,
        resolution=64,
        learning_rate=0.03,
        final_learning_rate=0.3,
        betas=(0.9, 0.99),
        epsilon=1e-8,
        average_from=1.0,
        distillation=HiFAConfig(
            guidance_scale=7.0,
            timestep=AnnealedTimestepConfig(start=0.85, end=0.25, power=0.75),
            latent_weight=0.0,
            longest_stride=0.25,
        ),
    )
    return VolumeSettings(
        volume=VolumeConfig(field=VolumeFieldConfig(start_density=_FIRM)),
        start=BallStart() if named is None else NamedStart(shape=named),
        cameras=SphereSamplerConfig(focal=(1.2, 1.4)),
        penalties=VolumePenaltyConfig(entropy=0.01),
        depth=DepthConfig(shown_from=0.0, blank=True),
        optimize=optimize,
    )


def _dreamfusion_settings(spec: StableDiffusionSpec) -> VolumeSettings:
    """Stable-DreamFusion's 100 epochs of 100 steps at 64², one view a step, scale 100, with PGC on its pictures."""
    optimize = OptimizeConfig(
        steps=10_000,
        views=1,
        resolution=64,
        learning_rate=_PAPER_RATE,
        final_learning_rate=0.1,
        betas=(0.9, 0.99),
        epsilon=1e-15,
        distillation=SDSConfig(guidance_scale=100.0),
        regulation=PixelwiseClippingConfig(threshold=0.1),
    )
    return VolumeSettings(
        volume=VolumeConfig(field=_PAPER_SIZES, occupancy=OccupancyConfig(cells=128, every=16), march=_PAPER_MARCH),
        cameras=PaperSamplerConfig(focal=(0.9, 1.4), distance=(2.2, 2.6), elevation=(-0.17, 1.2)),
        shading=ShadingConfig(lit=0.75, plaster=0.33, plain_until=0.2, ambient=0.1),
        penalties=VolumePenaltyConfig(entropy=1e-3, orientation=1e-2),
        optimize=optimize,
        surface=SurfaceConfig(triangles=30_000),
    )


def _magic3d_settings(spec: GuidanceSpec) -> VolumeSettings:
    """Magic3D's first stage: 5,000 steps at 64². Its 32 views a step are spread over eight cards; here there are
    four."""
    standard = preset_settings("standard", spec).optimize
    like = _dreamfusion_settings(StableDiffusionSpec())
    return replace(like, optimize=replace(like.optimize, steps=5_000, views=4, distillation=standard.distillation))
