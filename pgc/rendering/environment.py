# SPDX-License-Identifier: Apache-2.0
"""Environments made by formula, so that no picture of anybody's needs a licence: studio, sky, overcast, coloured key.

All are linear Rec. 709 of 128 x 256 texels (see `pgc.rendering.latlong`), scaled so that a white diffuse ball under
them has a mean radiance of MEAN_RADIANCE: exposure 0 then fits the tone curve under every one of them.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.rendering.latlong import Environment, texel_directions, texel_solid_angles
from pgc.rendering.prefilter import PrefilteredEnvironment, prefilter

__all__ = [
    "MEAN_RADIANCE",
    "Environment",
    "PrefilteredEnvironment",
    "colored_key",
    "overcast",
    "prefilter",
    "random_environment",
    "sky",
    "studio",
]

MEAN_RADIANCE = 0.55
"""Mean over all directions, as luminance-free mean of the three channels: mid-tones of a white surface."""

_HEIGHT = 128
_EDGE = 0.05
"""Half the width of an area light's soft edge, radians: two texels, so that bilinear lookups hold."""

Color = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """A rectangular area light that faces the origin.

    Attributes:
        azimuth, elevation: of its centre, radians.
        width, height: full angles it spans, radians.
        color: radiance, linear.
    """

    azimuth: float
    elevation: float
    width: float
    height: float
    color: Color

    def radiance(self, directions: Float[Tensor, "H W 3"]) -> Float[Tensor, "H W 3"]:
        """Returns the panel's radiance towards unit directions; 0 where they miss it."""
        center = _unit(self.azimuth, self.elevation)
        side = torch.tensor([-math.sin(self.azimuth), math.cos(self.azimuth), 0.0])
        up = torch.linalg.cross(center, side)
        ahead = (directions @ center).clamp_min(1e-6)
        across = torch.atan2(directions @ side, ahead).abs()
        along = torch.atan2(directions @ up, ahead).abs()
        inside = _soft(0.5 * self.width - across) * _soft(0.5 * self.height - along)
        facing = (directions @ center > 0.05).float()
        return (inside * facing)[..., None] * torch.tensor(self.color)


def studio() -> Environment:
    """Makes a dim room with a large soft key, a strip light, a ceiling panel and a rim light; all white, some warm."""
    floor, ceiling = (0.10, 0.10, 0.10), (0.22, 0.22, 0.23)
    panels = [
        _Panel(azimuth=-2.2, elevation=0.75, width=0.9, height=0.9, color=(9.0, 8.8, 8.4)),
        _Panel(azimuth=0.1, elevation=0.25, width=0.35, height=1.3, color=(5.5, 5.7, 6.0)),
        _Panel(azimuth=1.9, elevation=0.45, width=0.5, height=0.5, color=(6.0, 5.6, 5.0)),
        _Panel(azimuth=0.0, elevation=1.5, width=0.7, height=0.7, color=(5.0, 5.0, 5.0)),
    ]
    return _environment("studio", _gradient(floor, ceiling, 2.0), panels)


def sky() -> Environment:
    """Makes a clear sky, brighter at the horizon and around a low sun (softened to a few degrees), over brown
    ground."""
    directions = texel_directions(_HEIGHT)
    height = directions[..., 2:]
    sun = _unit(-0.9, 0.7)
    near_sun = (directions @ sun)[..., None].clamp_min(0.0)
    zenith, horizon = torch.tensor([0.16, 0.32, 0.75]), torch.tensor([0.75, 0.85, 1.0])
    clear = horizon + (zenith - horizon) * height.clamp_min(0.0) ** 0.45
    clear = clear + torch.tensor([1.0, 0.85, 0.6]) * (0.35 * near_sun**12)
    ground = torch.tensor([0.20, 0.17, 0.13]).expand_as(directions)
    radiance = torch.where(height > 0.0, clear, ground)
    blend = _soft(torch.asin(height.clamp(-1.0, 1.0)))
    radiance = ground + (radiance - ground) * blend
    disc = _soft(0.09 - torch.acos(near_sun.clamp(0.0, 1.0)))
    return _normalized("sky", radiance + disc * torch.tensor([75.0, 66.0, 50.0]))


def overcast() -> Environment:
    """Makes the CIE overcast sky, L = (1 + 2 sin elevation) / 3 of the zenith's, over grey ground: nearly no shadow."""
    height = texel_directions(_HEIGHT)[..., 2:]
    cloud = torch.tensor([0.93, 0.97, 1.0]) * (1.0 + 2.0 * height.clamp_min(0.0)) / 3.0
    ground = torch.tensor([0.22, 0.21, 0.20]).expand_as(cloud)
    return _normalized("overcast", ground + (cloud - ground) * _soft(torch.asin(height.clamp(-1.0, 1.0))))


def colored_key() -> Environment:
    """Makes the light of a stage: an orange key, a blue fill from the other side and a magenta rim in a nearly dark
    room."""
    panels = [
        _Panel(azimuth=-2.4, elevation=0.6, width=0.7, height=0.7, color=(14.0, 7.0, 2.2)),
        _Panel(azimuth=-0.5, elevation=0.2, width=0.9, height=1.1, color=(0.9, 2.2, 6.0)),
        _Panel(azimuth=1.6, elevation=0.5, width=0.4, height=0.8, color=(6.0, 1.2, 4.5)),
    ]
    return _environment("colored_key", _gradient((0.06, 0.06, 0.08), (0.12, 0.12, 0.16), 1.0), panels)


def random_environment(generator: torch.Generator) -> Environment:
    """Draws ground and sky of random tints with two to five random area lights; `generator` is a CPU generator."""

    def draw(low: float, high: float) -> float:
        """Draws a number between `low` and `high`."""
        return low + (high - low) * float(torch.rand((), generator=generator))

    def tint(strength: float, saturation: float) -> Color:
        """Draws a colour of at most this strength and saturation."""
        channels = [strength * (1.0 - saturation * draw(0.0, 1.0)) for _ in range(3)]
        return (channels[0], channels[1], channels[2])

    below, above = tint(draw(0.05, 0.4), 0.4), tint(draw(0.1, 0.9), 0.6)
    panels = []
    for _ in range(int(torch.randint(2, 6, (), generator=generator))):
        elevation = math.asin(draw(-0.35, 1.0))
        width, height = draw(0.25, 1.1), draw(0.25, 1.1)
        color = tint(draw(1.5, 5.0) / (width * height), 0.7)
        panels.append(
            _Panel(azimuth=draw(-math.pi, math.pi), elevation=elevation, width=width, height=height, color=color)
        )
    return _environment("random", _gradient(below, above, draw(0.7, 3.0)), panels)


def _environment(name: str, background: Float[Tensor, "H W 3"], panels: list[_Panel]) -> Environment:
    directions = texel_directions(_HEIGHT)
    radiance = background
    for panel in panels:
        radiance = radiance + panel.radiance(directions)
    return _normalized(name, radiance)


def _normalized(name: str, radiance: Float[Tensor, "H W 3"]) -> Environment:
    """Scales to MEAN_RADIANCE over the sphere."""
    share = texel_solid_angles(_HEIGHT)[:, None, None] / (4.0 * math.pi)
    mean = (radiance * share).sum() / 3.0
    return Environment(name, (radiance * (MEAN_RADIANCE / mean)).permute(2, 0, 1).contiguous())


def _gradient(below: Color, above: Color, power: float) -> Float[Tensor, "H W 3"]:
    """From one colour straight below to another straight above."""
    share = (0.5 + 0.5 * texel_directions(_HEIGHT)[..., 2:]) ** power
    low, high = torch.tensor(below), torch.tensor(above)
    return low + (high - low) * share


def _unit(azimuth: float, elevation: float) -> Float[Tensor, "3"]:
    flat = math.cos(elevation)
    return torch.tensor([flat * math.cos(azimuth), flat * math.sin(azimuth), math.sin(elevation)])


def _soft(inside: Tensor) -> Tensor:
    """0 to 1 over the soft edge, by a cubic step; `inside` is the angle inside the edge, radians."""
    share = (inside / (2.0 * _EDGE) + 0.5).clamp(0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)
