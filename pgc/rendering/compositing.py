# SPDX-License-Identifier: Apache-2.0
"""The mesh over a background."""

from jaxtyping import Float
from torch import Tensor

__all__ = ["composite"]


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
