# SPDX-License-Identifier: Apache-2.0
"""What an artist sets of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from ..errors import FieldError
from ..fields import Strict, check_within
from ..limits import DEFAULT_LIMITS
from ..structure import LATER

__all__ = ["SettingsSpec"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsSpec(Strict):
    """What the artist sets of a run; None leaves a value to the preset.

    `separate_slots`: the material slots of the meshes are different materials, of which nothing is blended.
    """

    preset: Literal["draft", "standard", "fine"] = "standard"
    seed: int = 0
    steps: int | None = None
    views: int | None = None
    resolution: int | None = None
    texture_size: int | None = None
    separate_slots: bool = False
    strength: float | None = field(default=None, metadata={LATER: True})
    """How much of the initial texture may change."""
    texture_field: Literal["texels", "hashgrid"] = field(default="texels", metadata={LATER: True})
    """What is optimised: texels, or the hash grid and the network of PGC's paper."""
    warm_start: bool | None = field(default=None, metadata={LATER: True})
    """Whether pictures from all round, sampled together, come before the first step; None: what the model does."""
    mask_start: Literal["present", "anew"] = field(default="present", metadata={LATER: True})
    """With a lock mask: whether other texels begin as the initial texture has them, or as without one."""
    soft_edge: int = field(default=0, metadata={LATER: True})
    """Width in texels of the band beside kept texels in which new ones come to meet them."""
    explain_light: bool | None = field(default=None, metadata={LATER: True})
    """Whether the light of what the model wants is found, and the maps learn under that; None: no."""

    def __post_init__(self) -> None:
        check_within("seed", self.seed, 0, (1 << 63) - 1)
        check_within("steps", self.steps, 1, 1_000_000)
        check_within("strength", self.strength, 0.01, 1.0)
        check_within("views", self.views, 1, DEFAULT_LIMITS.views)
        check_within("soft_edge", self.soft_edge, 0, 256)
        check_within("resolution", self.resolution, 16, 4096)
        size = self.texture_size
        if size is not None and not (16 <= size <= DEFAULT_LIMITS.image_max and size & (size - 1) == 0):
            raise FieldError("texture_size", f"Got {size}; expected a power of two from 16 to 8192.")
