# SPDX-License-Identifier: Apache-2.0
"""A shape as pictures that teachers judge: its normals, and its colours under a lamp at the camera.

Pictures of normals are those that normal ControlNets know: x right, y up and z towards the viewer, as red, green, blue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor

from pgc.cameras import Camera
from pgc.errors import ConfigError
from pgc.optimization.views.shown_controls import camera_normals, camera_poses
from pgc.rendering.compositing import composite
from pgc.shape.rendering.renderer import Sight

__all__ = ["PICTURE_KINDS", "PictureConfig", "PictureKind", "shape_picture"]

PictureKind = Literal["normal", "rgb"]
PICTURE_KINDS: tuple[PictureKind, ...] = get_args(PictureKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureConfig:
    """How a shape is shown."""

    ambient: float = 0.3
    """Share of light in the picture of colours that comes from everywhere; the rest is the lamp's."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.ambient <= 1.0:
            raise ConfigError(f"pictures.ambient is {self.ambient}; it must lie in [0, 1].")


def shape_picture(
    kind: PictureKind,
    sight: Sight,
    cameras: Sequence[Camera],
    background: Float[Tensor, "b 3 1 1"],
    config: PictureConfig,
) -> Float[Tensor, "b 3 h w"]:
    """Renders one kind of picture, with gradients by the vertices."""
    turned = camera_normals(sight.normal, camera_poses(cameras))
    if kind == "normal":
        surface = 0.5 * turned + 0.5
    else:
        surface = sight.color * (config.ambient + (1.0 - config.ambient) * turned[:, 2:].clamp_min(0.0))
    covered = sight.gbuffer.mask.to(surface.dtype)
    return sight.antialias(composite(surface, covered, background.to(surface)))
