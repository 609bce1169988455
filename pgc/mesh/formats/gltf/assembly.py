# SPDX-License-Identifier: Apache-2.0
"""All placed parts of a glTF as one `Mesh`."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32, Int64

from pgc.errors import MeshError
from pgc.mesh.data import Mesh, UvSet
from pgc.mesh.formats.gltf.document import Document
from pgc.mesh.formats.gltf.notes import NoteCounts
from pgc.mesh.formats.gltf.placing import PlacedPart

__all__ = ["assemble"]


_COLORS_NOTE = (
    "The mesh has vertex colours: viewers would multiply the new texture by them, so the GLB keeps them as COLOR_1."
)


@dataclass(frozen=True, slots=True, eq=False)
class _Flat:
    """One part with all its copies, one after another. A row that is not finite is "none"."""

    positions: Float64[np.ndarray, "V 3"]
    faces: Int64[np.ndarray, "F 3"]
    normals: Float32[np.ndarray, "V 3"] | None
    uvs: dict[int, Float32[np.ndarray, "V 2"]]
    uv_set: int | None
    colors: Float32[np.ndarray, "V 4"] | None
    material: int
    names: tuple[str, ...]
    """Of the nodes."""
    copy: Int64[np.ndarray, " F"]
    """Which of the names a triangle has."""


def assemble(name: str, document: Document, placed: list[PlacedPart]) -> Mesh:
    """Makes one mesh of all parts, Y-up; every part has the pool of vertices that its copies use. Empties `placed`.

    The textured UV set is the one that the materials of most triangles read. Triangles with corners that are not
    finite are left out and counted. Raises `MeshError` where no triangle is left.
    """
    parts: list[_Flat] = []
    waiting = placed[::-1]
    placed.clear()
    while waiting:
        # One after another, so that arrays of millions are not held twice.
        flat = _flat(waiting.pop(), document.notes)
        if len(flat.faces):
            parts.append(flat)
    if not parts:
        told = " ".join(document.notes.sentences())
        raise MeshError(
            f"{document.root.source}: the glTF has no triangles with usable vertices, expected a surface; "
            f"export the mesh itself.{f' ({told})' if told else ''}"
        )
    starts = np.cumsum([0, *(len(part.positions) for part in parts)])
    corners = np.concatenate([part.faces + start for part, start in zip(parts, starts, strict=False)])
    corners = corners.reshape(-1).astype(np.int32)
    uv_set = _textured_set(parts)
    parts = [_with_textured_set(part, uv_set, document.notes) for part in parts]
    uvs, corner_uvs = _pool([part.uvs.get(uv_set) for part in parts], parts, corners, 2)
    normals, corner_normals = _pool([part.normals for part in parts], parts, corners, 3)
    colors, corner_colors = _pool([part.colors for part in parts], parts, corners, 4)
    if colors is not None and not (colors[corner_colors] == 1.0).all():
        document.notes.add(_COLORS_NOTE)
    names = tuple(material.text("name") for material in document.root.items("materials"))
    part_index, part_names = _parts(parts)
    faces = [len(part.faces) for part in parts]
    materials = [part.material if part.material >= 0 else len(names) for part in parts]
    return Mesh(
        name=name,
        positions=_joined([part.positions for part in parts]),
        polygon_sizes=np.full(len(corners) // 3, 3, dtype=np.int32),
        corner_positions=corners,
        uvs=uvs,
        corner_uvs=corner_uvs,
        normals=normals,
        corner_normals=corner_normals,
        material_index=np.repeat(np.array(materials, dtype=np.int32), faces),
        material_names=(*names, ""),
        up_axis="y",
        notes=document.notes.sentences(),
        uv_name="" if uvs is None else f"TEXCOORD_{uv_set}",
        uv_index=uv_set,
        other_uv_sets=_other_sets(parts, corners, uv_set),
        colors=colors,
        corner_colors=corner_colors,
        part_index=part_index,
        part_names=part_names,
    )


def _parts(parts: list[_Flat]) -> tuple[Int32[np.ndarray, " F"], tuple[str, ...]]:
    """The node's name of each triangle, and all names in the order of their first triangle. Nodes of one name are one
    part."""
    numbers: dict[str, int] = {}
    rows = []
    for part in parts:
        own = np.array([numbers.setdefault(name, len(numbers)) for name in part.names], dtype=np.int32)
        rows.append(own[part.copy])
    return np.concatenate(rows), tuple(numbers)


def _flat(placed: PlacedPart, notes: NoteCounts) -> _Flat:
    part, (copies, count) = placed.part, placed.positions.shape[:2]
    positions = placed.positions.reshape(-1, 3)
    faces = (placed.faces + (np.arange(copies) * count)[:, None, None]).reshape(-1, 3)
    copy = np.repeat(np.arange(copies), placed.faces.shape[1])
    finite: Bool[np.ndarray, " V"] = np.asarray(np.isfinite(positions).all(axis=1))
    if not finite.all():
        kept = finite[faces].all(axis=1)
        notes.add("{count} triangle(s) with a corner that is NaN or infinite were left out.", int((~kept).sum()))
        faces, copy, positions = faces[kept], copy[kept], np.where(finite[:, None], positions, 0.0)
    return _Flat(
        positions=positions,
        faces=faces,
        normals=None if placed.normals is None else placed.normals.reshape(-1, 3),
        uvs={number: _repeated(uvs, copies) for number, uvs in part.uvs.items()},
        uv_set=part.uv_set,
        colors=None if part.colors is None else _repeated(part.colors, copies),
        material=part.material,
        names=placed.names,
        copy=copy,
    )


def _textured_set(parts: list[_Flat]) -> int:
    """The set that the materials of most triangles read; 0 where there are no UVs."""
    votes: dict[int, int] = {}
    for part in parts:
        if part.uv_set is not None:
            votes[part.uv_set] = votes.get(part.uv_set, 0) + len(part.faces)
    return max(sorted(votes), key=lambda number: votes[number], default=0)


def _with_textured_set(part: _Flat, uv_set: int, notes: NoteCounts) -> _Flat:
    """The part with the set that its own material reads in the place of the textured one."""
    own = part.uv_set
    if own is None or own == uv_set:
        return part
    notes.add("{count} part(s) read another UV set than the rest: there the two sets trade places.")
    traded = {**part.uvs, uv_set: part.uvs[own]}
    if uv_set in part.uvs:
        traded[own] = part.uvs[uv_set]
    else:
        del traded[own]
    return replace(part, uvs=traded, uv_set=uv_set)


def _pool(
    pools: list[np.ndarray | None], parts: list[_Flat], corners: Int32[np.ndarray, " L"], width: int
) -> tuple[Float32[np.ndarray, "V C"] | None, Int32[np.ndarray, " L"] | None]:
    """One entry a vertex, and corner indices into it: -1 where a part has none, or none that is finite."""
    if all(pool is None for pool in pools):
        return None, None
    filled = [
        np.full((len(part.positions), width), np.nan, np.float32) if pool is None else pool
        for pool, part in zip(pools, parts, strict=True)
    ]
    values = _joined(filled)
    given: Bool[np.ndarray, " V"] = np.asarray(np.isfinite(values).all(axis=1))
    if given.all():
        return values, corners.copy()
    return np.where(given[:, None], values, np.float32(0.0)), np.where(given[corners], corners, np.int32(-1))


def _joined(arrays: list[np.ndarray]) -> np.ndarray:
    """Arrays one after another; a single one as it is, since it may be big."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _repeated(values: np.ndarray, copies: int) -> np.ndarray:
    return values if copies == 1 else np.tile(values, (copies, 1))


def _other_sets(parts: list[_Flat], corners: Int32[np.ndarray, " L"], uv_set: int) -> tuple[UvSet, ...]:
    found: list[UvSet] = []
    for number in sorted({number for part in parts for number in part.uvs} - {uv_set}):
        uvs, corner_uvs = _pool([part.uvs.get(number) for part in parts], parts, corners, 2)
        if uvs is not None and corner_uvs is not None:
            found.append(UvSet(name=f"TEXCOORD_{number}", uvs=uvs, corner_uvs=corner_uvs, index=number))
    return tuple(found)
