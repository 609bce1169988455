# SPDX-License-Identifier: Apache-2.0
"""The mesh over a background, and random backgrounds."""

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["composite", "plain_background", "random_background"]


def composite(
    image: Float[Tensor, "B 3 H W"], coverage: Float[Tensor, "B 1 H W"], background: Float[Tensor, "#B 3 #H #W"]
) -> Float[Tensor, "B 3 H W"]:
    """Lays the shaded mesh over a background: coverage * image + (1 - coverage) * background.

    Args:
        image: shaded colours in [0, 1]; at a silhouette the colour of the surface alone (see `GBuffer`).
        coverage: share of each pixel that the mesh covers, in [0, 1].
        background: colours in [0, 1], [B, 3, H, W], or [B, 3, 1, 1] for one colour a view.

    Returns:
        The picture; its gradient by `image` is `coverage`.
    """
    return image * coverage + background * (1.0 - coverage)


def plain_background(
    views: int, color: tuple[float, float, float], device: torch.device | str = "cpu"
) -> Float[Tensor, "views 3 1 1"]:
    """Returns one colour (sRGB in [0, 1]) behind all views.

    Raises:
        ValueError: a channel is outside [0, 1].
    """
    if not all(0.0 <= channel <= 1.0 for channel in color):
        raise ValueError(f"Got background {color}; expected three numbers in [0, 1].")
    return torch.tensor(color, dtype=torch.float32, device=device).view(1, 3, 1, 1).expand(views, 3, 1, 1)


def random_background(views: int, generator: torch.Generator, *, grey: bool = False) -> Float[Tensor, "views 3 1 1"]:
    """Draws a plain colour a view, uniform over the RGB cube (or over greys), on the generator's device."""
    channels = 1 if grey else 3
    color = torch.rand((views, channels, 1, 1), generator=generator, device=generator.device)
    return color.expand(views, 3, 1, 1)
