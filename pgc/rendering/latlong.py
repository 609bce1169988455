# SPDX-License-Identifier: Apache-2.0
"""Radiance from all directions as a latitude-longitude picture, and how directions map to its texels.

World Z is up. Row 0 is at +Z, the last row at -Z; columns run through the azimuth from -180° to 180°, measured from
+X towards +Y. Texel (row, column) of [H, W] has its centre at polar angle (row + 0.5) pi / H and azimuth
(column + 0.5) 2 pi / W - pi. Between centres radiance is bilinear; it wraps in azimuth and goes on across the poles.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.errors import ConfigError

__all__ = ["Environment", "latlong_coordinates", "pad_latlong", "texel_directions", "texel_solid_angles"]

_AT_POLE = 1e-9
"""Squared distance from the Z axis under which the azimuth of a unit direction is left at a fixed value."""


@dataclass(frozen=True, slots=True, eq=False)
class Environment:
    """Light from infinitely far away.

    Attributes:
        name: for people and reports.
        radiance: [3, H, W] float32, linear Rec. 709, >= 0, W = 2 H, H even; laid out as this module says.

    Raises:
        ConfigError: the radiance has another shape, is negative or not finite.
    """

    name: str
    radiance: Float[Tensor, "3 H W"]

    def __post_init__(self) -> None:
        height, width = self.radiance.shape[1:]
        if width != 2 * height or height % 2 or height < 4:
            raise ConfigError(
                f"Environment '{self.name}' is {height} x {width}; expected H x 2H with H even, from 4 on."
            )
        if not bool(torch.isfinite(self.radiance).all()) or bool((self.radiance < 0).any()):
            raise ConfigError(f"Environment '{self.name}' has radiance that is negative or not finite; clean it first.")


def texel_directions(height: int, device: torch.device | str = "cpu") -> Float[Tensor, "H W 3"]:
    """Returns unit directions of the texel centres of a picture of `height` x 2 `height`."""
    polar = (torch.arange(height, device=device) + 0.5) * (math.pi / height)
    azimuth = (torch.arange(2 * height, device=device) + 0.5) * (math.pi / height) - math.pi
    ring = torch.sin(polar)[:, None]
    z = torch.cos(polar)[:, None].expand(height, 2 * height)
    return torch.stack([ring * torch.cos(azimuth), ring * torch.sin(azimuth), z], dim=-1)


def texel_solid_angles(height: int, device: torch.device | str = "cpu") -> Float[Tensor, "H"]:
    """Returns the solid angle of one texel of each row, in steradians; 2 `height` of each make 4 pi together."""
    edges = torch.cos(torch.arange(height + 1, device=device, dtype=torch.float64) * (math.pi / height))
    return ((edges[:-1] - edges[1:]) * (math.pi / height)).float()


def latlong_coordinates(directions: Float[Tensor, "P 3"]) -> tuple[Float[Tensor, "P"], Float[Tensor, "P"]]:
    """Turns unit directions into (u, v): u in [0, 1] along the azimuth, v in [0, 1] from +Z down. Gradients stay
    finite."""
    x, y, z = directions.unbind(-1)
    ring = x * x + y * y
    at_pole = ring < _AT_POLE
    x = torch.where(at_pole, torch.ones_like(x), x)
    azimuth = torch.atan2(torch.where(at_pole, torch.zeros_like(y), y), x)
    polar = torch.atan2(ring.clamp_min(_AT_POLE).sqrt(), z)
    return azimuth * (0.5 / math.pi) + 0.5, polar / math.pi


def pad_latlong(radiance: Float[Tensor, "C H W"]) -> Float[Tensor, "C H+2 W+2"]:
    """Adds one texel more on every side: what lies beyond the seam, and beyond the poles on the other meridian."""
    half = radiance.shape[-1] // 2
    top, bottom = radiance[:, :1].roll(half, dims=-1), radiance[:, -1:].roll(half, dims=-1)
    tall = torch.cat([top, radiance, bottom], dim=1)
    return torch.cat([tall[..., -1:], tall, tall[..., :1]], dim=-1)
