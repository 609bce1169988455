# SPDX-License-Identifier: Apache-2.0
"""What light does on a surface, shown by materials that are known: what a prior can be told of the light.

The idea is DreamMat's (Zhang et al., "DreamMat: High-quality PBR Material Generation with Geometry- and Light-aware
Diffusion Models", 2024): under the light and the camera of a picture, its geometry is rendered with a few materials
that everybody knows. A prior that sees them beside the picture need not guess what is light and what is paint.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.rendering.light import Light, ViewedLight
from pgc.rendering.pbr_shading import SurfaceSamples, split_sum, surface_samples
from pgc.rendering.raster.gbuffer import GBuffer
from pgc.rendering.tone_curve import picture_from_radiance

__all__ = [
    "KNOWN_MATERIALS",
    "LIT_WHITE",
    "SHADING_CHANNELS",
    "KnownSurface",
    "known_shading",
    "known_shading_of",
    "lit_white_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownSurface:
    """A white material of one roughness and metallic."""

    roughness: float
    metallic: float


KNOWN_MATERIALS = (
    KnownSurface(roughness=1.0, metallic=0.0),
    KnownSurface(roughness=0.1, metallic=1.0),
    KnownSurface(roughness=0.45, metallic=1.0),
)
"""Chalk, a nearly perfect mirror, and rough silver: irradiance, sharp and blurred reflections."""

SHADING_CHANNELS = 3 * len(KNOWN_MATERIALS)

LIT_WHITE = (
    *(KnownSurface(roughness=roughness, metallic=metallic) for metallic in (0.0, 1.0) for roughness in (0.0, 0.5, 1.0)),
    KnownSurface(roughness=0.5, metallic=0.5),
)
"""What published ControlNets are shown: DreamMat's six, in its order, and the one that FlashTex adds between."""


def known_shading(samples: SurfaceSamples, light: Light) -> Float[Tensor, "P c"]:
    """Shows the known materials at P points as pictures show them: sRGB, three columns a material in `KNOWN_MATERIALS`.

    The samples' own material is of no account; their normal, view and occlusion are.
    """
    return picture_from_radiance(_white_radiance(samples, light, KNOWN_MATERIALS))


def _white_radiance(samples: SurfaceSamples, light: Light, surfaces: Sequence[KnownSurface]) -> Float[Tensor, "P c"]:
    """Linear radiance of white surfaces, three columns for each."""
    white = torch.ones_like(samples.base_color)
    level = torch.ones_like(samples.roughness)
    columns = [
        split_sum(
            replace(samples, base_color=white, roughness=level * one.roughness, metallic=level * one.metallic), light
        )
        for one in surfaces
    ]
    return torch.cat(columns, dim=-1)


@torch.no_grad()
def known_shading_of(gbuffer: GBuffer, light: ViewedLight) -> Float[Tensor, "B c H W"]:
    """Computes `known_shading` of a G-buffer, 0 off its mask."""
    return _on_mask(gbuffer, known_shading(_bare_samples(gbuffer, light), light.light))


@torch.no_grad()
def lit_white_of(gbuffer: GBuffer, light: ViewedLight) -> Float[Tensor, "B c H W"]:
    """Computes the linear radiance of the surfaces of `LIT_WHITE` on a G-buffer, three channels for each; 0 off its
    mask."""
    return _on_mask(gbuffer, _white_radiance(_bare_samples(gbuffer, light), light.light, LIT_WHITE))


def _bare_samples(gbuffer: GBuffer, light: ViewedLight) -> SurfaceSamples:
    views, height, width = gbuffer.face_index.shape
    nothing = {"base_color": gbuffer.position.new_zeros(()).expand(views, 3, height, width)}
    return surface_samples(gbuffer, nothing, light.eye)


def _on_mask(gbuffer: GBuffer, values: Float[Tensor, "P c"]) -> Float[Tensor, "B c H W"]:
    views, height, width = gbuffer.face_index.shape
    canvas = values.new_zeros((views * height * width, values.shape[1]))
    canvas[gbuffer.mask.reshape(-1)] = values
    return canvas.view(views, height, width, -1).permute(0, 3, 1, 2)
