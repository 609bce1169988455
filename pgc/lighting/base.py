# SPDX-License-Identifier: Apache-2.0
"""Which light falls on the mesh in a step: the interface that the loop draws from (see environments.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from pgc.cameras import Camera
from pgc.rendering.light import ViewedLight

__all__ = ["Lighting", "StepLights"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepLights:
    """The light of one step: what the texture is shown under, and what the oracle's reference is."""

    render: ViewedLight | None
    """What the texture is shown under; goes to the shade function as it is. None: unlit."""
    reference: ViewedLight | None
    """What the oracle's known material is shown under: the same object where the light is known."""


@runtime_checkable
class Lighting(Protocol):
    """Draws the light of each step."""

    def draw(self, cameras: Sequence[Camera], generator: torch.Generator) -> StepLights:
        """Draws the light on these views; all randomness comes from `generator` (a CPU generator)."""
        ...
