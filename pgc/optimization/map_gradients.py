# SPDX-License-Identifier: Apache-2.0
"""From what a prior wants of the pictures to the gradients of a material's maps.

An autoencoder does not give back what it is given: small bright highlights come out wider and weaker. A residual
x - D(ẑ) therefore asks for blunter highlights than the prior has in mind, and roughness, which hardly shows
otherwise, follows it step by step. Compared with the render's own reconstruction, D(E(x)) - D(ẑ), both sides have lost
the same. Base colour keeps the plain residual: what a reconstruction leaves out is not held down by the other one,
and paint would fill with speckle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.distillation.base import LatentGradient
from pgc.guidance.base import Guidance
from pgc.guidance.resizing import resize_bilinear

__all__ = ["Baseline", "backward_by_map", "image_residual", "reconstruction_error"]

Baseline = Literal["render", "reconstruction"]
"""What the prior's picture is compared with for the maps that only light shows."""
_COLOR = "base_color"


def image_residual(image: Float[Tensor, "b c h w"], outcome: LatentGradient) -> Float[Tensor, "b c h w"]:
    """Computes ∂L/∂x of the residual in the image alone, λ (x - D(ẑ)); zero for a loss without a target there."""
    if outcome.image_target is None:
        return torch.zeros_like(image)
    target = resize_bilinear(outcome.image_target, image.shape[-1]).to(image)
    return outcome.image_weight * (image - target)


@torch.no_grad()
def reconstruction_error(
    guidance: Guidance, image: Float[Tensor, "b 3 h w"], latents: Float[Tensor, "b k m n"]
) -> Float[Tensor, "b 3 h w"]:
    """Computes D(E(x)) - x, what the autoencoder makes of a picture; `latents` are those of the picture."""
    return resize_bilinear(guidance.decode_latents(latents.detach()), image.shape[-1]).to(image) - image.detach()


def backward_by_map(
    image: Float[Tensor, "b 3 h w"],
    material: Mapping[str, Float[Tensor, "b c h w"]],
    color_gradient: Float[Tensor, "b 3 h w"],
    finish_gradient: Float[Tensor, "b 3 h w"] | None,
) -> None:
    """Goes backward from the image, as `image.backward`, with another ∂L/∂x for all maps but base colour.

    Args:
        image: shaded from `material`, on the graph.
        material: the maps at the pixels, as the texture gave them.
        color_gradient: ∂L/∂x for base colour.
        finish_gradient: ∂L/∂x for the other maps; None: the same.
    """
    if finish_gradient is None:
        image.backward(color_gradient.to(image.dtype))
        return
    colors = [value for name, value in material.items() if name == _COLOR and value.requires_grad]
    finish = [value for name, value in material.items() if name != _COLOR and value.requires_grad]
    gradients: list[Tensor] = []
    for maps, gradient in ((colors, color_gradient), (finish, finish_gradient)):
        if maps:
            # The graph is retained: on its way to one map, autograd also walks behind another that shares the fetch.
            gradients += torch.autograd.grad(image, maps, gradient.to(image.dtype), retain_graph=True)
    torch.autograd.backward([*colors, *finish], gradients)
