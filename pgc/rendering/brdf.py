# SPDX-License-Identifier: Apache-2.0
"""The metallic-roughness reflectance of glTF 2.0 (specification, appendix B), and its tables over view and roughness.

Dielectrics: a diffuse base under a GGX layer of F0 = 0.04; metals: GGX with the base colour as F0; metallic mixes the
two. GGX is with the height-correlated Smith term (Heitz, JCGT 3(2), 2014) and Schlick's Fresnel. Two things are as in
Blender's Principled rather than as in the appendix's sample code, which it leaves open:

Light that a single-scattering layer loses between its facets is given back by a factor (Turquin, "Practical multiple
scattering compensation for microfacet models", 2019, eq. 16). Without it a rough metal is up to half too dark, and a
base colour solved under it too bright. And the base gets what the layer's albedo leaves, 1 - E(n·v), where the sample
code takes 1 - F(v·h) and returns up to 15 % more light than arrives, near silhouettes.
"""

import functools
import math

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = [
    "DIELECTRIC_F0",
    "MIN_ALPHA",
    "MIN_COSINE",
    "base_share",
    "brdf_table",
    "compensation",
    "ggx_density",
    "hammersley",
    "sample_visible_normals",
    "smith_height_correlated",
    "smith_masking",
    "table_coordinates",
]

DIELECTRIC_F0 = 0.04
"""Reflectance at normal incidence of an index of refraction of 1.5."""
MIN_ALPHA = 1e-3
"""Roughness below 0.032 is shaded as 0.032: a mirror's density is no function."""
MIN_COSINE = 1e-3
"""Views flatter than this are shaded as if at this cosine."""

_INSIDE = 1.0 - 1e-6
"""On the very edge of a table, grid_sample gives no gradient: a roughness of 0 or 1 could never leave it."""
_TABLE_SIZE = 64
_TABLE_SAMPLES = 1024


def ggx_density(cosine: Float[Tensor, "*#p"], alpha: Float[Tensor, "*#p"]) -> Float[Tensor, "*#p"]:
    """Evaluates D(h) of GGX by the cosine between half vector and normal: density of facets per steradian, >= 0."""
    square = alpha * alpha
    spread = (1.0 - cosine * cosine).clamp_min(0.0) + cosine * cosine * square
    return square / (math.pi * spread * spread)


def smith_masking(cosine: Float[Tensor, "*#p"], alpha: Float[Tensor, "*#p"]) -> Float[Tensor, "*#p"]:
    """Evaluates G1: the share of the facets that is visible from a direction at this cosine."""
    square = alpha * alpha
    return 2.0 * cosine / (cosine + (square + (1.0 - square) * cosine * cosine).sqrt())


def smith_height_correlated(
    view: Float[Tensor, "*#p"], light: Float[Tensor, "*#p"], alpha: Float[Tensor, "*#p"]
) -> Float[Tensor, "*#p"]:
    """Evaluates V = G2 / (4 (n·l) (n·v)), the height-correlated term together with the denominator (Heitz 2014, eq.
    99)."""
    square = alpha * alpha
    by_light = light * (view * view * (1.0 - square) + square).sqrt()
    by_view = view * (light * light * (1.0 - square) + square).sqrt()
    return 0.5 / (by_light + by_view).clamp_min(1e-12)


def hammersley(count: int, device: torch.device | str = "cpu") -> Float[Tensor, "{count} 2"]:
    """Returns `count` well-spread points of the unit square, inside it, always the same."""
    index = torch.arange(count, device=device, dtype=torch.int64)
    first = (index + 0.5) / count
    mirrored, scale = torch.zeros_like(first), 0.5
    while bool(index.any()):
        mirrored += scale * (index & 1)
        index, scale = index >> 1, scale * 0.5
    return torch.stack([first, mirrored + scale], dim=-1).float()


def sample_visible_normals(
    view: Float[Tensor, "*p 3"], alpha: Float[Tensor, "*p"], numbers: Float[Tensor, "*p 2"]
) -> Float[Tensor, "*p 3"]:
    """Draws half vectors with the density of visible facets, from uniform numbers (Dupuy and Benyoub, HPG 2023).

    Args:
        view: unit, in the frame whose +Z is the normal, z > 0.
        alpha: roughness squared.
        numbers: in [0, 1).

    Returns:
        Unit half vectors, z >= 0. Density: G1(view) max(0, view·h) D(h) / view.z.
    """
    stretched = torch.cat([view[..., :2] * alpha[..., None], view[..., 2:]], dim=-1)
    stretched = stretched / stretched.norm(dim=-1, keepdim=True)
    z = (1.0 - numbers[..., 0]) * (1.0 + stretched[..., 2]) - stretched[..., 2]
    ring = (1.0 - z * z).clamp_min(0.0).sqrt()
    angle = 2.0 * math.pi * numbers[..., 1]
    half = torch.stack([ring * torch.cos(angle), ring * torch.sin(angle), z], dim=-1) + stretched
    half = torch.cat([half[..., :2] * alpha[..., None], half[..., 2:].clamp_min(1e-7)], dim=-1)
    return half / half.norm(dim=-1, keepdim=True)


def compensation(f0: Float[Tensor, "*p 3"], albedo: Float[Tensor, "*p 1"]) -> Float[Tensor, "*p 3"]:
    """Returns what the layer is multiplied by for the light that bounces between facets; `albedo` is that of F = 1."""
    return 1.0 + f0 * (1.0 / albedo.clamp_min(1e-3) - 1.0)


def base_share(a: Float[Tensor, "*p 1"], b: Float[Tensor, "*p 1"]) -> Float[Tensor, "*p 1"]:
    """Returns what the layer of a dielectric leaves to the base under it: 1 minus its albedo; A and B of
    `brdf_table`."""
    albedo = a + b
    return 1.0 - (DIELECTRIC_F0 * a + b) * (1.0 + DIELECTRIC_F0 * (1.0 / albedo.clamp_min(1e-3) - 1.0))


def table_coordinates(cosine: Float[Tensor, "*p"], roughness: Float[Tensor, "*p"]) -> Float[Tensor, "*p 2"]:
    """Says where `brdf_table` keeps a view cosine and a roughness, for `grid_sample` with align_corners: both in [-1,
    1]."""
    place = torch.stack([cosine.clamp(MIN_COSINE, 1.0).sqrt(), roughness], dim=-1)
    return (2.0 * place - 1.0) * _INSIDE


@functools.cache
def brdf_table() -> Float[Tensor, "2 R N"]:
    """Computes directional albedos over roughness in [0, 1] (rows) and the square root of n·v in [0, 1] (columns).

    Channels: A and B of the layer, whose albedo before compensation is F0 A + B (Karis, "Real shading in Unreal
    Engine 4", 2013). Computed once a process on the CPU.
    """
    cosine = (torch.linspace(0.0, 1.0, _TABLE_SIZE) ** 2).clamp_min(MIN_COSINE)
    view = torch.stack([(1.0 - cosine * cosine).sqrt(), torch.zeros_like(cosine), cosine], dim=-1)[:, None]
    numbers = hammersley(_TABLE_SAMPLES)[None].expand(_TABLE_SIZE, -1, -1)
    view = view.expand(-1, _TABLE_SAMPLES, -1)
    rows = []
    for roughness in torch.linspace(0.0, 1.0, _TABLE_SIZE):
        alpha = (roughness * roughness).clamp_min(MIN_ALPHA).expand(numbers.shape[:-1])
        half = sample_visible_normals(view, alpha, numbers)
        along = (view * half).sum(dim=-1)
        light = 2.0 * along * half[..., 2] - view[..., 2]
        shadowing = 4.0 * light * view[..., 2] * smith_height_correlated(view[..., 2], light.clamp_min(1e-7), alpha)
        weight = torch.where(light > 0.0, shadowing / smith_masking(view[..., 2], alpha), torch.zeros_like(light))
        schlick = (1.0 - along).clamp(0.0, 1.0) ** 5
        rows.append(torch.stack([(weight * (1.0 - schlick)).mean(dim=-1), (weight * schlick).mean(dim=-1)]))
    return torch.stack(rows, dim=1)
