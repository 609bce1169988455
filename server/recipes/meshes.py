# SPDX-License-Identifier: Apache-2.0
"""From the arrays of a job to the mesh of a run: nothing is unwrapped, moved or merged on the way.

The triangles, UVs and normals that a client sends are those of the run, bit for bit, so that a run here equals one
in the client's own process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pgc.errors import MeshError
from pgc.mesh import Mesh, PreparedMesh, TriangleMesh, prepare_mesh
from pgc.mesh.tangents import corner_tangents
from pgc.runs.request import SourceTextures
from pgc.texture.field import BakedTexture
from pgc.texture.texel_pyramid import TexelPyramidConfig
from pgc.texture.texel_surface import texel_surface

__all__ = ["MeshArrays", "assemble", "keep_untextured", "untextured_texels"]

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class MeshArrays:
    """One mesh of a job, triangles in world space, Z up.

    Args:
        positions: [V, 3]; faces: [F, 3], indices into it.
        corner_uvs: [F, 3, 2], origin bottom-left; corner_normals: [F, 3, 3] unit length, or None for smooth ones.
        corner_tangents: [F, 3, 4], the bitangent's sign last, or None for those of `pgc.mesh.tangents`.
        textured: [F], whether a face gets a texture; None: all do.
        corner_colors: [F, 3, 3] linear RGB that the texture starts from; None: it has none.
    """

    name: str
    positions: F32
    faces: I32
    corner_uvs: F32
    corner_normals: F32 | None = None
    corner_tangents: F32 | None = None
    material_index: I32 | None = None
    textured: npt.NDArray[np.bool_] | None = None
    corner_colors: F32 | None = None


def assemble(meshes: Sequence[MeshArrays], progress: Callable[[float], None] | None = None) -> PreparedMesh:
    """Makes the meshes of a job one mesh, ready for a run. They share a texture, so their UVs should not overlap.

    Raises:
        MeshError: the mesh cannot be textured.
    """
    if not meshes:
        raise MeshError("The job has no mesh; send at least one.")
    name = meshes[0].name if len(meshes) == 1 else f"{meshes[0].name} and {len(meshes) - 1} more"
    offsets = np.cumsum([0, *(len(mesh.positions) for mesh in meshes)])
    faces = np.concatenate([mesh.faces + np.int32(start) for mesh, start in zip(meshes, offsets, strict=False)])
    uvs = np.concatenate([mesh.corner_uvs for mesh in meshes]).reshape(-1, 2)
    normals = _joined_normals(meshes)
    material_index = _joined_slots(meshes)
    corners = faces.reshape(-1).astype(np.int32)
    order = _pool_order(corners)
    colors = _joined_colors(meshes)
    prepared = prepare_mesh(
        Mesh(
            name=name,
            positions=np.concatenate([mesh.positions for mesh in meshes]).astype(np.float64),
            polygon_sizes=np.full(len(faces), 3, dtype=np.int32),
            corner_positions=corners,
            uvs=uvs[order],
            corner_uvs=order,
            normals=None if normals is None else normals.reshape(-1, 3)[order],
            corner_normals=None if normals is None else order,
            material_index=material_index,
            material_names=tuple(f"material {index}" for index in range(int(material_index.max(initial=0)) + 1)),
            up_axis="z",
            colors=None if colors is None else colors[0],
            corner_colors=None if colors is None else colors[1],
        ),
        progress=progress,
    )
    triangles = prepared.triangles
    if normals is not None:
        # Unit normals that are normalised once more can differ in their last bit.
        triangles = replace(triangles, corner_normals=_exact(prepared, normals))
    return replace(prepared, triangles=replace(triangles, corner_tangents=_joined_tangents(meshes, triangles)))


def _pool_order(corners: I32) -> I32:
    """Indices of the UV and normal pools, its own inverse. Never equal to the position indices: `triangulate` would
    take the mesh for one whose format repeats positions, and merge what the artist keeps apart."""
    order = np.arange(len(corners), dtype=np.int32)
    return order[::-1].copy() if np.array_equal(order, corners) and len(corners) > 1 else order


def _joined_normals(meshes: Sequence[MeshArrays]) -> F32 | None:
    """[F, 3, 3] of all meshes; zeros (which pgc replaces by smooth normals) where only some have any."""
    if all(mesh.corner_normals is None for mesh in meshes):
        return None
    parts = [
        np.zeros((len(mesh.faces), 3, 3), np.float32) if mesh.corner_normals is None else mesh.corner_normals
        for mesh in meshes
    ]
    return np.concatenate(parts)


def _joined_tangents(meshes: Sequence[MeshArrays], triangles: TriangleMesh) -> F32 | None:
    """[F, 3, 4] of all meshes, computed for those that bring none; None where none does."""
    if all(mesh.corner_tangents is None for mesh in meshes):
        return None
    computed = corner_tangents(triangles)
    ends = np.cumsum([len(mesh.faces) for mesh in meshes])
    parts = [
        computed[end - len(mesh.faces) : end] if mesh.corner_tangents is None else mesh.corner_tangents
        for mesh, end in zip(meshes, ends, strict=True)
    ]
    return np.concatenate(parts).astype(np.float32)


def _joined_colors(meshes: Sequence[MeshArrays]) -> tuple[F32, I32] | None:
    """A pool of colours with alpha, and each corner's index in it, -1 in meshes without; None where none has any."""
    if all(mesh.corner_colors is None for mesh in meshes):
        return None
    pool = [mesh.corner_colors.reshape(-1, 3) for mesh in meshes if mesh.corner_colors is not None]
    has = np.concatenate([np.full(mesh.faces.size, mesh.corner_colors is not None) for mesh in meshes])
    index = np.where(has, np.cumsum(has) - 1, -1).astype(np.int32)
    rgb = np.concatenate(pool).astype(np.float32)
    return np.concatenate([rgb, np.ones((len(rgb), 1), np.float32)], axis=1), index


def _exact(prepared: PreparedMesh, given: F32) -> F32:
    """The caller's normals where they are unit vectors already, pgc's elsewhere."""
    lengths = np.linalg.norm(given.astype(np.float64), axis=-1, keepdims=True)
    # + 0.0 turns -0.0 into 0.0, as a rotation does.
    return np.where(np.abs(lengths - 1.0) < 1e-5, given + np.float32(0.0), prepared.triangles.corner_normals)


def _joined_slots(meshes: Sequence[MeshArrays]) -> I32:
    """[F] of all meshes. Of several, the used slots of one come after those of the one before, without gaps: a number
    for every slot that some mesh might have would be 64 times as many as a job is allowed."""
    own = [np.zeros(len(mesh.faces), np.int32) if mesh.material_index is None else np.maximum(mesh.material_index, 0)
           for mesh in meshes]  # fmt: skip
    if len(own) == 1:
        return own[0].astype(np.int32)
    # One number for mesh and slot: sorting pairs (np.unique with an axis) takes seventy times as long.
    mesh_index = np.repeat(np.arange(len(own), dtype=np.int64), [len(part) for part in own])
    _, joined = np.unique((mesh_index << 32) | np.concatenate(own), return_inverse=True)
    return joined.reshape(-1).astype(np.int32)


def untextured_texels(meshes: Sequence[MeshArrays], prepared: PreparedMesh, size: int) -> list[Tensor] | None:
    """Finds the texels [size, size] of each tile that only faces without texture use, row 0 at the top; None: there are
    none.
    """
    if all(mesh.textured is None for mesh in meshes):
        return None
    textured = np.concatenate(
        [np.ones(len(mesh.faces), bool) if mesh.textured is None else mesh.textured for mesh in meshes]
    )
    if not textured.any():
        raise MeshError("No face of the job is to be textured; select at least one.")
    if textured.all():
        return None
    masks: list[Tensor] = []
    for tile in prepared.report.tiles:
        # Where the UVs of both overlap, the faces that get a texture win.
        inside = [
            texel_surface(_faces(prepared.triangles, chosen), size, tile).face_index >= 0
            for chosen in (textured, ~textured)
        ]
        masks.append(torch.as_tensor(inside[1] & ~inside[0]))
    return masks


def _faces(triangles: TriangleMesh, chosen: npt.NDArray[np.bool_]) -> TriangleMesh:
    return replace(
        triangles,
        faces=triangles.faces[chosen],
        corner_uvs=triangles.corner_uvs[chosen],
        corner_normals=triangles.corner_normals[chosen],
        polygon_index=triangles.polygon_index[chosen],
        corner_index=triangles.corner_index[chosen],
        material_index=triangles.material_index[chosen],
    )


def keep_untextured(
    sources: SourceTextures, meshes: Sequence[MeshArrays], prepared: PreparedMesh, texture: TexelPyramidConfig
) -> SourceTextures:
    """Locks the texels of faces that get no texture: to the initial texture, or else to the neutral start value."""
    masks, initial = untextured_texels(meshes, prepared, texture.texture_size), sources.initial
    if masks is None:
        return sources
    if initial is None:
        side, tiles = texture.texture_size, prepared.report.tiles
        plain = [torch.full((3, side, side), texture.initial_value) for _ in tiles]
        initial = BakedTexture(maps={"base_color": plain}, tiles=tiles)
    if sources.lock_mask is not None:
        masks = [mine | theirs for mine, theirs in zip(masks, sources.lock_mask, strict=True)]
    return replace(sources, initial=initial, lock_mask=masks)
