# SPDX-License-Identifier: Apache-2.0
"""What the loop renders and from where, as plain data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from pgc.cameras import Camera
from pgc.cameras.sampling import CameraSampler
from pgc.cameras.view_names import FrontAxis
from pgc.lighting.base import Lighting
from pgc.optimization.map_gradients import Baseline
from pgc.rendering.raster.rasterizer import Rasterizer
from pgc.rendering.shading import Shade, unlit
from pgc.texture.field import SurfaceMaterial, TextureField
from pgc.texture.penalties import TexelPenalty

__all__ = ["Scene"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """What is rendered and from where."""

    rasterizer: Rasterizer
    texture: TextureField
    cameras: CameraSampler
    shade: Shade = unlit
    lighting: Lighting | None = None
    """The light of each step, for a `shade` that needs one; None for unlit shading."""
    penalty: TexelPenalty | None = None
    """A penalty on the texels themselves."""
    baseline: Baseline = "render"
    """What the prior's picture is compared with for all maps but base colour; of account for losses with a target in
    the image alone, as latents are compared with latents anyway."""
    face_materials: Int[Tensor, " f"] | None = None
    """Material of each face, whose borders the control edges draws; None: all are one."""
    likeness: Float[Tensor, "1 3 h w"] | None = None
    """A picture that the texture is to resemble, sRGB in [0, 1]."""
    front: Float[Tensor, "1 4 s s"] | None = None
    """A picture that the front view is to look like, sRGB and alpha in [0, 1]."""
    front_camera: Callable[[FrontAxis], Camera] | None = None
    """Of that picture."""
    reference: SurfaceMaterial | None = None
    """A known material, rendered beside the texture and handed to the oracle; None for every real prior."""
