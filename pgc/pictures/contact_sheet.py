# SPDX-License-Identifier: Apache-2.0
"""preview.png: a contact sheet of six views."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

from PIL import Image

from pgc.cameras import Camera
from pgc.errors import ConfigError
from pgc.pictures.studio import Framing, Look, take_pictures
from pgc.rendering.raster.rasterizer import Rasterizer

__all__ = ["PREVIEW_VIEWS", "PreviewConfig", "preview_cameras", "render_preview"]

PREVIEW_VIEWS: tuple[tuple[float, float], ...] = ((0, 15), (60, 25), (120, 10), (180, 15), (270, 55), (315, -30))
"""Azimuth from the front and elevation, degrees: around, from above and from below."""
_COLUMNS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewConfig:
    """The settings of preview.png."""

    view_size: int = 320
    """Side of each of the six pictures, in pixels."""

    def __post_init__(self) -> None:
        if not 16 <= self.view_size <= 2048:
            raise ConfigError(f"preview.view_size is {self.view_size}; it must lie in [16, 2048].")


def preview_cameras(framing: Framing) -> list[Camera]:
    """Returns the six cameras of the contact sheet."""
    return [framing.camera(math.radians(azimuth), math.radians(elevation)) for azimuth, elevation in PREVIEW_VIEWS]


def render_preview(rasterizer: Rasterizer, look: Look, framing: Framing, config: PreviewConfig) -> bytes:
    """Renders the contact sheet as a PNG: three columns, two rows."""
    pictures = take_pictures(rasterizer, preview_cameras(framing), look, config.view_size)
    rows = len(pictures) // _COLUMNS
    sheet = Image.new("RGB", (config.view_size * _COLUMNS, config.view_size * rows))
    for index, picture in enumerate(pictures):
        place = (index % _COLUMNS * config.view_size, index // _COLUMNS * config.view_size)
        sheet.paste(Image.fromarray(picture), place)
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG")
    return buffer.getvalue()
