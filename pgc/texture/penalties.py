# SPDX-License-Identifier: Apache-2.0
"""What is likely of a material before any light falls on it: penalties on texels, each with its own switch.

    metallic_extremes   m (1 - m): surfaces are metal or they are not; mixtures are blur between the two
    smoothness          roughness and metallic change where the base colour does, seldom elsewhere: the length of
                        their differences between neighbouring texels, weighted by how alike the two base colours are
                        (an edge-aware total variation; Rudin, Osher and Fatemi, 1992)
    color_smoothness    base colour has few steps: its total variation a channel, edges and all. Little of it is enough
                        against single texels that the optimiser has thrown far off, and it keeps an edge's place
    flat_light          the logarithm of base colour, freed of the mean of its region, has no part that follows the
                        normal like the irradiance of a distant light: its fit by spherical harmonics of order 2
                        (Ramamoorthi and Hanrahan, 2001: nine coefficients hold 99 % of any irradiance)
    regions             roughness and metallic agree within a region (a material slot of the mesh) where they nearly
                        do: see pgc.texture.region_penalty

All are means over the texels inside charts, so that a weight means the same at every texture size. Weights are in
units of the gradient on one pixel; 0 switches a prior off, and all at 0 cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pgc.errors import ConfigError
from pgc.mesh.data import TriangleMesh
from pgc.randomness import generator_for
from pgc.texture.material_field import MaterialField
from pgc.texture.region_penalty import RegionOrder, region_penalty
from pgc.texture.texel_surface import TexelSurface

__all__ = [
    "MaterialPenalties",
    "MaterialPriorConfig",
    "TexelPenalty",
    "extremes_penalty",
    "harmonics",
    "light_penalty",
    "smoothness_penalty",
]

_SOFT_LENGTH = 0.02
"""Differences below this count by their square: total variation without its corner at zero."""
_DARKEST = 0.02
"""Base colours below this have no logarithm worth fitting."""
_PARTNERS = 4
"""Pairs a texel and step of the region prior: few are cheap, and steps add up to all."""


@runtime_checkable
class TexelPenalty(Protocol):
    """A penalty on the texels themselves, beside what the rendered image asks for."""

    def penalty(self, step: int, progress: float) -> Tensor | None:
        """Returns a scalar with a graph to the texels, in gradient units a pixel; None where this step has none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MaterialPriorConfig:
    """Weights and timing; see the module's text.

    Attributes:
        metallic_extremes, smoothness, color_smoothness, flat_light, regions: weights, 0 or more.
        roughness_smoothness: factor of the smoothness on roughness over that on metallic.
        color_scale: distance in sRGB at which two base colours count as different, above 0.
        region_scale: distance in roughness and metallic at which two texels count as different substances, above 0.
        from_progress: progress at which `metallic_extremes` and `regions` begin; they grow linearly to their weight at
            the end. Begun at once, they would decide before there is anything to decide on.
        every: the priors act in every so many steps, with so many times their weight.

    Raises:
        ConfigError: a value is out of range.
    """

    metallic_extremes: float = 0.0
    smoothness: float = 0.0
    roughness_smoothness: float = 1.0
    color_smoothness: float = 0.0
    flat_light: float = 0.0
    regions: float = 0.0
    color_scale: float = 0.1
    region_scale: float = 0.3
    from_progress: float = 0.3
    every: int = 1

    def __post_init__(self) -> None:
        weights = (
            "metallic_extremes",
            "smoothness",
            "roughness_smoothness",
            "color_smoothness",
            "flat_light",
            "regions",
        )
        for name in weights:
            if not getattr(self, name) >= 0.0:
                raise ConfigError(f"priors.{name} is {getattr(self, name)}; it must be 0 or more.")
        if not (self.color_scale > 0.0 and self.region_scale > 0.0):
            raise ConfigError(
                f"Got color_scale {self.color_scale} and region_scale {self.region_scale}; expected both above 0."
            )
        if not (0.0 <= self.from_progress < 1.0 and self.every >= 1):
            raise ConfigError(
                f"Got from_progress {self.from_progress}, every {self.every}; expected in [0, 1), and 1 or more."
            )

    @property
    def is_off(self) -> bool:
        """Whether no prior has a weight."""
        weights = (self.metallic_extremes, self.smoothness, self.color_smoothness, self.flat_light, self.regions)
        return not any(weights)


def extremes_penalty(metallic: Float[Tensor, "n 1 s s"], inside: Bool[Tensor, "n 1 s s"]) -> Float[Tensor, ""]:
    """Returns the mean of m (1 - m) inside the charts: 0 for pure metal and pure non-metal, 1/4 half-way."""
    value = metallic[inside]
    return (value * (1.0 - value)).mean()


def smoothness_penalty(
    values: Float[Tensor, "n c s s"],
    guide: Float[Tensor, "n 3 s s"],
    regions: Int[Tensor, "n 1 s s"],
    color_scale: float,
) -> Float[Tensor, ""]:
    """Returns the edge-aware total variation of the values over neighbours of one region, a texel inside the charts.

    Args:
        values: what should be smooth.
        guide: base colour; where it changes, so may the values. No gradient flows into it.
        regions: region of each texel, -1 outside the charts; neighbours of two regions are not held together.
        color_scale: difference of base colour (L2 norm, sRGB) at which the hold drops to exp(-1/2).
    """
    guide = guide.detach()
    total = values.new_zeros(())
    for dim in (2, 3):
        length = values.shape[dim] - 1
        first, second = (part.narrow(dim, start, length) for part, start in ((values, 0), (values, 1)))
        here, there = regions.narrow(dim, 0, length), regions.narrow(dim, 1, length)
        change = (guide.narrow(dim, 0, length) - guide.narrow(dim, 1, length)).square().sum(dim=1, keepdim=True)
        hold = torch.exp(change * (-0.5 / color_scale**2)) * ((here == there) & (here >= 0))
        difference = ((first - second).square() + _SOFT_LENGTH**2).sqrt() - _SOFT_LENGTH
        total = total + (hold * difference).sum()
    return total / (regions >= 0).sum().clamp_min(1)


def harmonics(normals: Float[Tensor, "p 3"]) -> Float[Tensor, "p 9"]:
    """Evaluates real spherical harmonics up to order 2 at unit vectors, unnormalised: 1, x, y, z, xy, yz, xz, x²-y²,
    3z²-1."""
    x, y, z = normals.unbind(1)
    columns = (torch.ones_like(x), x, y, z, x * y, y * z, x * z, x * x - y * y, 3.0 * z * z - 1.0)
    return torch.stack(columns, dim=1)


def light_penalty(
    base_color: Float[Tensor, "p 3"],
    basis: Float[Tensor, "p 9"],
    inverse: Float[Tensor, "9 p"],
    regions: Int[Tensor, " p"],
    count: int,
) -> Float[Tensor, ""]:
    """Returns the variance of what the harmonics explain of log mean base colour, freed of each region's mean.

    Args:
        base_color: texels inside the charts.
        basis: `harmonics` of their normals.
        inverse: pseudo-inverse of `basis`.
        regions: region of each, 0 to count - 1.
        count: number of regions.
    """
    tone = base_color.mean(dim=1).clamp_min(_DARKEST).log()
    tone = tone - _region_means(tone, regions, count)[regions]
    return (basis @ (inverse @ tone)).square().mean()


def _region_means(values: Float[Tensor, " p"], regions: Int[Tensor, " p"], count: int) -> Float[Tensor, " n"]:
    numbers = torch.bincount(regions, minlength=count).clamp_min(1).to(values)
    return values.new_zeros(count).index_add(0, regions, values) / numbers


@dataclass(frozen=True, slots=True, eq=False)
class _Level:
    """What the priors need of the charts at one level."""

    regions: Tensor
    """[tiles, 1, s, s] int64, -1 outside the charts."""
    flat: Tensor
    """[p] places of the texels inside, into tiles*s*s."""
    flat_regions: Tensor
    order: RegionOrder
    basis: Tensor
    inverse: Tensor


class MaterialPenalties:
    """The priors of one material field.

    Args:
        field: whose texels are held.
        triangles: the mesh; its material slots are the regions.
        config: weights.
    """

    def __init__(self, field: MaterialField, triangles: TriangleMesh, config: MaterialPriorConfig) -> None:
        self.field = field
        self.config = config
        self._count = int(triangles.material_index.max()) + 1
        self._slots = torch.from_numpy(triangles.material_index.astype("int64"))
        self._levels: dict[int, _Level] = {}

    def penalty(self, step: int, progress: float) -> Tensor | None:
        """Returns what `TexelPenalty.penalty` says."""
        config = self.config
        if config.is_off or step % config.every:
            return None
        level = self.field.finest_live
        charts = self._level(level)
        base = self.field.texels("base_color", level)
        soft = torch.cat([self.field.texels("roughness", level), self.field.texels("metallic", level)], dim=1)
        total = base.new_zeros(())
        if config.smoothness:
            factor = soft.new_tensor((config.roughness_smoothness, 1.0))[:, None, None]
            held = smoothness_penalty(soft * factor, base, charts.regions, config.color_scale)
            total = total + config.smoothness * held
        if config.color_smoothness:
            plain = torch.zeros_like(base)
            found = smoothness_penalty(base, plain, charts.regions, config.color_scale)
            total = total + config.color_smoothness * found
        if config.flat_light:
            found = light_penalty(
                _pick(base, charts.flat), charts.basis, charts.inverse, charts.flat_regions, self._count
            )
            total = total + config.flat_light * found
        late = (progress - config.from_progress) / (1.0 - config.from_progress)
        if config.metallic_extremes and late > 0.0:
            total = total + config.metallic_extremes * late * extremes_penalty(soft[:, 1:], charts.regions >= 0)
        if config.regions and late > 0.0:
            total = total + config.regions * late * self._region_penalty(_pick(soft, charts.flat), charts.order, step)
        return total * config.every

    def _region_penalty(self, values: Tensor, order: RegionOrder, step: int) -> Tensor:
        draws = torch.rand((_PARTNERS, self._count), generator=generator_for(0, step, "region partners"))
        parts = [region_penalty(values, order.partners(row), self.config.region_scale) for row in draws]
        return torch.stack(parts).mean()

    def _level(self, level: int) -> _Level:
        if level not in self._levels:
            device = next(self.field.parameters()).device
            self._levels[level] = _build_level(self.field.surfaces, self._slots, self._count, level, device)
        return self._levels[level]


def _pick(values: Float[Tensor, "n c s s"], flat: Int[Tensor, " p"]) -> Float[Tensor, "p c"]:
    return values.permute(0, 2, 3, 1).reshape(-1, values.shape[1])[flat]


def _build_level(
    surfaces: Sequence[TexelSurface], slots: Tensor, count: int, level: int, device: torch.device
) -> _Level:
    """Each coarse texel speaks for the texel at its middle: near enough for priors, and exact at level 0."""
    stride = 1 << level
    regions, normals = [], []
    for surface in surfaces:
        faces = torch.from_numpy(surface.face_index)[stride // 2 :: stride, stride // 2 :: stride].long()
        inside = torch.from_numpy(surface.inside)[stride // 2 :: stride, stride // 2 :: stride]
        regions.append(torch.where(inside, slots[faces.clamp_min(0)], -1))
        normals.append(torch.from_numpy(surface.normal)[stride // 2 :: stride, stride // 2 :: stride])
    region = torch.stack(regions)[:, None]
    flat = (region.reshape(-1) >= 0).nonzero().squeeze(1)
    basis = harmonics(torch.stack(normals).reshape(-1, 3)[flat].double())
    flat_regions = region.reshape(-1)[flat].to(device)
    return _Level(
        regions=region.to(device),
        flat=flat.to(device),
        flat_regions=flat_regions,
        order=RegionOrder.of(flat_regions, count),
        basis=basis.float().to(device),
        inverse=torch.linalg.pinv(basis).float().to(device),
    )
