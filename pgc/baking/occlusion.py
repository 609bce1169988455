# SPDX-License-Identifier: Apache-2.0
"""The occlusion map of a mesh: computed from its shape by rays, not optimised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from pgc.errors import ConfigError
from pgc.mesh.data import TriangleMesh
from pgc.randomness import generator_for
from pgc.rendering.occlusion import RayCaster, ambient_occlusion
from pgc.texture.material_field import continue_nearest
from pgc.texture.texel_surface import TexelSurface, texel_surface

__all__ = ["OcclusionConfig", "flat_normals", "occlusion_map"]

_LEAST = 64
"""Side below which no tile is computed, however many there are."""
_NOTHING = 0.02
"""A closed mesh seen from within lets no light in, but for rays that slip through at an edge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OcclusionConfig:
    """How occlusion is computed.

    Attributes:
        rays: a texel.
        reach: what is farther away does not count, in units of the normalised mesh (1.6 across).
        texels: of all tiles together that are computed at most; bigger textures are filled in between, since occlusion
            is smooth, and a minute of rays is enough (six seconds for 512² on one core).

    Raises:
        ConfigError: a value is out of range.
    """

    rays: int = 128
    reach: float = math.inf
    texels: int = 1 << 20

    def __post_init__(self) -> None:
        if not 1 <= self.rays <= 4096 or not self.reach > 0 or self.texels < 1:
            raise ConfigError(
                f"Got {self.rays} rays of reach {self.reach} for {self.texels} texels of occlusion; "
                "expected 1 to 4096, a reach above 0, and at least one texel."
            )


def occlusion_map(
    triangles: TriangleMesh,
    caster: RayCaster,
    config: OcclusionConfig,
    *,
    size: int,
    tiles: Sequence[int] = (1001,),
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> list[Float[Tensor, "1 s s"]]:
    """Computes the ambient occlusion of every texel, one image a tile, on the CPU: 1 where nothing is in the way.

    Beside the charts it continues the nearest texel; a texture without charts is 1 everywhere.

    Args:
        triangles: the mesh, as `caster` has it.
        size: side in texels.
        seed: of the rays' directions.
        device: that of the caster.
    """
    side = size
    while side > _LEAST and len(tiles) * side * side > config.texels:
        side //= 2
    images = []
    for number, tile in enumerate(tiles):
        surface = texel_surface(triangles, side, tile)
        known = surface.face_index >= 0
        generator = generator_for(seed, number, "occlusion")
        image = torch.ones((1, side, side))
        image[0, torch.from_numpy(known)] = _values(triangles, surface, caster, config, generator, device)
        image = continue_nearest(image, torch.from_numpy(known))
        images.append(image if side == size else _enlarged(image, size))
    return images


def _enlarged(image: Float[Tensor, "1 a a"], size: int) -> Float[Tensor, "1 s s"]:
    return F.interpolate(image[None], size=(size, size), mode="bilinear", align_corners=False)[0].clamp(0.0, 1.0)


def _values(
    triangles: TriangleMesh,
    surface: TexelSurface,
    caster: RayCaster,
    config: OcclusionConfig,
    generator: torch.Generator,
    device: torch.device | str,
) -> Float[Tensor, " n"]:
    """Of the texels with a face, row by row. Where most of a tile sees nothing at all, its normals point inwards, and
    the back counts."""
    known = surface.face_index >= 0
    positions = torch.from_numpy(surface.position[known]).to(device)
    normals = torch.from_numpy(flat_normals(triangles, surface, known)).to(device)

    def seen(rows: Tensor, side: float) -> Tensor:
        """Returns the ambient occlusion of some rows, seen from one side of the surface."""
        return ambient_occlusion(
            caster, positions[rows], side * normals[rows], rays=config.rays, reach=config.reach, generator=generator
        )

    values = seen(torch.ones(len(positions), dtype=torch.bool, device=device), 1.0)
    dark = values < _NOTHING
    if int(dark.sum()) > len(values) // 2:
        values[dark] = seen(dark, -1.0)
    return values.cpu()


def flat_normals(
    triangles: TriangleMesh, surface: TexelSurface, known: Bool[np.ndarray, "s s"]
) -> Float32[np.ndarray, "n 3"]:
    """Returns the faces' own normals under known texels, on the side of the shading normals: about those, a face of a
    smoothly shaded cube would block itself."""
    corners = triangles.positions[triangles.faces[surface.face_index[known]]].astype(np.float64)
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    shading = surface.normal[known].astype(np.float64)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    flat = np.where(length > 1e-20, flat / np.maximum(length, 1e-20), shading)
    side = np.where((flat * shading).sum(axis=1, keepdims=True) < 0.0, -1.0, 1.0)
    return (flat * side).astype(np.float32)
