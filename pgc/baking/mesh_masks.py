# SPDX-License-Identifier: Apache-2.0
"""Masks that the mesh itself makes: where it is dark, bends, is thin, high, or looks up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from pgc.baking.curvature import Bends, bends_of
from pgc.baking.occlusion import OcclusionConfig, flat_normals, occlusion_map
from pgc.errors import ConfigError, TextureError
from pgc.mesh.data import TriangleMesh
from pgc.randomness import generator_for
from pgc.rendering.occlusion import RayCaster, ambient_occlusion
from pgc.texture.material_field import continue_nearest
from pgc.texture.texel_surface import texel_surface

__all__ = ["MeshMask", "MeshMaskKind", "mesh_masks", "mesh_values", "read_mesh_mask"]

MeshMaskKind = Literal["occlusion", "crevices", "edges", "thin", "height", "up"]
_KINDS: tuple[MeshMaskKind, ...] = get_args(MeshMaskKind)
_FROM: dict[MeshMaskKind, float] = {
    "occlusion": 0.4, "crevices": 0.2, "edges": 0.3, "thin": 0.5, "height": 0.5, "up": 0.5,
}  # fmt: skip
_BEND, _THICK = 0.01, 0.05
"""Reach of bends and of thickness, as shares of the mesh's diagonal."""
_RAYS = 64
_TEXELS = 1 << 18
"""Of all tiles together whose rays are cast; bigger masks are filled in between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshMask:
    """Texels chosen by a number of 0 to 1 that the mesh gives each of them.

    Attributes:
        kind: what of the mesh (`mesh_values`).
        low, high: texels are chosen whose number lies there; both ends count.

    Raises:
        ConfigError: the ends are not 0 <= low <= high <= 1.
    """

    kind: MeshMaskKind
    low: float
    high: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.low <= self.high <= 1.0:
            raise ConfigError(
                f"Got {self.low:g}..{self.high:g} for {self.kind}; expected FROM..TO with 0 <= FROM <= TO <= 1."
            )


def read_mesh_mask(option: str, text: str) -> MeshMask:
    """Reads KIND or KIND=FROM..TO, such as edges or height=0..0.3.

    Raises:
        ConfigError: there is no such kind, or the ends are no numbers or out of range.
    """
    name, _, ends = text.partition("=")
    kind: MeshMaskKind | None = next((kind for kind in _KINDS if kind == name.strip()), None)
    if kind is None:
        raise ConfigError(f"{option} is {text!r}; expected one of {', '.join(_KINDS)}, or such as height=0..0.3.")
    if not ends:
        return MeshMask(kind=kind, low=_FROM[kind])
    low, _, high = ends.partition("..")
    try:
        return MeshMask(kind=kind, low=float(low), high=float(high))
    except ValueError as error:
        raise ConfigError(f"{option} is {text!r}; expected KIND=FROM..TO, such as {kind}=0.2..0.6.") from error


def mesh_masks(
    mask: MeshMask, triangles: TriangleMesh, caster: RayCaster, *, size: int, tiles: Sequence[int] = (1001,)
) -> list[Bool[Tensor, "s s"]]:
    """Returns which texels a mask chooses, one image a tile; on the CPU the same mesh gives the same bits.

    Raises:
        TextureError: it chooses none.
    """
    images = mesh_values(mask.kind, triangles, caster, size=size, tiles=tiles)
    masks = [(values >= mask.low) & (values <= mask.high) for values in images]
    largest = max((float(values.max()) for values in images), default=0.0)
    if not any(bool(one.any()) for one in masks):
        if not largest > 0.0:
            raise TextureError(
                f"The mesh has no {mask.kind} at all, so {mask.low:g} to {mask.high:g} of it chooses no texel; "
                "see that its normals point outwards and that no face is there twice, or take another mask."
            )
        raise TextureError(
            f"No texel has {mask.kind} of {mask.low:g} to {mask.high:g}; "
            f"give a wider range, such as {mask.kind}=0.05..1."
        )
    return masks


def mesh_values(
    kind: MeshMaskKind, triangles: TriangleMesh, caster: RayCaster, *, size: int, tiles: Sequence[int] = (1001,)
) -> list[Float[Tensor, "s s"]]:
    """Computes the number that the mesh gives each texel, 0 to 1, one image a tile; beside the charts that of the
    nearest texel.

    Args:
        kind: occlusion, the share of an even sky that is hidden; edges and crevices, how much the surface bends out or
            in about there, 1 on an edge of 90 degrees; thin, the share of directions inwards in which the surface is
            met again within a twentieth of the mesh's diagonal; height, from the lowest point to the highest along Z;
            up, the normal's Z.
        triangles: the mesh, Z-up, as `caster` has it. size: side in texels.
    """
    if kind == "occlusion":
        config = OcclusionConfig(rays=_RAYS, texels=_TEXELS)
        return [1.0 - image[0] for image in occlusion_map(triangles, caster, config, size=size, tiles=tiles)]
    side = size
    while kind == "thin" and side > 64 and len(tiles) * side * side > _TEXELS:
        side //= 2
    images, about = [], _Extent.of(kind, triangles)
    for tile in tiles:
        surface = texel_surface(triangles, side, tile)
        known = surface.face_index >= 0
        image = torch.zeros((1, side, side))
        if known.any():
            places, normals = surface.position[known], surface.normal[known]
            flat = flat_normals(triangles, surface, known) if kind == "thin" else normals
            image[0, torch.from_numpy(known)] = torch.from_numpy(
                _numbers(kind, about, caster, (places, flat), tile).clip(0.0, 1.0)
            )
        image = continue_nearest(image, torch.from_numpy(known))
        if side != size:
            image = torch.nn.functional.interpolate(image[None], size=(size, size), mode="bilinear")[0]
        images.append(image[0])
    return images


@dataclass(frozen=True, eq=False)
class _Extent:
    """What all tiles share: the surface's bounding box, without vertices of no triangle, and how it bends."""

    low: Float32[np.ndarray, "3"]
    high: Float32[np.ndarray, "3"]
    bends: Bends | None

    @classmethod
    def of(cls, kind: MeshMaskKind, triangles: TriangleMesh) -> _Extent:
        used = triangles.positions[np.unique(triangles.faces)]
        low, high = used.min(axis=0), used.max(axis=0)
        reach = _BEND * float(np.linalg.norm(high - low))
        return cls(low, high, bends_of(triangles, reach) if kind in ("edges", "crevices") else None)

    @property
    def size(self) -> float:
        """The diagonal."""
        return float(np.linalg.norm(self.high - self.low))


def _numbers(
    kind: MeshMaskKind,
    about: _Extent,
    caster: RayCaster,
    points: tuple[Float32[np.ndarray, "n 3"], Float32[np.ndarray, "n 3"]],
    tile: int,
) -> Float32[np.ndarray, " n"]:
    """Of points with their normals; all kinds but occlusion."""
    places, normals = points
    if about.bends is not None:
        bent = about.bends.at(places)
        return bent if kind == "edges" else -bent
    if kind == "height":
        return (places[:, 2] - about.low[2]) / max(float(about.high[2] - about.low[2]), 1e-30)
    if kind == "thin":
        free = ambient_occlusion(
            caster,
            torch.from_numpy(places),
            torch.from_numpy(-normals),
            rays=_RAYS,
            reach=_THICK * about.size,
            generator=generator_for(0, tile, "thickness"),
        )
        return 1.0 - free.numpy()
    return normals[:, 2]
