# SPDX-License-Identifier: Apache-2.0
"""The surface at given places of a mesh, for a rasteriser that only says which triangle each pixel sees, and where.

The same formulas as in `warp_kernels`, a whole picture at a time. Nothing waits for the device: pixels that see
nothing are computed too, for triangle 0, and then set to zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Int32
from torch import Tensor

from pgc.cameras import Camera
from pgc.mesh.data import TriangleMesh
from pgc.mesh.tangents import tangents_of
from pgc.rendering.raster.gbuffer import GBuffer
from pgc.rendering.raster.rasterizer import GRAZING_COSINE
from pgc.rendering.raster.rays import pixel_rays

__all__ = ["CornerTables", "SeenFaces", "surface_of"]

_EMPTY = 1e-30
_NO_LENGTH = 1e-12


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CornerTables:
    """A mesh as tensors on one device, what varies along a triangle by its corners."""

    points: Float[Tensor, "V 3"]
    faces: Int32[Tensor, "F 3"]
    uvs: Float[Tensor, "F 3 2"]
    normals: Float[Tensor, "F 3 3"]
    tangents: Float[Tensor, "F 3 4"]

    @classmethod
    def of(cls, triangles: TriangleMesh, device: torch.device) -> CornerTables:
        """Copies a mesh to the device."""
        return cls(
            points=torch.from_numpy(triangles.positions).float().to(device),
            faces=torch.from_numpy(triangles.faces).int().to(device),
            uvs=torch.from_numpy(triangles.corner_uvs).float().to(device),
            normals=torch.from_numpy(triangles.corner_normals).float().to(device),
            tangents=torch.from_numpy(tangents_of(triangles)).float().to(device),
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SeenFaces:
    """What each of a picture's pixels sees, row 0 at the top.

    Attributes:
        face: triangle; -1 where none is seen.
        weights: barycentric weights of its corners.
        place: (x, y) in pixels where it was seen: the centre (a half), or a subsample beside it.
        coverage: share of the subsamples that see something.
    """

    face: Int[Tensor, "H W"]
    weights: Float[Tensor, "H W 3"]
    place: Float[Tensor, "H W 2"]
    coverage: Float[Tensor, "H W"]


def surface_of(tables: CornerTables, camera: Camera, seen: SeenFaces) -> GBuffer:
    """Computes the G-buffer of one view from what its pixels see."""
    height, width = seen.face.shape
    found = (seen.face >= 0).reshape(-1)
    face = seen.face.reshape(-1).clamp_min(0).long()
    weights = seen.weights.reshape(-1, 3)
    rays, reach = pixel_rays([camera], (height, width))
    ray = torch.from_numpy(rays[0]).to(weights.device)
    x, y = seen.place.reshape(-1, 2)[:, :1], seen.place.reshape(-1, 2)[:, 1:]
    origin, direction = ray[0] + x * ray[1] + y * ray[2], ray[3] + x * ray[4] + y * ray[5]

    corners = tables.points[tables.faces[face].long()]
    position = _mixed(corners, weights)
    # Directions are one unit deep, so that the depth behind the near plane is the ray's parameter.
    forward = torch.from_numpy(-camera.backward).to(weights.device)
    t = ((position - origin) * forward).sum(dim=1, keepdim=True)
    edges = corners[:, 1:] - corners[:, :1]
    area = torch.linalg.cross(edges[:, 0], edges[:, 1])
    uvs = tables.uvs[face]
    slopes = [_footprint(edges, area, direction, ray[axis] + ray[3 + axis] * t, uvs) for axis in (1, 2)]
    flat = _unit(area)
    flat = torch.where(_dot(flat, direction) > 0.0, -flat, flat)
    smooth = _mixed(tables.normals[face], weights)
    normal = _visible_normal(smooth, flat, _unit(direction))

    def image(values: Tensor) -> Tensor:
        """Lays values of pixels out as a picture; 0 where nothing is seen."""
        kept = torch.where(found[:, None], values, 0.0)
        return kept.T.reshape(1, -1, height, width).contiguous()

    return GBuffer(
        face_index=seen.face.int()[None],
        barycentrics=image(weights),
        uv=image(_mixed(uvs, weights)),
        uv_footprint=image(torch.cat(slopes, dim=1)),
        position=image(position),
        normal=image(normal),
        tangent=image(_tangent(_mixed(tables.tangents[face], weights), smooth, normal)),
        depth=image(float(reach[0, 0]) + t),
        mask=found.reshape(1, 1, height, width),
        coverage=seen.coverage[None, None].contiguous(),
    )


def _mixed(corners: Float[Tensor, "N 3 c"], weights: Float[Tensor, "N 3"]) -> Float[Tensor, "N c"]:
    return (corners * weights[:, :, None]).sum(dim=1)


def _dot(first: Float[Tensor, "N 3"], second: Float[Tensor, "N 3"]) -> Float[Tensor, "N 1"]:
    return (first * second).sum(dim=1, keepdim=True)


def _unit(vectors: Float[Tensor, "N 3"]) -> Float[Tensor, "N 3"]:
    return torch.nn.functional.normalize(vectors, dim=1, eps=_EMPTY)


def _footprint(
    edges: Float[Tensor, "N 2 3"],
    area: Float[Tensor, "N 3"],
    direction: Float[Tensor, "N 3"],
    step: Float[Tensor, "N 3"],
    uvs: Float[Tensor, "N 3 2"],
) -> Float[Tensor, "N 2"]:
    """Change of uv where the ray, moved by `step` at the hit, meets the triangle's plane (Igehy 1999, eq. 10-12).

    nvdiffrast's own derivatives of the barycentrics would be the same, but without a limit at grazing angles.
    """
    facing = _dot(area, direction)
    floor = GRAZING_COSINE * area.norm(dim=1, keepdim=True) * direction.norm(dim=1, keepdim=True)
    facing = torch.where(facing.abs() < floor, torch.where(facing < 0.0, -floor, floor), facing)
    moved = step - direction * (_dot(area, step) / torch.where(facing == 0.0, _EMPTY, facing))
    by_first = _dot(torch.linalg.cross(moved, edges[:, 1]), area)
    by_second = _dot(torch.linalg.cross(edges[:, 0], moved), area)
    change = (uvs[:, 1] - uvs[:, 0]) * by_first + (uvs[:, 2] - uvs[:, 0]) * by_second
    return change / _dot(area, area).clamp_min(_EMPTY)


def _visible_normal(
    smooth: Float[Tensor, "N 3"], flat: Float[Tensor, "N 3"], toward: Float[Tensor, "N 3"]
) -> Float[Tensor, "N 3"]:
    """The smooth normal on the side of `flat`, which faces the viewer, and never beyond the horizon."""
    normal = torch.where(_dot(smooth, flat) < 0.0, -smooth, smooth)
    normal = normal - toward * _dot(normal, toward).clamp_min(0.0)
    return _unit(torch.where(_dot(normal, normal) < _NO_LENGTH, flat, normal))


def _tangent(
    corners: Float[Tensor, "N 4"], smooth: Float[Tensor, "N 3"], normal: Float[Tensor, "N 3"]
) -> Float[Tensor, "N 4"]:
    """(xyz, sign) from the corners' weighted sum, across the normal; any such direction where there is none."""
    tangent = corners[:, :3] - normal * _dot(corners[:, :3], normal)
    missing: Bool[Tensor, "N 1"] = tangent.norm(dim=1, keepdim=True) <= 1e-4
    by_x = normal[:, :1].abs() < 0.6
    axis = torch.cat([by_x, ~by_x, torch.zeros_like(by_x)], dim=1).to(normal.dtype)
    tangent = _unit(torch.where(missing, axis - normal * _dot(axis, normal), tangent))
    # Seen from behind, the normal has turned and the bitangent has not.
    negative = ((corners[:, 3:] < 0.0) != (_dot(smooth, normal) < 0.0)) & ~missing
    return torch.cat([tangent, torch.where(negative, -1.0, 1.0)], dim=1)
