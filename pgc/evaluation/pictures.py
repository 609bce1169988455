# SPDX-License-Identifier: Apache-2.0
"""Textured meshes from the fixed views, and sheets of such pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from pgc.cameras import Camera
from pgc.errors import ConfigError
from pgc.evaluation.ground_truth import field_of_texture
from pgc.evaluation.views import fixed_views
from pgc.mesh import TriangleMesh
from pgc.rendering.compositing import composite
from pgc.rendering.raster.gbuffer import GBuffer, surface_points
from pgc.rendering.raster.rasterizer import RasterizerConfig
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.rendering.shading import unlit
from pgc.texture.field import BakedTexture

__all__ = ["MeshViews", "contact_sheet", "to_bytes"]

_BACKDROP = 0.5
_CAPTION = 14


class MeshViews:
    """One mesh seen from the six fixed views at `size` x `size` pixels."""

    def __init__(self, triangles: TriangleMesh, size: int, cameras: Sequence[Camera] | None = None) -> None:
        self.triangles = triangles
        self.cameras = list(cameras) if cameras is not None else fixed_views()
        rasterizer = WarpRasterizer(triangles, device=torch.device("cpu"), config=RasterizerConfig(cache_bytes=0))
        self.gbuffer: GBuffer = rasterizer.render(self.cameras, (size, size))

    @property
    def mask(self) -> Bool[Tensor, "b 1 h w"]:
        """Pixels that show the object and nothing else."""
        return self.gbuffer.coverage == 1.0

    @torch.no_grad()
    def render(self, texture: BakedTexture) -> Float[Tensor, "b 3 h w"]:
        """Renders unlit pictures in sRGB, on mid-gray."""
        material = field_of_texture(self.triangles, texture).sample(surface_points(self.gbuffer))
        image = unlit(self.gbuffer, material, None)
        background = image.new_full((len(self.gbuffer), 3, 1, 1), _BACKDROP)
        return composite(image, self.gbuffer.coverage, background)


def to_bytes(image: Float[Tensor, "b 3 h w"]) -> UInt8[np.ndarray, "b h w 3"]:
    """Returns 8-bit pictures, channels last."""
    return (image.detach().clamp(0.0, 1.0) * 255.0 + 0.5).floor().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def contact_sheet(rows: Sequence[Sequence[UInt8[np.ndarray, "h w 3"]]], captions: Sequence[str]) -> Image.Image:
    """Lays out rows of equally large pictures, each row under its caption.

    Raises:
        ConfigError: there are no rows, they are of different lengths, or captions are missing.
    """
    if not rows or len(rows) != len(captions) or len({len(row) for row in rows}) != 1 or not rows[0]:
        raise ConfigError(f"A sheet of {len(rows)} rows with {len(captions)} captions; expected even rows, one each.")
    height, width = rows[0][0].shape[:2]
    sheet = Image.new("RGB", (width * len(rows[0]), (height + _CAPTION) * len(rows)), "white")
    draw = ImageDraw.Draw(sheet)
    for at, (row, caption) in enumerate(zip(rows, captions, strict=True)):
        top = at * (height + _CAPTION)
        draw.text((2, top + 1), caption, fill="black")
        for column, picture in enumerate(row):
            sheet.paste(Image.fromarray(picture), (column * width, top + _CAPTION))
    return sheet
