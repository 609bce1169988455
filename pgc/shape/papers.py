# SPDX-License-Identifier: Apache-2.0
"""Settings of published shape runs by a name: the commands of PGC-3D's README whose mesh is not fixed.

What is different here: colours are those of vertices and no hash grid (the textures are `pgc texture`'s), the signed
distance is learnt as it is and not by a network, so that its learning rate is our own (a twentieth of it where normals
are not judged, as there), the grid has at most 96 cubes along a side where theirs has 256, and the background is a
random colour. The official code runs its README on two cards; a batch is that of both.

-O3, a picture and Zero123, is *not fully tested* there: it moves pictures from [0, 1] to [-1, 1] twice, and compares
the one with the other. Here it does what it means to. Its second teacher, which reads the prompt, is left out: a run
has one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

from pgc.cameras.sampling import PaperSamplerConfig
from pgc.distillation.bgt import BGTConfig
from pgc.distillation.sds import SDSConfig
from pgc.errors import ConfigError
from pgc.gradient_regulation.pixelwise_clipping import PixelwiseClippingConfig
from pgc.guidance.diffusion.zero123.camera import UNIT
from pgc.guidance.specs import GuidanceSpec, SDXLSpec, StableDiffusionSpec
from pgc.optimization.config import BackgroundConfig, OptimizeConfig
from pgc.runs.settings.papers import SDXL_STEPS
from pgc.shape.geometry.dmtet import DMTetConfig
from pgc.shape.geometry.regularizers import SurfacePenaltyConfig
from pgc.shape.picture import PictureOfObject
from pgc.shape.settings import GeometryConfig, ShapeSettings, check_teacher

__all__ = [
    "PICTURE_PAPER",
    "SHAPE_PAPERS",
    "SHAPE_PAPER_NAMES",
    "ShapePaper",
    "ShapePaperName",
    "paper_prior",
    "picture_paper",
    "shape_paper",
    "with_geometry",
]

ShapePaperName = Literal["pgc3d/normal-sds", "pgc3d/normal-sds-depth", "pgc3d/rgb-sds", "pgc3d/normal-rgb-sds"]
SHAPE_PAPER_NAMES: tuple[ShapePaperName, ...] = get_args(ShapePaperName)

PICTURE_PAPER = "pgc3d/image"
"""Of `pgc image`."""

_RATE = 0.01
_SLOWER = 20.0
"""By which the shape learns more slowly where its normals are not judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShapePaper:
    """A published run."""

    title: str
    settings: ShapeSettings
    depth: bool
    """Whether a ControlNet is shown the shape's depth."""
    guidance: str = "sdxl"
    """The model, as it stands behind --guidance."""


_SDS = SDSConfig(guidance_scale=101.0)
"""The official scale of 100 adds to the prediction; as diffusers counts it is 101."""
_NORMAL = ShapeSettings(
    shown=("normal",),
    # The official 50, which no option changes.
    normal_loss=SDSConfig(guidance_scale=51.0),
    geometry=DMTetConfig(cubes=96),
    cameras=PaperSamplerConfig(),
    optimize=OptimizeConfig(
        steps=SDXL_STEPS,
        views=4,
        resolution=1024,
        learning_rate=_RATE,
        final_learning_rate=1.0,
        epsilon=1e-8,
        distillation=_SDS,
        regulation=PixelwiseClippingConfig(threshold=0.1, norm="linf"),
    ),
)
_RGB = replace(
    _NORMAL,
    shown=("rgb",),
    normal_loss=None,
    # Colours learn as fast as ever.
    geometry=DMTetConfig(cubes=96, color_rate=DMTetConfig().color_rate * _SLOWER),
    optimize=replace(_NORMAL.optimize, learning_rate=_RATE / _SLOWER),
)
# One view on each card, and twice the steps.
_BOTH = replace(_NORMAL, shown=("normal", "rgb"), optimize=replace(_NORMAL.optimize, steps=2 * SDXL_STEPS, views=2))

SHAPE_PAPERS: Mapping[ShapePaperName, ShapePaper] = {
    "pgc3d/normal-sds": ShapePaper(title="README: -O0 -O4 --only_normal", settings=_NORMAL, depth=False),
    "pgc3d/normal-sds-depth": ShapePaper(
        title="README: -O0 -O4 --only_normal --guidance controlnet", settings=_NORMAL, depth=True
    ),
    "pgc3d/rgb-sds": ShapePaper(title="README: -O0 -O4 --no_normal --guidance controlnet", settings=_RGB, depth=True),
    "pgc3d/normal-rgb-sds": ShapePaper(title="README: -O0 -O4 --guidance controlnet", settings=_BOTH, depth=True),
}


def shape_paper(name: str) -> ShapePaper:
    """Returns the published run of this name. Raises ConfigError where there is none."""
    for known in SHAPE_PAPER_NAMES:
        if name == known:
            return SHAPE_PAPERS[known]
    raise ConfigError(f"--preset is {name!r}; expected one of {', '.join(SHAPE_PAPER_NAMES)}.")


def paper_prior(paper: ShapePaper, spec: GuidanceSpec) -> GuidanceSpec:
    """Returns a prior as a published run has it: with a depth ControlNet or without.

    Raises:
        ConfigError: the prior cannot judge its pictures, or has no depth ControlNet that could be shown.
    """
    check_teacher(paper.settings.shown, spec)
    if not isinstance(spec, StableDiffusionSpec | SDXLSpec):
        raise ConfigError("The presets of pgc3d are for Stable Diffusion 1.5, 2.1 and XL; take one of these.")
    if not paper.depth:
        return replace(spec, controlnet=None)
    if spec.controlnet is None:
        raise ConfigError("The preset shows a depth ControlNet the shape, and the model has none; take another model.")
    return spec


def with_geometry(settings: ShapeSettings, geometry: GeometryConfig) -> ShapeSettings:
    """Returns a published run's settings with another geometry, whose colours learn as fast as they say."""
    return replace(settings, geometry=replace(geometry, color_rate=settings.geometry.color_rate))


def picture_paper() -> tuple[ShapeSettings, PictureOfObject]:
    """Returns the settings of -O3: a given mesh is finished by Zero123 and a picture, its shape nearly kept.

    Its cameras stand 1 to 1.5 from an object of half extent 0.5; in our space that is 1.6 to 2.4.
    """
    slower = 10.0 * _SLOWER
    surface = SurfacePenaltyConfig(laplacian=0.02, normal_consistency=0.1)
    settings = ShapeSettings(
        shown=("rgb",),
        geometry=DMTetConfig(cubes=96, color_rate=DMTetConfig().color_rate * slower, surface=surface),
        cameras=PaperSamplerConfig(distance=(1.0 * UNIT, 1.5 * UNIT)),
        optimize=OptimizeConfig(
            steps=2000,
            views=8,
            resolution=512,
            learning_rate=_RATE / slower,
            final_learning_rate=1.0,
            epsilon=1e-8,
            background=BackgroundConfig(random=False),
            distillation=BGTConfig(guidance_scale=5.0),
            regulation=PixelwiseClippingConfig(threshold=0.1, norm="linf"),
        ),
    )
    # Theirs is a tenth of the squared difference, of which the gradient is a fifth of the difference.
    return settings, PictureOfObject(color_weight=0.2, mask_weight=0.0)
