# SPDX-License-Identifier: Apache-2.0
"""A volume from a picture of an object: the settings of its run."""

from __future__ import annotations

from dataclasses import replace

from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.guidance.specs import GuidanceSpec, StableDiffusionSpec
from pgc.shape.geometry.dmtet import DMTetConfig
from pgc.shape.picture import picture_settings
from pgc.volume.light.shading import ShadingConfig
from pgc.volume.settings import VolumeSettings, volume_settings

__all__ = ["picture_volume_settings"]

_STEPS = 2_000


def picture_volume_settings(spec: GuidanceSpec | Zero123Spec, prompt: str) -> VolumeSettings:
    """Returns the settings of a run from a picture: with Zero123 the volume of Stable-DreamFusion, seen as the model
    was trained; with a prior that reads those of its own runs. Colours are unlit: the picture's light is in them.

    Raises:
        ConfigError: the prior cannot judge a volume.
    """
    plain = ShadingConfig(lit=0.0)
    if not isinstance(spec, Zero123Spec):
        return replace(volume_settings(spec, prompt), shading=plain)
    like, seen = volume_settings(StableDiffusionSpec(), prompt), picture_settings(DMTetConfig(), spec)
    optimize = replace(
        like.optimize,
        steps=_STEPS,
        views=seen.optimize.views,
        background=seen.optimize.background,
        distillation=seen.optimize.distillation,
    )
    return replace(like, cameras=seen.cameras, shading=plain, optimize=optimize)
