# SPDX-License-Identifier: Apache-2.0
"""turntable.webp: one turn around the mesh, as an endless animation."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass

from PIL import Image

from pgc.errors import ConfigError
from pgc.pictures.studio import Framing, Look, take_pictures
from pgc.rendering.raster.rasterizer import Rasterizer

__all__ = ["TurntableConfig", "render_turntable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TurntableConfig:
    """The settings of turntable.webp."""

    size: int = 256
    frames: int = 30
    seconds: float = 4.0
    elevation: float = math.radians(18.0)
    quality: int = 82
    """WebP's, 0 to 100."""

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 2048:
            raise ConfigError(f"turntable.size is {self.size}; it must lie in [16, 2048].")
        if self.frames < 2:
            raise ConfigError(f"turntable.frames is {self.frames}; it must be 2 or more.")
        if not self.seconds > 0:
            raise ConfigError(f"turntable.seconds is {self.seconds}; it must be above 0.")
        if not 0 <= self.quality <= 100:
            raise ConfigError(f"turntable.quality is {self.quality}; it must lie in [0, 100].")


def render_turntable(rasterizer: Rasterizer, look: Look, framing: Framing, config: TurntableConfig) -> bytes:
    """Renders the animation as WebP."""
    turn = [2.0 * math.pi * index / config.frames for index in range(config.frames)]
    cameras = [framing.camera(azimuth, config.elevation) for azimuth in turn]
    frames = [Image.fromarray(picture) for picture in take_pictures(rasterizer, cameras, look, config.size)]
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        format="WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=round(1000.0 * config.seconds / config.frames),
        loop=0,
        quality=config.quality,
        method=2,
    )
    return buffer.getvalue()
