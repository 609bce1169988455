# SPDX-License-Identifier: Apache-2.0
"""Telling a prior the light, where it can be told."""

from __future__ import annotations

from torch import Tensor

from pgc.guidance.base import Guidance, LightAware
from pgc.rendering.known_materials import known_shading_of
from pgc.rendering.light import ViewedLight
from pgc.rendering.raster.gbuffer import GBuffer

__all__ = ["told_light"]


def told_light(guidance: Guidance, gbuffer: GBuffer, light: ViewedLight | None) -> Tensor | None:
    """Returns `Conditions.shading` of a picture: known materials under its light, [B, c, H, W].

    None for an unlit picture, and for a prior that was not trained to be told: nothing is rendered for it then.
    """
    if light is None or not (isinstance(guidance, LightAware) and guidance.takes_shading):
        return None
    return known_shading_of(gbuffer, light)
