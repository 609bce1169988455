# SPDX-License-Identifier: Apache-2.0
"""What light falls on a surface, and who looks at it."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from pgc.rendering.prefilter import PrefilteredEnvironment

__all__ = ["Light", "ViewedLight"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Light:
    """An environment as it stands in the world.

    Attributes:
        environment: prefiltered.
        rotation: radians about +Z, from +X towards +Y; one for all views, or [B].
        exposure: stops; radiance is multiplied by 2 to this power; one for all views, or [B].
    """

    environment: PrefilteredEnvironment
    rotation: float | Float[Tensor, "B"] = 0.0
    exposure: float | Float[Tensor, "B"] = 0.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ViewedLight:
    """A light together with where the cameras are: what a shade function takes."""

    light: Light
    eye: Float[Tensor, "B 3"]
