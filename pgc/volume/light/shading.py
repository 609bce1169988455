# SPDX-License-Identifier: Apache-2.0
"""How a volume is lit: as it is, under a lamp at the camera, or as plaster under it.

Poole et al., "DreamFusion", 2022, section 3.1: where colour alone is judged, a flat thing painted like a deep one
pleases as well; light, and light without colour now and then, tell them apart. DreamFusion's lamp stands near the
camera at random; this one stands in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.errors import ConfigError
from pgc.randomness import generator_for

__all__ = ["ShadingConfig", "StepShading", "drawn_shading", "lit_color"]

StepShading = Literal["plain", "lit", "plaster"]
_PLASTER = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadingConfig:
    """How often which light is seen."""

    lit: float = 0.0
    """Share of the steps under a lamp."""
    plaster: float = 0.0
    """Share of these without colours."""
    plain_until: float = 0.0
    """Part of the run before which no step is lit; Stable-DreamFusion's is a fifth."""
    ambient: float = 0.3
    """Share of light that comes from everywhere."""

    def __post_init__(self) -> None:
        for name in ("lit", "plaster", "plain_until", "ambient"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"shading.{name} is {getattr(self, name)}; it must lie in [0, 1].")


def drawn_shading(config: ShadingConfig, seed: int, index: int, progress: float) -> StepShading:
    """Draws how the volume is lit in step `index`."""
    lamp, colors = torch.rand(2, generator=generator_for(seed, index, "shading")).tolist()
    if progress < config.plain_until or lamp >= config.lit:
        return "plain"
    return "plaster" if colors < config.plaster else "lit"


def lit_color(
    shading: StepShading,
    config: ShadingConfig,
    color: Float[Tensor, "b 3 h w"],
    opacity: Float[Tensor, "b 1 h w"],
    facing: Float[Tensor, "b 1 h w"] | None,
) -> Float[Tensor, "b 3 h w"]:
    """Returns the colours under the light, times opacity.

    Args:
        shading: of this step.
        config: how strong the lamp is.
        color: without light, times opacity.
        opacity: of each pixel.
        facing: cosine between the normal and the way to the lamp; None only where shading is plain.
    """
    if shading == "plain":
        return color
    assert facing is not None
    light = config.ambient + (1.0 - config.ambient) * facing.clamp_min(0.0)
    return light * ((_PLASTER * opacity).expand_as(color) if shading == "plaster" else color)
