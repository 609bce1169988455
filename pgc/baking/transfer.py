# SPDX-License-Identifier: Apache-2.0
"""A finished material from one UV layout to another: a second UV set of the mesh, or a twin with fewer polygons.

Each texel of the new layout lies somewhere on the target's surface. From there a ray looks both ways along the normal
for the nearest part of the source that faces the same way, and the source's maps are read there, filtered over what
the texel covers. Normals are turned from the source's tangent frame into the target's, so that they also carry what
the two shapes differ by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pgc.errors import ConfigError
from pgc.maps import MAPS
from pgc.mesh.data import PreparedMesh, TriangleMesh
from pgc.mesh.tangents import tangents_of
from pgc.mesh.uvs.charts import seam_edges
from pgc.rendering.raster.ray_hits import HitCaster, RayHits, nearest_along
from pgc.texture.field import BakedTexture
from pgc.texture.finishing.edge_frames import edge_frames
from pgc.texture.finishing.fill import fill_unseen
from pgc.texture.finishing.gutter import continue_across_seams, pull_push
from pgc.texture.material_field import continue_nearest
from pgc.texture.mip_fetch import sample_mipmapped
from pgc.texture.texel_surface import TexelSurface, texel_surface

__all__ = ["TransferConfig", "TransferSource", "Transferred", "in_space_of", "transfer_maps"]

_GRAZING = 0.05
"""Cosine below which a surface counts as no flatter: the footprint stays finite where a ray only grazes it."""
_FLAT = MAPS["normal"].neutral


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferConfig:
    """Settings of a transfer.

    Attributes:
        size: side of the new images in texels, a power of two.
        reach: how far the source's surface may lie from the target's, as a part of the source's largest extent.
        shape_normals: also write a normal map where the source has none: it holds what the shapes differ by.

    Raises:
        ConfigError: a setting is out of range.
    """

    size: int = 2048
    reach: float = 0.02
    shape_normals: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.size <= 16384 or self.size & (self.size - 1):
            raise ConfigError(f"size is {self.size}; it must be a power of two up to 16384.")
        if not 0.0 < self.reach <= 1.0:
            raise ConfigError(f"reach is {self.reach}; it must lie in (0, 1], as a part of the mesh's extent.")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TransferSource:
    """What a transfer reads.

    Attributes:
        triangles: the textured mesh, normalised.
        texture: its maps.
        repeat: whether its UVs repeat the texture.
        caster: finds hits on `triangles`.
    """

    triangles: TriangleMesh
    texture: BakedTexture
    caster: HitCaster
    repeat: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Transferred:
    """The outcome of a transfer.

    Attributes:
        texture: the maps in the target's layout, gutter included, on the CPU.
        missed_fraction: how much of the charts' texels found nothing within reach, in [0, 1]; they were filled from
            their neighbours on the surface.
    """

    texture: BakedTexture
    missed_fraction: float


def in_space_of(target: PreparedMesh, source: PreparedMesh) -> TriangleMesh:
    """Returns the target's triangles in the source's normalised space: two files share their units and place, whatever
    axes."""
    to_file = target.normalization.from_normalized(target.triangles.positions)
    z_up = to_file @ target.normalization.rotation().T
    center = np.asarray(source.normalization.center) @ source.normalization.rotation().T
    moved = (source.normalization.scale * (z_up - center)).astype(np.float32)
    return replace(target.triangles, positions=moved)


def transfer_maps(
    source: TransferSource,
    target: TriangleMesh,
    config: TransferConfig,
    *,
    tiles: Sequence[int] = (1001,),
    repeat: bool = False,
) -> Transferred:
    """Carries the source's maps over to the target's UVs.

    Args:
        source: mesh, maps, and what finds hits.
        target: in the same space as the source's mesh.
        config: settings.
        tiles, repeat: addressing of the target, as its mesh report has them.

    Raises:
        ConfigError: a setting is out of range.
    """
    source, target = replace(source, triangles=_with_tangents(source.triangles)), _with_tangents(target)
    surfaces = [texel_surface(target, config.size, tile, reach=0.5) for tile in tiles]
    with_normal = "normal" in source.texture.maps or config.shape_normals
    names = [name for name in source.texture.maps if name != "normal"] + ["normal"] * with_normal
    images: dict[str, list[Tensor]] = {name: [] for name in names}
    known: list[Tensor] = []
    for surface in surfaces:
        values, found = _tile(source, target, surface, config)
        known.append(found)
        for name in names:
            images[name].append(values[name])
    found = torch.stack(known)
    inside = torch.from_numpy(np.stack([surface.inside for surface in surfaces]))
    maps = {
        name: _finished_normals(parts, found, inside)
        if name == "normal"
        else _finished(torch.stack(parts), found, surfaces, (target, tuple(tiles), repeat))
        for name, parts in images.items()
    }
    missed = float((inside & ~found).sum()) / max(1, int(inside.sum()))
    texture = BakedTexture(maps=maps, tiles=tuple(tiles), uncovered_fraction=source.texture.uncovered_fraction)
    return Transferred(texture=texture, missed_fraction=missed)


def _with_tangents(triangles: TriangleMesh) -> TriangleMesh:
    """The same, with tangents made once and for all."""
    return replace(triangles, corner_tangents=tangents_of(triangles))


def _tile(
    source: TransferSource, target: TriangleMesh, surface: TexelSurface, config: TransferConfig
) -> tuple[dict[str, Float[Tensor, "c s s"]], Bool[Tensor, "s s"]]:
    """Maps of one tile where rays found something, and where that is; 0 elsewhere."""
    size = config.size
    rows, columns = np.nonzero(surface.face_index >= 0)
    faces = surface.face_index[rows, columns]
    points = torch.from_numpy(surface.position[rows, columns])
    directions = torch.from_numpy(surface.normal[rows, columns])
    corners = _corners(source.triangles)
    fronts = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    extent = float((corners.amax(dim=(0, 1)) - corners.amin(dim=(0, 1))).max())
    hits = _cpu(nearest_along(source.caster, points, directions, config.reach * extent, fronts.float()))
    met = hits.face >= 0
    where = (rows[met.numpy()], columns[met.numpy()])
    source_faces, weights = hits.face[met].long(), hits.barycentrics[met].double()
    uv = torch.einsum("nk,nkd->nd", weights, torch.from_numpy(source.triangles.corner_uvs).double()[source_faces])
    steps = _texel_steps(target, faces[met.numpy()], size)
    footprint = _footprint(source.triangles, source_faces, directions[met].double(), steps)
    sampled = {name: _read(source, parts, uv, footprint) for name, parts in source.texture.maps.items()}
    relief = sampled.get("normal", torch.tensor(_FLAT).expand(len(uv), 3))
    own = _frames(target, torch.from_numpy(faces[met.numpy()]).long(), surface.barycentrics[where])
    other = _frames(source.triangles, source_faces, weights)
    sampled["normal"] = _turned(relief.double(), other, own).float()
    found = torch.zeros(size, size, dtype=torch.bool)
    found[where] = True
    return {name: _scatter(values, where, size) for name, values in sampled.items()}, found


def _cpu(hits: RayHits) -> RayHits:
    return RayHits(face=hits.face.cpu(), barycentrics=hits.barycentrics.cpu(), distance=hits.distance.cpu())


def _corners(triangles: TriangleMesh) -> Float[Tensor, "F 3 3"]:
    return torch.from_numpy(triangles.positions.astype(np.float64)[triangles.faces])


def _scatter(values: Float[Tensor, "n c"], where: tuple[np.ndarray, np.ndarray], size: int) -> Float[Tensor, "c s s"]:
    image = torch.zeros(values.shape[1], size, size)
    image[:, where[0], where[1]] = values.T
    return image


def _texel_steps(target: TriangleMesh, faces: Int[np.ndarray, " n"], size: int) -> Float[Tensor, "n 2 3"]:
    """What a step of one texel to the right, and one down, is on the target's surface; 0 where UVs have no area."""
    points = target.positions.astype(np.float64)[target.faces[faces]]
    uvs = target.corner_uvs.astype(np.float64)[faces]
    edges = np.stack([points[:, 1] - points[:, 0], points[:, 2] - points[:, 0]], axis=1)
    t = np.stack([uvs[:, 1] - uvs[:, 0], uvs[:, 2] - uvs[:, 0]], axis=1)
    determinant = t[:, 0, 0] * t[:, 1, 1] - t[:, 0, 1] * t[:, 1, 0]
    safe = np.where(determinant == 0.0, np.inf, determinant)[:, None]
    along_u = (edges[:, 0] * t[:, 1, 1:] - edges[:, 1] * t[:, 0, 1:]) / safe
    along_v = (edges[:, 1] * t[:, 0, :1] - edges[:, 0] * t[:, 1, :1]) / safe
    return torch.from_numpy(np.stack([along_u, -along_v], axis=1) / size)


def _footprint(
    source: TriangleMesh,
    faces: Int[Tensor, "n"],
    directions: Float[Tensor, "n 3"],
    steps: Float[Tensor, "n 2 3"],
) -> Float[Tensor, "n 4"]:
    """(du/dx, dv/dx, du/dy, dv/dy) on the source for the steps on the target, carried over along the rays."""
    corners = _corners(source)[faces]
    uvs = torch.from_numpy(source.corner_uvs).double()[faces]
    e1, e2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    normal = torch.linalg.cross(e1, e2)
    length = normal.norm(dim=1).clamp_min(1e-30)
    facing = (normal * directions).sum(dim=1).clamp_min(1e-30)
    facing = torch.maximum(facing, _GRAZING * length)
    parts = []
    for axis in range(2):
        step = steps[:, axis]
        moved = step - directions * ((normal * step).sum(dim=1) / facing)[:, None]
        first = (torch.linalg.cross(moved, e2) * normal).sum(dim=1) / length.square()
        second = (torch.linalg.cross(e1, moved) * normal).sum(dim=1) / length.square()
        parts.append(first[:, None] * (uvs[:, 1] - uvs[:, 0]) + second[:, None] * (uvs[:, 2] - uvs[:, 0]))
    return torch.cat(parts, dim=1)


def _read(
    source: TransferSource, images: Sequence[Tensor], uv: Float[Tensor, "n 2"], footprint: Float[Tensor, "n 4"]
) -> Float[Tensor, "n c"]:
    """A map at texture coordinates, filtered over the footprints."""
    mips = [torch.stack([image.cpu() for image in images])]
    while mips[-1].shape[-1] > 1:
        mips.append(F.avg_pool2d(mips[-1], 2))
    line = uv.float().T[None, :, None]
    step = footprint.float().T[None, :, None]
    return sample_mipmapped(mips, line, step, tiles=source.texture.tiles, repeat=source.repeat)[0, :, 0].T


def _frames(
    triangles: TriangleMesh, faces: Int[Tensor, "n"], weights: Float[Tensor, "n 3"] | Float[np.ndarray, "n 3"]
) -> Float[Tensor, "n 3 3"]:
    """Rows tangent, bitangent, normal at points of triangles: orthonormal, as a normal map is read."""
    mix = torch.as_tensor(weights).double()
    normals = torch.from_numpy(triangles.corner_normals).double()[faces]
    tangents = torch.from_numpy(tangents_of(triangles)).double()[faces]
    normal = F.normalize(torch.einsum("nk,nkd->nd", mix, normals), dim=1)
    along = torch.einsum("nk,nkd->nd", mix, tangents)
    tangent = along[:, :3] - normal * (along[:, :3] * normal).sum(dim=1, keepdim=True)
    least = torch.eye(3, dtype=torch.float64)[normal.abs().argmin(dim=1)]
    spare = least - normal * (least * normal).sum(dim=1, keepdim=True)
    tangent = F.normalize(torch.where(tangent.norm(dim=1, keepdim=True) > 1e-6, tangent, spare), dim=1)
    sign = torch.where(along[:, 3:] < 0.0, -1.0, 1.0)
    return torch.stack([tangent, sign * torch.linalg.cross(normal, tangent), normal], dim=1)


def _turned(
    stored: Float[Tensor, "n 3"], source: Float[Tensor, "n 3 3"], target: Float[Tensor, "n 3 3"]
) -> Float[Tensor, "n 3"]:
    """Stored normals of one frame as stored normals of another."""
    world = torch.einsum("ni,nid->nd", stored * 2.0 - 1.0, source)
    return 0.5 + 0.5 * F.normalize(torch.einsum("nd,nid->ni", world, target), dim=1)


def _finished(
    texture: Float[Tensor, "t c s s"],
    found: Bool[Tensor, "t s s"],
    surfaces: Sequence[TexelSurface],
    address: tuple[TriangleMesh, tuple[int, ...], bool],
) -> list[Float[Tensor, "c s s"]]:
    """Texels that found nothing filled from the surface around them, and the gutter as the surface continues."""
    triangles, tiles, repeat = address
    filled = fill_unseen(texture, found, surfaces)
    covered = np.stack([surface.face_index >= 0 for surface in surfaces])
    frames = edge_frames(triangles, seam_edges(triangles))
    continued, known = continue_across_seams(filled, covered, frames, tiles, repeat)
    return list(pull_push(continued, torch.from_numpy(known)[:, None]).clamp(0.0, 1.0))


def _finished_normals(
    images: Sequence[Float[Tensor, "3 s s"]], found: Bool[Tensor, "t s s"], inside: Bool[Tensor, "t s s"]
) -> list[Float[Tensor, "3 s s"]]:
    """Flat where nothing was found. The gutter repeats its chart: across a seam the axes are others."""
    flat = torch.tensor(_FLAT)[:, None, None]
    return [
        continue_nearest(torch.where(met, image, flat), within | met)
        for image, met, within in zip(images, found, inside, strict=True)
    ]
