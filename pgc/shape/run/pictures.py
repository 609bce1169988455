# SPDX-License-Identifier: Apache-2.0
"""A shape as pictures that teachers judge: its normals, and its colours under a lamp at the camera.

Pictures of normals are those that normal ControlNets know: x right, y up and z towards the viewer, as red, green, blue.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.cameras import Camera
from pgc.errors import ConfigError
from pgc.optimization.views.shown_controls import camera_normals, camera_poses
from pgc.rendering.compositing import composite
from pgc.shape.rendering.renderer import Sight

__all__ = ["PICTURE_KINDS", "PictureConfig", "PictureKind", "latent_picture", "shape_picture"]

PictureKind = Literal["normal", "rgb"]
PICTURE_KINDS: tuple[PictureKind, ...] = get_args(PictureKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureConfig:
    """How a shape is shown."""

    ambient: float = 0.3
    """Share of light in the picture of colours that comes from everywhere; the rest is the lamp's."""
    latents_until: float = 0.0
    """Part of the run in which normals and outline, made small, are the latents themselves (`latent_picture`)."""

    def __post_init__(self) -> None:
        for name in ("ambient", "latents_until"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"pictures.{name} is {getattr(self, name)}; it must lie in [0, 1].")


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
    return sight.antialias(composite(surface, _covered(sight), background.to(surface)))


def latent_picture(sight: Sight, cameras: Sequence[Camera]) -> Float[Tensor, "b 4 h w"]:
    """Renders normals and, as a fourth channel, what is covered: together they can stand for four channels of latents.

    Chen et al., "Fantasia3D", ICCV 2023, section 3.2: in the first part of a run latents need not be of a real picture.
    """
    covered = _covered(sight)
    normals = (0.5 * camera_normals(sight.normal, camera_poses(cameras)) + 0.5) * covered
    return sight.antialias(torch.cat([normals, covered], dim=1))


def _covered(sight: Sight) -> Float[Tensor, "b 1 h w"]:
    return sight.gbuffer.mask.to(sight.normal.dtype)
