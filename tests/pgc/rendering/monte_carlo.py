# SPDX-License-Identifier: Apache-2.0
"""The slow reference of `pgc.rendering.pbr_shading`: the integral over light directions, sampled, nothing split.

Every point takes the same number of directions from the facets it sees, from the cosine of a diffuse surface and from
the environment's brightness; the balance heuristic (Veach and Guibas, SIGGRAPH 1995) weighs them.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from pgc.rendering.brdf import (
    DIELECTRIC_F0,
    MIN_ALPHA,
    base_share,
    brdf_table,
    compensation,
    ggx_density,
    hammersley,
    sample_visible_normals,
    smith_height_correlated,
    smith_masking,
    table_coordinates,
)
from pgc.rendering.latlong import Environment, latlong_coordinates, pad_latlong, texel_solid_angles
from pgc.rendering.pbr_shading import SurfaceSamples

__all__ = ["LightTerms", "integrate", "radiance_of"]

_CHUNK_DIRECTIONS = 2_000_000


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LightTerms:
    """Integrals of light at P points from which every base colour and metallic follows without another sample.

    Attributes:
        base: of L / pi over the cosine: a white diffuse base.
        a, b: of L D V (1 - (1 - v·h)^5) and of L D V (1 - v·h)^5 over the cosine: the layer is F0 a + b.
    """

    base: Float[Tensor, "P 3"]
    a: Float[Tensor, "P 3"]
    b: Float[Tensor, "P 3"]


def integrate(
    samples: SurfaceSamples, environment: Environment, *, count: int, generator: torch.Generator
) -> LightTerms:
    """Samples the light that reaches every point: 3 x `count` directions each, seeded by a CPU `generator`.

    The surface's `base_color`, `metallic` and `occlusion` play no part here; see `radiance_of`.
    """
    drawn = _Brightness.of(environment)
    per_chunk = max(1, _CHUNK_DIRECTIONS // (3 * count))
    parts = []
    for first in range(0, len(samples.normal), per_chunk):
        rows = slice(first, first + per_chunk)
        frame = _frame(samples.normal[rows])
        view = torch.einsum("pij,pj->pi", frame, samples.view[rows])
        # As the fast path: a view below the horizon of a mapped normal is shaded as one that grazes.
        view = F.normalize(torch.cat([view[:, :2], samples.cosine[rows]], dim=-1), dim=-1)
        alpha = (samples.roughness[rows] ** 2).clamp_min(MIN_ALPHA)
        parts.append(_integrate_chunk(frame, view, alpha, (drawn, count, generator)))
    return LightTerms(**{name: torch.cat([part[name] for part in parts]) for name in ("base", "a", "b")})


def radiance_of(terms: LightTerms, samples: SurfaceSamples) -> Float[Tensor, "P 3"]:
    """Computes linear radiance towards the view: `pbr_linear` without rotation, exposure and occlusion."""
    grid = table_coordinates(samples.cosine[:, 0], samples.roughness[:, 0])[None, None]
    albedos = F.grid_sample(brdf_table()[None], grid, align_corners=True, padding_mode="border")[0, :, 0].T
    f0 = DIELECTRIC_F0 + (samples.base_color - DIELECTRIC_F0) * samples.metallic
    a, b = albedos.split(1, dim=-1)
    layer = (f0 * terms.a + terms.b) * compensation(f0, a + b)
    return samples.base_color * (1.0 - samples.metallic) * base_share(a, b) * terms.base + layer


@dataclass(frozen=True, slots=True, eq=False)
class _Brightness:
    """An environment that directions can be drawn from: a texel by its brightness, then a place in it."""

    padded: Float[Tensor, "3 rows columns"]
    cumulative: Float[Tensor, "T"]
    density: Float[Tensor, "H W"]
    """Per steradian; constant over each texel."""

    @staticmethod
    def of(environment: Environment) -> "_Brightness":
        """Prepares an environment: its texels by brightness, each brightened by its neighbours."""
        height = environment.radiance.shape[1]
        angles = texel_solid_angles(height)[:, None]
        # A texel's neighbours reach into it bilinearly: a dark texel beside a lamp must be drawn too.
        padded = pad_latlong(environment.radiance)
        around = F.max_pool2d(padded.mean(dim=0)[None, None], 3, stride=1)[0, 0]
        weight = (around + 0.05 * around.mean()) * angles
        weight = weight / weight.sum()
        return _Brightness(padded, weight.reshape(-1).double().cumsum(0).float(), weight / angles)

    def radiance(self, directions: Float[Tensor, "*p 3"]) -> Float[Tensor, "*p 3"]:
        """Returns the environment's radiance in unit directions, by bilinear interpolation."""
        u, v = latlong_coordinates(directions.reshape(-1, 3))
        rows, columns = self.padded.shape[1:]
        x = (u * (columns - 2) + 1.0) * (2.0 / columns) - 1.0
        y = (v * (rows - 2) + 1.0) * (2.0 / rows) - 1.0
        grid = torch.stack([x, y], dim=-1)[None, None]
        return F.grid_sample(self.padded[None], grid, align_corners=False)[0, :, 0].T.reshape(directions.shape)

    def pdf(self, directions: Float[Tensor, "*p 3"]) -> Float[Tensor, "*p"]:
        """Returns the density, per steradian, with which `draw` draws unit directions."""
        u, v = latlong_coordinates(directions.reshape(-1, 3))
        height, width = self.density.shape
        row = (v * height).long().clamp(0, height - 1)
        column = (u * width).long().clamp(0, width - 1)
        return self.density[row, column].reshape(directions.shape[:-1])

    def draw(self, numbers: Float[Tensor, "*p 2"], generator: torch.Generator) -> Float[Tensor, "*p 3"]:
        """Draws unit directions from pairs of uniform numbers; the place along a texel's row comes from `generator`."""
        height, width = self.density.shape
        texel = torch.searchsorted(self.cumulative, numbers[..., 0].contiguous()).clamp_max(height * width - 1)
        row = (texel // width).double()
        column = (texel % width) + torch.rand(texel.shape, generator=generator)
        top, bottom = torch.cos(row * (math.pi / height)), torch.cos((row + 1) * (math.pi / height))
        z = (top + (bottom - top) * numbers[..., 1]).float()
        azimuth = column * (2.0 * math.pi / width) - math.pi
        ring = (1.0 - z * z).clamp_min(0.0).sqrt()
        return torch.stack([ring * torch.cos(azimuth), ring * torch.sin(azimuth), z], dim=-1)


def _frame(normal: Float[Tensor, "P 3"]) -> Float[Tensor, "P 3 3"]:
    """Rows: two tangents and the normal, so that the matrix turns world directions to the surface's own."""
    steep = (normal[:, 2:].abs() > 0.9).float()
    axis = torch.cat([steep, torch.zeros_like(steep), 1.0 - steep], dim=-1)
    tangent = F.normalize(torch.linalg.cross(axis, normal), dim=-1)
    return torch.stack([tangent, torch.linalg.cross(normal, tangent), normal], dim=1)


def _integrate_chunk(
    frame: Float[Tensor, "P 3 3"],
    view: Float[Tensor, "P 3"],
    alpha: Float[Tensor, "P 1"],
    setup: tuple[_Brightness, int, torch.Generator],
) -> dict[str, Tensor]:
    """The three integrals by 3 x count directions a point, in the surface's own frame."""
    drawn, count, generator = setup
    points = len(view)
    spread = hammersley(count)[None] + torch.rand((3, points, 1, 2), generator=generator)
    first, second, third = (spread % 1.0).unbind(0)
    view, alpha = view[:, None].expand(-1, count, -1), alpha.expand(-1, count)
    half = sample_visible_normals(view, alpha, first)
    by_facets = 2.0 * (view * half).sum(dim=-1, keepdim=True) * half - view
    ring, angle = second[..., 0].sqrt(), 2.0 * math.pi * second[..., 1]
    by_cosine = torch.stack([ring * angle.cos(), ring * angle.sin(), (1.0 - second[..., 0]).sqrt()], dim=-1)
    by_light = torch.einsum("pij,pnj->pni", frame, drawn.draw(third, generator))
    light = torch.cat([by_facets, by_cosine, by_light], dim=1)
    view, alpha = view[:, :1].expand_as(light), alpha[:, :1].expand(-1, 3 * count)

    world = F.normalize(torch.einsum("pij,pni->pnj", frame, light), dim=-1)
    half = F.normalize(view + light, dim=-1)
    cosine = light[..., 2].clamp_min(0.0)
    density = ggx_density(half[..., 2], alpha)
    facets = smith_masking(view[..., 2], alpha) * density / (4.0 * view[..., 2])
    total = facets * (cosine > 0) + cosine / math.pi + drawn.pdf(world)
    arriving = drawn.radiance(world) * (cosine / total / count)[..., None]
    schlick = ((1.0 - (view * half).sum(dim=-1).clamp(0.0, 1.0)) ** 5)[..., None]
    visibility = smith_height_correlated(view[..., 2], light[..., 2].clamp_min(1e-7), alpha)
    layer = arriving * (density * visibility)[..., None]
    return {
        "base": arriving.sum(dim=1) / math.pi,
        "a": (layer * (1.0 - schlick)).sum(dim=1),
        "b": (layer * schlick).sum(dim=1),
    }
