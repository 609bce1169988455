# SPDX-License-Identifier: Apache-2.0
"""Metallic-roughness shading under an environment, by split sum: what a PBR texture looks like, differentiably.

Reflectance is that of `pgc.rendering.brdf`. The integral over light directions is split into prefiltered light and
an albedo (Karis, "Real shading in Unreal Engine 4", 2013), for each of a few lobes that stand for the true one
(`pgc.rendering.lobes`). `tests.pgc.rendering.monte_carlo` is the slow reference.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from pgc.clamping import clamp_inward
from pgc.color_space import linear_from_srgb
from pgc.errors import TextureError
from pgc.maps import map_channels
from pgc.neutral_maps import neutral_map
from pgc.rendering.brdf import DIELECTRIC_F0, MIN_COSINE, base_share, compensation, table_coordinates
from pgc.rendering.light import Light, ViewedLight
from pgc.rendering.lobes import lobes_at
from pgc.rendering.raster.gbuffer import GBuffer
from pgc.rendering.tone_curve import picture_from_radiance

__all__ = [
    "LightTerms",
    "LobeTerm",
    "SurfaceSamples",
    "light_terms",
    "pbr",
    "pbr_linear",
    "pbr_shade",
    "split_sum",
    "surface_samples",
]

_CHANNELS = map_channels()
_STEEPEST = 0.02
"""A normal map may tilt a normal no nearer to the tangent plane than this cosine."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SurfaceSamples:
    """The P pixels of a G-buffer that show a surface, with their material, one row each.

    Attributes:
        view_index: which of the B views, int64.
        normal: unit shading normal, the normal map applied, world.
        view: unit, from the surface towards the eye, world.
        cosine: normal · view, in [MIN_COSINE, 1].
        base_color: linear, in [0, 1].
        roughness, metallic, occlusion: in [0, 1], [P, 1]; occlusion is 1 where the material has none.
    """

    view_index: Tensor
    normal: Float[Tensor, "P 3"]
    view: Float[Tensor, "P 3"]
    cosine: Float[Tensor, "P 1"]
    base_color: Float[Tensor, "P 3"]
    roughness: Float[Tensor, "P 1"]
    metallic: Float[Tensor, "P 1"]
    occlusion: Float[Tensor, "P 1"]


def pbr(
    gbuffer: GBuffer, material: Mapping[str, Float[Tensor, "B c H W"]], light: Light, *, eye: Float[Tensor, "B 3"]
) -> Float[Tensor, "B 3 H W"]:
    """Shows the lit surface as a picture: `pbr_linear` through `pgc.rendering.tone_curve`, sRGB in [0, 1).

    Arguments and errors are those of `pbr_linear`.
    """
    return picture_from_radiance(pbr_linear(gbuffer, material, light, eye=eye))


def pbr_shade(
    gbuffer: GBuffer, material: Mapping[str, Float[Tensor, "B c H W"]], light: ViewedLight | None = None
) -> Float[Tensor, "B 3 H W"]:
    """Shades by `pbr`, as a `pgc.rendering.shading.Shade`; there must be a light.

    Raises:
        TextureError: there is none.
    """
    if light is None:
        raise TextureError("Got no light for lit shading; pass a ViewedLight (light and eye), or choose unlit shading.")
    return pbr(gbuffer, material, light.light, eye=light.eye)


def pbr_linear(
    gbuffer: GBuffer, material: Mapping[str, Float[Tensor, "B c H W"]], light: Light, *, eye: Float[Tensor, "B 3"]
) -> Float[Tensor, "B 3 H W"]:
    """Computes radiance towards the eye, linear Rec. 709; 0 off the mask. Differentiable by all maps.

    Args:
        gbuffer: the visible surface.
        material: maps at the pixels, [B, c, H, W] in [0, 1]. "base_color" (3, sRGB) is needed; the others of
            `pgc.maps` are optional: "normal" is in tangent space, stored as 0.5 + 0.5 n, OpenGL +Y; what is missing
            is neutral.
        light: environment, rotation and exposure.
        eye: positions of the cameras, world. For an orthographic camera a point far away along its backward axis.

    Raises:
        TextureError: there is no base colour, or a map is not of the G-buffer's size.
    """
    samples = surface_samples(gbuffer, material, eye)
    radiance = split_sum(samples, light)
    views, height, width = gbuffer.face_index.shape
    canvas = radiance.new_zeros((views * height * width, 3))
    flat = gbuffer.mask.reshape(-1).nonzero()[:, 0]
    return canvas.index_copy(0, flat, radiance).view(views, height, width, 3).permute(0, 3, 1, 2)


def surface_samples(
    gbuffer: GBuffer, material: Mapping[str, Float[Tensor, "B c H W"]], eye: Float[Tensor, "B 3"]
) -> SurfaceSamples:
    """Returns the pixels on the mask, row by row and view by view; see `pbr_linear` for arguments and errors."""
    _check_material(gbuffer, material)
    views, height, width = gbuffer.face_index.shape
    flat = gbuffer.mask.reshape(-1).nonzero()[:, 0]

    def rows(image: Tensor) -> Tensor:
        """Returns the image's pixels on the mask, one a row."""
        return image.permute(0, 2, 3, 1).reshape(views * height * width, -1).index_select(0, flat)

    def value(name: str) -> Tensor:
        """Returns a map's values at these pixels, or its default where the material lacks it."""
        if name in material:
            return clamp_inward(rows(material[name]))
        return neutral_map(name, normal, 1)

    view_index = flat // (height * width)
    view = F.normalize(eye.to(gbuffer.position).index_select(0, view_index) - rows(gbuffer.position), dim=-1)
    normal = rows(gbuffer.normal)
    if "normal" in material:
        normal = _mapped_normal(normal, rows(gbuffer.tangent), rows(material["normal"]))
    return SurfaceSamples(
        view_index=view_index,
        normal=normal,
        view=view,
        cosine=(normal * view).sum(dim=-1, keepdim=True).clamp(MIN_COSINE, 1.0),
        base_color=linear_from_srgb(value("base_color")),
        roughness=value("roughness"),
        metallic=value("metallic"),
        occlusion=value("occlusion"),
    )


def _check_material(gbuffer: GBuffer, material: Mapping[str, Tensor]) -> None:
    if "base_color" not in material:
        raise TextureError(f"Got a material of {sorted(material)}; lit shading needs 'base_color'.")
    views, height, width = gbuffer.face_index.shape
    for name in material.keys() & _CHANNELS.keys():
        expected = (views, _CHANNELS[name], height, width)
        if tuple(material[name].shape) != expected:
            raise TextureError(f"Got {name} of {tuple(material[name].shape)}; expected {expected}.")


def _mapped_normal(normal: Tensor, tangent: Tensor, stored: Tensor) -> Tensor:
    """The normal map in the frame of the surface: tangent, sign * cross(normal, tangent), normal (MikkTSpace)."""
    x, y, z = (stored * 2.0 - 1.0).split(1, dim=-1)
    along = tangent[:, :3]
    bitangent = tangent[:, 3:] * torch.linalg.cross(normal, along)
    return F.normalize(along * x + bitangent * y + normal * z.clamp_min(_STEEPEST), dim=-1)


def split_sum(samples: SurfaceSamples, light: Light) -> Float[Tensor, "P 3"]:
    """Computes linear radiance towards the view, diffuse and specular; `pbr_linear` for points."""
    environment = light.environment
    terms = light_terms(samples, environment.brdf_lut, environment.lobe_table)
    turn, gain = _placement(light, samples)
    radiance = terms.base * environment.diffuse(turn(samples.normal), samples.view_index)
    for lobe in terms.lobes:
        toward = turn(lobe.direction)
        radiance = radiance + lobe.weight * environment.specular(toward, lobe.roughness, samples.view_index)
    return radiance * gain


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LobeTerm:
    """One lobe of the layer: where its light comes from, under which blur, and what of it is reflected."""

    direction: Float[Tensor, "P 3"]
    roughness: Float[Tensor, "P"]
    weight: Float[Tensor, "P 3"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LightTerms:
    """What the light is multiplied by: radiance is base · irradiance / π + Σ weight · light of a lobe, channel by
    channel, so that it is linear in the light."""

    base: Float[Tensor, "P 3"]
    lobes: list[LobeTerm]


def light_terms(
    samples: SurfaceSamples, brdf_lut: Float[Tensor, "2 R N"], lobe_table: Float[Tensor, "C Rl Nl"]
) -> LightTerms:
    """Says what of the light P points send to the view; directions are the world's."""
    place = table_coordinates(samples.cosine[:, 0], samples.roughness[:, 0])
    albedos = F.grid_sample(brdf_lut[None], place[None, None], align_corners=True, padding_mode="border")
    a, b = albedos[0, :, 0].T.split(1, dim=-1)
    f0 = DIELECTRIC_F0 + (samples.base_color - DIELECTRIC_F0) * samples.metallic
    mirrored, onward = _mirrored(samples)
    kept = compensation(f0, a + b) * _specular_occlusion(samples)
    lobes = [
        LobeTerm(
            direction=torch.cos(lobe.lean) * mirrored + torch.sin(lobe.lean) * onward,
            roughness=lobe.roughness[:, 0],
            weight=(f0 * (a * lobe.share_a) + b * lobe.share_b) * kept,
        )
        for lobe in lobes_at(lobe_table, place)
    ]
    base = samples.base_color * (1.0 - samples.metallic) * base_share(a, b) * samples.occlusion
    return LightTerms(base=base, lobes=lobes)


def _mirrored(samples: SurfaceSamples) -> tuple[Float[Tensor, "P 3"], Float[Tensor, "P 3"]]:
    """The mirrored view, and the unit direction across it that leads away from the normal."""
    cosine, normal = samples.cosine, samples.normal
    sine = (1.0 - cosine * cosine).clamp_min(1e-12).sqrt()
    # Seen from straight above there is no such direction; the wide eps keeps gradients there bounded.
    away = F.normalize(cosine * normal - samples.view, dim=-1, eps=1e-3)
    return cosine * normal + sine * away, cosine * away - sine * normal


def _placement(light: Light, samples: SurfaceSamples):  # noqa: ANN202
    """(world directions to the environment's own, gain a pixel)."""
    place = samples.normal
    views = int(samples.view_index.max()) + 1 if len(samples.view_index) else 1

    def by_view(value: float | Tensor) -> Tensor:
        """Returns one value a view, whether one or several were given."""
        tensor = torch.as_tensor(value, dtype=place.dtype, device=place.device)
        return tensor.expand(views) if tensor.ndim == 0 else tensor

    angle = by_view(light.rotation)
    cos, sin = (trig(angle).index_select(0, samples.view_index) for trig in (torch.cos, torch.sin))

    def turn(direction: Tensor) -> Tensor:
        """Turns world directions into the environment's own."""
        x, y, z = direction.unbind(-1)
        return torch.stack([cos * x + sin * y, cos * y - sin * x, z], dim=-1)

    return turn, torch.exp2(by_view(light.exposure)).index_select(0, samples.view_index)[:, None]


def _specular_occlusion(samples: SurfaceSamples) -> Float[Tensor, "P 1"]:
    """Share of a lobe that ambient occlusion leaves (Lagarde and de Rousiers, "Moving Frostbite to PBR", 2014)."""
    power = torch.exp2(-16.0 * samples.roughness**2 - 1.0)
    lit = (samples.cosine + samples.occlusion).clamp_min(1e-6) ** power - 1.0 + samples.occlusion
    return lit.clamp(0.0, 1.0)
