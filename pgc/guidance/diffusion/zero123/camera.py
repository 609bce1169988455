# SPDX-License-Identifier: Apache-2.0
"""How a camera moved, as Zero123 is told it.

The model was trained on renders of a Z-up world whose objects fit into a cube of side 1 around the origin. Of each
camera's place it knows the polar angle θ from +Z (0 straight above, π/2 level with the object), the azimuth from +X
towards +Y, and the distance r, and is told (Δθ, sin Δφ, cos Δφ, Δr), each the new view's less the reference's. Here:

- a camera that rises has a negative Δθ;
- one that walks counterclockwise, as seen from above, has a positive Δφ: it sees more of the side that is on the right
  of the reference picture;
- one that steps back has a positive Δr, in sides of that cube, which is 1.6 of our normalised mesh.

How cameras are turned is not told: all look at the middle, upright.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["UNIT", "relative_camera", "spherical"]

UNIT = 1.6
"""Side of the cube that a normalised mesh fits into, which is 1 for the model."""


def spherical(position: Float[Tensor, "*b 3"]) -> tuple[Float[Tensor, "*b"], Float[Tensor, "*b"], Float[Tensor, "*b"]]:
    """Returns polar angle from +Z, azimuth from +X towards +Y, both radians, and distance of points."""
    level = torch.linalg.vector_norm(position[..., :2], dim=-1)
    polar = torch.atan2(level, position[..., 2])
    return polar, torch.atan2(position[..., 1], position[..., 0]), torch.linalg.vector_norm(position, dim=-1)


def relative_camera(
    camera_to_world: Float[Tensor, "b 4 4"], reference_to_world: Float[Tensor, "4 4"]
) -> Float[Tensor, "b 4"]:
    """Returns what the model is told of views: (Δθ, sin Δφ, cos Δφ, Δr), float32."""
    polar, azimuth, distance = spherical(camera_to_world[:, :3, 3].double())
    own_polar, own_azimuth, own_distance = spherical(reference_to_world[:3, 3].double())
    turned = azimuth - own_azimuth
    told = (polar - own_polar, turned.sin(), turned.cos(), (distance - own_distance) / UNIT)
    return torch.stack(told, dim=-1).float()
