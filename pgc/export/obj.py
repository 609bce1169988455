# SPDX-License-Identifier: Apache-2.0
"""OBJ with MTL: the caller's polygons and UVs, number by number, and maps under the names that programs read.

The MTL keys beyond Wavefront's own are those of the PBR extension (Pr, Pm, map_Pr, map_Pm, norm; proposed by Exocortex
for Clara.io). They take one gray image each, not a packed one. The normal map stands under map_Bump too, where Blender
and Godot look for it: both take it for a normal map, not for heights.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float64, Int32

from pgc.color_space import srgb_from_linear
from pgc.export.surface_images import check_tiles
from pgc.mesh.data import Mesh, PreparedMesh
from pgc.unique_rows import unique_rows
from pgc.whole_files import write_bytes

__all__ = ["MTL_MAPS", "write_obj"]

MTL_MAPS = {
    "base_color": ("map_Kd",),
    "roughness": ("map_Pr",),
    "metallic": ("map_Pm",),
    "normal": ("norm", "map_Bump"),
}
"""Keys of each map; occlusion has none."""
_BREAKING = re.compile(r"[\s\x00-\x1f\x7f]+")
"""Line breaks would end the line; many readers take a space for the end of a name."""


@dataclass(frozen=True, slots=True)
class _Material:
    """A material of the file: one for each of the caller's and each UDIM tile, since OBJ knows no tiles."""

    name: str
    tile: int


def write_obj(path: Path, prepared: PreparedMesh, images: Mapping[str, Mapping[int, str]]) -> None:
    """Writes an OBJ and, beside it, the MTL of the same stem.

    Positions, polygons and UVs are the caller's, in his order: as they are from Y-up files, and (x, z, -y) from Z-up
    ones, since readers take OBJ for Y-up. Numbers are the shortest that read back as the same numbers. Materials keep
    their names, save that spaces become underscores; where there are several tiles, the tile stands behind (the UVs
    then repeat each tile's image). The file's parts are objects of their names. An OBJ holds one UV set, the textured
    one; a comment names the others. Vertex colours stand behind the positions, sRGB and without alpha.

    Args:
        path: ends in .obj.
        prepared: the mesh.
        images: by map and tile, a file name beside the OBJ. Maps that MTL has no key for are left out.

    Raises:
        MeshError: an image for a tile is missing.
        OutputError: a file cannot be written.
    """
    check_tiles(images, prepared)
    materials, of_polygon = _materials(prepared)
    library = path.with_suffix(".mtl")
    write_bytes(library, _library(materials, images).encode())
    lines = [
        *_about_uvs(prepared.mesh),
        f"mtllib {library.name}",
        *_pools(prepared.mesh),
        *_faces(prepared.mesh, materials, of_polygon),
        "",
    ]
    write_bytes(path, "\n".join(lines).encode())


def _materials(prepared: PreparedMesh) -> tuple[list[_Material], Int32[np.ndarray, " P"]]:
    """The file's materials, and the material of each polygon."""
    mesh = prepared.mesh
    tiles = np.zeros(len(mesh.polygon_sizes), np.int64)
    tiles[prepared.triangles.polygon_index] = prepared.face_tiles
    # A polygon whose triangles were all dropped has no tile; any will do.
    tiles[tiles == 0] = prepared.report.tiles[0]
    pairs, numbers = unique_rows(np.stack([mesh.material_index, tiles], axis=1))
    several, taken, materials = len(prepared.report.tiles) > 1, set[str](), list[_Material]()
    for index, tile in pairs.tolist():
        plain = _BREAKING.sub("_", mesh.material_names[index] or mesh.name)
        name = _free(f"{plain}.{tile}" if several else plain, taken)
        taken.add(name)
        materials.append(_Material(name, tile))
    return materials, numbers.reshape(-1).astype(np.int32)


def _about_uvs(mesh: Mesh) -> list[str]:
    if not mesh.other_uv_sets:
        return []
    left_out = ", ".join(_BREAKING.sub("_", other.name) or f"number {other.index}" for other in mesh.other_uv_sets)
    name = _BREAKING.sub("_", mesh.uv_name) or f"number {mesh.uv_index}"
    return [f"# vt is the textured UV set, {name}; OBJ holds no more than one, so this file lacks: {left_out}"]


def _free(name: str, taken: set[str]) -> str:
    """The name, or the first of name_2, name_3, … that is free."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def _library(materials: Iterable[_Material], images: Mapping[str, Mapping[int, str]]) -> str:
    parts = []
    for material in materials:
        metal = 1 if "metallic" in images else 0
        lines = [f"newmtl {material.name}", "Kd 1 1 1", "Pr 1", f"Pm {metal}", "illum 2"]
        lines += [
            f"{key} {images[name][material.tile]}" for name in MTL_MAPS if name in images for key in MTL_MAPS[name]
        ]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _pools(mesh: Mesh) -> list[str]:
    """Lines of positions, UVs and normals."""
    lines = _rows("v", _with_colors(_turned(mesh.positions, mesh), mesh))
    if mesh.uvs is not None:
        lines += _rows("vt", mesh.uvs)
    if mesh.normals is not None:
        lines += _rows("vn", _turned(mesh.normals, mesh))
    return lines


def _with_colors(positions: Float64[np.ndarray, "N 3"], mesh: Mesh) -> Float64[np.ndarray, "N C"]:
    """Positions with the vertices' sRGB colours behind them, as many programs read them; white where one has none.

    Wavefront's format has no such thing, and no colours of corners: of a vertex that has several, their mean is taken.
    """
    if mesh.colors is None or mesh.corner_colors is None:
        return positions
    given = mesh.corner_colors >= 0
    vertex = mesh.corner_positions[given]
    counts = np.bincount(vertex, minlength=len(positions))
    linear = np.ones((len(positions), 3))
    for channel in range(3):
        sums = np.bincount(vertex, mesh.colors[mesh.corner_colors[given], channel], minlength=len(positions))
        linear[counts > 0, channel] = sums[counts > 0] / counts[counts > 0]
    encoded = srgb_from_linear(torch.from_numpy(linear.clip(0.0, 1.0))).numpy()
    # Six digits: what a colour of 16 bits needs, and less than the rounding of its way there and back.
    return np.concatenate([positions, encoded.round(6)], axis=1)


def _turned(vectors: Float[np.ndarray, "N 3"], mesh: Mesh) -> Float[np.ndarray, "N 3"]:
    return vectors if mesh.up_axis == "y" else np.stack([vectors[:, 0], vectors[:, 2], -vectors[:, 1]], axis=1)


def _rows(key: str, values: Float[np.ndarray, "N C"]) -> list[str]:
    # NumPy's text is the shortest that reads back as the same number.
    text = values.astype(str)
    return [f"{key} {' '.join(row)}" for row in text.tolist()]


def _faces(mesh: Mesh, materials: list[_Material], of_polygon: Int32[np.ndarray, " P"]) -> list[str]:
    corners = _corners(mesh)
    named = mesh.part_index is not None and any(mesh.part_names)
    parts = mesh.part_index if mesh.part_index is not None and named else np.zeros(len(of_polygon), np.int32)
    lines, used, shown, start = list[str](), -1, -1, 0
    for size, material, part in zip(mesh.polygon_sizes.tolist(), of_polygon.tolist(), parts.tolist(), strict=True):
        if named and part != shown:
            lines.append(f"o {_BREAKING.sub('_', mesh.part_names[part]) or mesh.name}")
        if material != used:
            lines.append(f"usemtl {materials[material].name}")
        used, shown = material, part
        lines.append("f " + " ".join(corners[start : start + size]))
        start += size
    return lines


def _corners(mesh: Mesh) -> list[str]:
    """v, v/vt, v//vn or v/vt/vn of every corner, counted from 1."""
    uvs = mesh.corner_uvs if mesh.corner_uvs is not None else np.full(len(mesh.corner_positions), -1)
    normals = mesh.corner_normals if mesh.corner_normals is not None else np.full(len(mesh.corner_positions), -1)
    rows = zip((mesh.corner_positions + 1).tolist(), (uvs + 1).tolist(), (normals + 1).tolist(), strict=True)
    return [f"{v}/{vt or ''}/{vn}" if vn else f"{v}/{vt}" if vt else f"{v}" for v, vt, vn in rows]
