# SPDX-License-Identifier: Apache-2.0
"""What a step of the loop looks at, makes and hears."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from pgc.cameras import Camera
from pgc.distillation.base import LatentGradient
from pgc.lighting.base import StepLights
from pgc.rendering.raster.gbuffer import GBuffer
from pgc.surface import SurfacePoints

__all__ = ["Feedback", "Heard", "Picture", "View", "stacked"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """What a step looks at: everything about its picture but the texels."""

    cameras: list[Camera]
    gbuffer: GBuffer
    points: SurfacePoints
    covered: Bool[Tensor, "b 1 h w"]
    """Where the mesh is, be it in a part of a pixel."""
    background: Float[Tensor, "b 3 1 1"]
    lights: StepLights


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """A view with what is learnt, as it is at this moment, in it."""

    view: View
    material: Mapping[str, Tensor]
    image: Float[Tensor, "b c h w"]
    """Three channels of colour; as many as latents have where they stand for them."""
    name: str = ""
    """Tells the pictures of a step apart."""
    stands_for_latents: bool = False
    """Whether the picture, made small, is the latents: no encoder is gone through."""
    target: Float[Tensor, "b 3 h w"] | None = None
    """What the picture is to become, where that is known: the prior is not asked about it."""
    target_weight: float = 0.0
    """Of image − target in ∂L/∂x, which nothing regulates: it is as large as the pictures differ."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Feedback:
    """What the prior wants of a step's pictures."""

    outcome: LatentGradient
    through_encoder: Float[Tensor, "b c h w"]
    """∂L/∂x of the loss on the latents, as the encoder gives it."""
    baseline_shift: Float[Tensor, "b 3 h w"] | None
    """How the picture that finishes are compared with differs from the render, by the weight of the residual."""
    latents: Float[Tensor, "b k m n"] | None = None
    """Those that the prior was asked about."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Heard:
    """A picture, and what is wanted of it."""

    picture: Picture
    feedback: Feedback | None
    """None: what it is to become is known."""
    gradient: Float[Tensor, "b c h w"]
    """∂L/∂x before regulation; finite."""
    lost: Bool[Tensor, "b 1 h w"]
    """Where it was not."""


def stacked(gradients: Sequence[Tensor]) -> Float[Tensor, "b c h w"]:
    """Stacks gradients of pictures one below the other; channels that some pictures lack are zero."""
    most = max(gradient.shape[1] for gradient in gradients)
    return torch.cat([F.pad(each, (0, 0, 0, 0, 0, most - each.shape[1])) for each in gradients])
