# SPDX-License-Identifier: Apache-2.0
"""PGC-3D's loss of a reference view (`--ref_path`): the front is to look like a picture, beside what the prior wants.

There it is 0.1 · Σ (x - x_ref)², at a pose of its own, and works with each of its references, wanted or not. Here the
pose is that of the first picture in `preview.png`, the difference counts where the mesh is, and nothing regulates it:
it is as large as the pictures differ.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.guidance.resizing import resize_bilinear
from pgc.optimization.step_parts import Picture

__all__ = ["towards_picture"]


def towards_picture(shown: Picture, wanted: Float[Tensor, "1 3 s s"], scale: float) -> Picture:
    """Returns a picture with what it is to become.

    Args:
        shown: one view.
        wanted: sRGB in [0, 1]; beyond the mesh nothing is compared.
        scale: weight of image - target in ∂L/∂x.
    """
    image = shown.image
    target = torch.where(shown.view.covered, resize_bilinear(wanted.to(image), image.shape[-1]), image.detach())
    return replace(shown, name="front", target=target, target_weight=scale)
