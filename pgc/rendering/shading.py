# SPDX-License-Identifier: Apache-2.0
"""Shading: material values at the pixels become an image. Shade functions are pure and differentiable."""

from collections.abc import Callable, Mapping

from jaxtyping import Float
from torch import Tensor

from pgc.errors import TextureError
from pgc.rendering.light import ViewedLight
from pgc.rendering.raster.gbuffer import GBuffer

__all__ = ["Shade", "unlit"]

Shade = Callable[[GBuffer, Mapping[str, Tensor], ViewedLight | None], Tensor]
"""(gbuffer of B views, material {name: [B, c, H, W]}, light or None) -> image [B, 3, H, W] in [0, 1], sRGB."""


def unlit(
    gbuffer: GBuffer, material: Mapping[str, Float[Tensor, "B c H W"]], light: ViewedLight | None = None
) -> Float[Tensor, "B 3 H W"]:
    """Returns the base colour as it stands in the texture: no light, no conversion.

    Base colour is stored in sRGB, and diffusion priors see sRGB, so it is shown as it is.

    Args:
        gbuffer: the visible surface; not used beyond its size.
        material: must hold "base_color" [B, 3, H, W], sRGB in [0, 1], 0 off the mask.
        light: must be None; an unlit surface ignores light, and a caller who passes one means another shading.

    Raises:
        TextureError: there is no base colour, it is not of the G-buffer's size, or a light is given.
    """
    if light is not None:
        raise TextureError("Got a light for unlit shading, which ignores it; pass None or choose another shading.")
    if "base_color" not in material:
        raise TextureError(f"Got a material of {sorted(material)}; unlit shading needs 'base_color'.")
    color = material["base_color"]
    views, height, width = gbuffer.face_index.shape
    if tuple(color.shape) != (views, 3, height, width):
        raise TextureError(f"Got base_color of {tuple(color.shape)}; expected {(views, 3, height, width)}.")
    return color
