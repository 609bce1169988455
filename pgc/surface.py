# SPDX-License-Identifier: Apache-2.0
"""The surface as a texture field sees it: one point a pixel, with what the field needs to look itself up.

Plain data between rendering (which fills it) and texture (which reads it), so that neither imports the other.
"""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

__all__ = ["SurfacePoints"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SurfacePoints:
    """Points on a surface seen by B views of H x W pixels. All tensors share a device.

    Attributes:
        uv: texture coordinates (u, v), origin bottom-left, V up, UDIM-global (never wrapped); 0 off the mask.
        uv_footprint: (du/dx, dv/dx, du/dy, dv/dy), UV units a pixel step, x to the right, y down.
        position: world position, in the units of the mesh that was rendered.
        normal: unit shading normal in world axes, turned towards the viewer; 0 off the mask.
        mask: True where there is a surface point; all else is 0 where it is False.
    """

    uv: Float[Tensor, "B 2 H W"]
    uv_footprint: Float[Tensor, "B 4 H W"]
    position: Float[Tensor, "B 3 H W"]
    normal: Float[Tensor, "B 3 H W"]
    mask: Bool[Tensor, "B 1 H W"]
