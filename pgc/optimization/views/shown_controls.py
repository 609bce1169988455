# SPDX-License-Identifier: Apache-2.0
"""What a step shows a prior of the mesh beside depth, where the prior has a ControlNet for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from pgc.cameras import Camera
from pgc.guidance.base import Conditions, Guidance, Shown
from pgc.optimization.step_parts import Picture
from pgc.rendering.known_materials import lit_white_of

__all__ = ["ShownScene", "camera_normals", "camera_poses", "with_shown"]


@runtime_checkable
class ShownScene(Protocol):
    """What controls show beside a view's own picture."""

    @property
    def face_materials(self) -> Int[Tensor, " f"] | None:
        """Material of each face; None: all are one."""
        ...

    @property
    def likeness(self) -> Float[Tensor, "1 3 h w"] | None:
        """A reference picture."""
        ...


def with_shown(conditions: Conditions, guidance: Guidance, scene: ShownScene, picture: Picture) -> Conditions:
    """Returns the conditions with what the prior's controls show; nothing is computed for a prior that has none."""
    shows = guidance.shows if isinstance(guidance, Shown) else frozenset()
    if not shows - {"depth", "depth-official"}:
        return conditions
    view = picture.view
    normal = None
    if shows & {"normal", "edges", "light"} and conditions.camera_to_world is not None:
        normal = camera_normals(view.gbuffer.normal, conditions.camera_to_world)
    light = view.lights.render
    return replace(
        conditions,
        normal=normal,
        lit_white=lit_white_of(view.gbuffer, light) if "light" in shows and light is not None else None,
        regions=_regions(view.gbuffer.face_index, scene.face_materials) if "edges" in shows else None,
        picture=picture.image.detach() if "tile" in shows else None,
        reference=scene.likeness if shows & {"shuffle", "ip-adapter"} else None,
    )


def camera_poses(cameras: Sequence[Camera]) -> Float[Tensor, "b 4 4"]:
    """Returns each camera's way from its own axes to the world's; on the CPU."""
    return torch.from_numpy(np.linalg.inv(np.stack([camera.world_to_camera for camera in cameras])))


def camera_normals(
    normal: Float[Tensor, "b 3 h w"], camera_to_world: Float[Tensor, "b 4 4"]
) -> Float[Tensor, "b 3 h w"]:
    """Turns world normals into the axes of each view's camera: x right, y up, z towards the viewer."""
    turned = camera_to_world[:, :3, :3].to(normal)
    return torch.einsum("bwc,bwij->bcij", turned, normal)


def _regions(face_index: Int[Tensor, "b h w"], face_materials: Int[Tensor, " f"] | None) -> Int[Tensor, "b 1 h w"]:
    """The material of each pixel, -1 at the background; where materials are not told, all faces are one."""
    if face_materials is None:
        return torch.where(face_index < 0, -1, 0)[:, None]
    found = face_materials.to(face_index.device)[face_index.clamp_min(0).long()]
    return torch.where(face_index < 0, -1, found)[:, None]
