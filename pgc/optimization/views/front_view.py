# SPDX-License-Identifier: Apache-2.0
"""PGC-3D's loss of a reference view (`--ref_path`): the front is to look like a picture, beside what the prior wants.

There it is 0.1 · Σ (x - x_ref)², at a pose of its own, and works with each of its references, wanted or not. Here the
pose is that of the first picture in `preview.png`, the difference counts where the mesh is and the picture opaque, and
nothing regulates it: it is as large as the pictures differ.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pgc.guidance.resizing import resize_bilinear
from pgc.optimization.step_parts import Picture

__all__ = ["seen_of", "towards_picture"]

_OPAQUE = 0.5


def towards_picture(shown: Picture, wanted: Float[Tensor, "1 4 s s"], scale: float) -> Picture:
    """Returns a picture with what it is to become.

    Args:
        shown: one view.
        wanted: sRGB and alpha in [0, 1]; beyond the mesh, and where this is more transparent than opaque, nothing is
            compared.
        scale: weight of image - target in ∂L/∂x.
    """
    image = shown.image
    colors, opaque = seen_of(wanted.to(image), image.shape[-1])
    target = torch.where(shown.view.covered & opaque, colors, image.detach())
    return replace(shown, name="front", target=target, target_weight=scale)


def seen_of(
    wanted: Float[Tensor, "1 4 s s"], side: int
) -> tuple[Float[Tensor, "1 3 {side} {side}"], Bool[Tensor, "1 1 {side} {side}"]]:
    """Returns a picture's colours at another size, into which hidden ones do not come, and where it is opaque."""
    alpha = wanted[:, 3:]
    layers = resize_bilinear(torch.cat([wanted[:, :3] * alpha, alpha], dim=1), side)
    seen = layers[:, 3:]
    return (layers[:, :3] / seen.clamp_min(1e-3)).clamp(0.0, 1.0), seen >= _OPAQUE
