# SPDX-License-Identifier: Apache-2.0
"""PLY files with their polygons kept (trimesh's loader cuts them into triangles), and with UVs on vertices or faces."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int, Int32

from pgc.errors import MeshError
from pgc.mesh.data import Mesh
from pgc.mesh.formats.ply_body import PlyColumns, PlyList, read_body
from pgc.mesh.formats.ply_header import PlyHeader, parse_header
from pgc.mesh.tolerance import Notes, finite_rows, keep_polygons, linear_colors, unusable_positions

__all__ = ["read_ply"]

_UV_NAMES = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"), ("texture_s", "texture_t"), ("tx", "ty"),
             ("texcoord_u", "texcoord_v"))  # fmt: skip
_COLOR_NAMES = (("red", "green", "blue"), ("r", "g", "b"), ("diffuse_red", "diffuse_green", "diffuse_blue"))
_RANGES = {"u1": 255.0, "i1": 127.0, "u2": 65535.0, "i2": 32767.0}


def read_ply(path: Path, data: bytes) -> Mesh:
    """Reads the mesh of a PLY file's bytes, text or binary.

    UVs are read by vertex (s t, u v, texture_u texture_v, …) or by face corner (MeshLab's list `texcoord`, which wins);
    `texnumber` gives materials. Triangle strips (`tristrips`, -1 ends one) become triangles. Faces with fewer than
    three corners, and up to a tenth of faces that point nowhere, are left out and noted. Raises `MeshError`.
    """
    notes = Notes(path.name)
    header = parse_header(path.name, data)
    columns = read_body(path.name, header, data, notes)
    vertex = columns.get("vertex")
    if vertex is None or not {"x", "y", "z"} <= vertex.single.keys():
        raise MeshError(f"{path.name}: the PLY has no vertices with x, y and z; export the mesh itself.")
    positions = _stack(vertex, ("x", "y", "z")).astype(np.float64)
    faces = _faces(path.name, columns, notes)
    bad_positions = unusable_positions(positions)
    kept = _usable(faces, bad_positions, notes)
    uvs, corner_uvs = _uvs(vertex, faces, notes)
    colors = _colors(vertex, header)
    has_normals = {"nx", "ny", "nz"} <= vertex.single.keys()
    sizes, pools = keep_polygons(kept, faces.sizes, faces.corners, corner_uvs)
    corners = pools[0]
    assert corners is not None
    material_index, material_names = _materials(faces, header)
    return Mesh(
        name=path.stem,
        positions=np.where(bad_positions[:, None], 0.0, positions),
        polygon_sizes=sizes,
        corner_positions=corners,
        uvs=uvs,
        corner_uvs=pools[1],
        normals=_stack(vertex, ("nx", "ny", "nz")).astype(np.float32) if has_normals else None,
        corner_normals=corners.copy() if has_normals else None,
        material_index=material_index[kept],
        material_names=material_names,
        up_axis="z",
        notes=notes.sentences(),
        colors=colors,
        corner_colors=None if colors is None else corners.copy(),
    )


def _stack(columns: PlyColumns, names: tuple[str, ...]) -> Float64[np.ndarray, "N C"]:
    return np.stack([columns.single[name].astype(np.float64) for name in names], axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class _Faces:
    """Polygons as the file lists them. `texcoord` has two numbers for each corner of most faces."""

    sizes: Int32[np.ndarray, " P"]
    corners: Int[np.ndarray, " L"]
    texcoord: PlyList | None = None
    texnumber: np.ndarray | None = None
    unreadable: int = 0


def _faces(source: str, columns: dict[str, PlyColumns], notes: Notes) -> _Faces:
    face, strips = columns.get("face", PlyColumns()), columns.get("tristrips", PlyColumns())
    lists = [item for name, item in face.lists.items() if name.startswith("vertex_ind")]
    if lists and len(lists[0].sizes):
        values = _indices(lists[0].values)
        texcoord = face.lists.get("texcoord")
        # A row that could not be read has an empty list, as a face without corners has.
        unreadable = int(face.unreadable.sum())
        return _Faces(lists[0].sizes, values, texcoord, face.single.get("texnumber"), unreadable)
    lists = [item for name, item in strips.lists.items() if name.startswith("vertex_ind")]
    if lists:
        triangles, dropped = _strip_triangles(lists[0])
        notes.add(dropped, "Left out {} triangle(s) of strips that repeat a corner.")
        return _Faces(np.full(len(triangles), 3, np.int32), triangles.reshape(-1))
    raise MeshError(f"{source}: the PLY has no faces, expected a surface; export the mesh itself, not only points.")


def _indices(values: np.ndarray) -> Int[np.ndarray, " L"]:
    """Whole numbers; -1 for what is none, which is then a corner that points nowhere."""
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    whole = np.isfinite(values) & (np.abs(values) < 2.0**31)
    return np.where(whole, values, -1.0).astype(np.int64)


def _strip_triangles(strips: PlyList) -> tuple[Int[np.ndarray, "F 3"], int]:
    """Triangles of strips, every other one turned; and how many had a corner twice."""
    values = _indices(strips.values)
    # Every strip ends at a -1 or at the end of its list.
    ends = np.cumsum(strips.sizes)
    broken = np.insert(values, ends, -1)
    stop = broken < 0
    starts = np.maximum.accumulate(np.where(stop, np.arange(len(broken)) + 1, 0))
    at = np.arange(max(len(broken) - 2, 0))
    whole = at[~(stop[at] | stop[at + 1] | stop[at + 2])]
    turned = (whole - starts[whole]) % 2 == 1
    a, b, c = broken[whole], broken[whole + 1], broken[whole + 2]
    triangles = np.stack([np.where(turned, b, a), np.where(turned, a, b), c], axis=1)
    good = (a != b) & (b != c) & (a != c)
    return triangles[good], int((~good).sum())


def _usable(faces: _Faces, bad_positions: Bool[np.ndarray, " V"], notes: Notes) -> Bool[np.ndarray, " P"]:
    """Faces with three corners that are there; notes the others. Raises `MeshError` where they are too many."""
    count, total = len(bad_positions), len(faces.sizes)
    short = faces.sizes < 3
    notes.add(int(short.sum()) - faces.unreadable, "Left out {} face(s) with fewer than 3 corners.")
    notes.add_lost(
        faces.unreadable,
        total,
        "Left out {} face(s) that could not be read.",
        lambda: f"{faces.unreadable:,} of {total:,} faces cannot be read; the file is damaged: export it again.",
    )
    nowhere = (faces.corners < 0) | (faces.corners >= count)
    unusable = np.ones(len(nowhere), dtype=bool)
    unusable[~nowhere] = bad_positions[faces.corners[~nowhere]]
    polygon = np.repeat(np.arange(total), faces.sizes)
    bad = (np.bincount(polygon, unusable, total) > 0) & ~short

    def refusal() -> str:
        """Returns the sentence that says what is wrong with the file."""
        if nowhere.any():
            return (
                f"a face points to vertex number {faces.corners[nowhere][0]}, but there are {count:,} (counted from "
                "0); the file is damaged or cut off: export it again."
            )
        return (
            f"{int(bad_positions.sum()):,} vertex position(s) are NaN or infinite, expected finite numbers; "
            "repair the mesh (Blender: Mesh > Clean Up) and export it again."
        )

    notes.add_lost(
        int(bad.sum()), total, "Left out {} face(s) whose vertices are not there or are no numbers.", refusal
    )
    return ~(short | bad)


def _uvs(
    vertex: PlyColumns, faces: _Faces, notes: Notes
) -> tuple[Float32[np.ndarray, "T 2"] | None, Int[np.ndarray, " L"] | None]:
    """Pool and corner indices of UVs: by face corner where the file has them so, by vertex otherwise."""
    if faces.texcoord is not None and (faces.texcoord.sizes > 0).any():
        found = _corner_uvs(faces, faces.texcoord, notes)
    else:
        names = next((names for names in _UV_NAMES if set(names) <= vertex.single.keys()), None)
        if names is None:
            return None, None
        found = _stack(vertex, names).astype(np.float32), faces.corners
    pool, corners = found
    finite = finite_rows(pool)
    there = (corners >= 0) & (corners < len(pool))
    bad = there & ~finite[np.where(there, corners, 0)] if len(pool) else np.zeros(len(corners), bool)
    notes.add(int(bad.sum()), "Left out the UV of {} face corner(s): it is no number.")
    return np.where(finite[:, None], pool, np.float32(0.0)), np.where(bad, -1, corners)


def _corner_uvs(
    faces: _Faces, texcoord: PlyList, notes: Notes
) -> tuple[Float32[np.ndarray, "T 2"], Int[np.ndarray, " L"]]:
    """A pool with one entry a corner; corners of faces without as many UVs as corners have none."""
    matching = texcoord.sizes == 2 * faces.sizes
    notes.add(int((~matching & (faces.sizes >= 3)).sum()), "Read as without UVs: {} face(s) with none, or too few.")
    values = texcoord.values[np.repeat(matching, texcoord.sizes)].reshape(-1, 2)
    corners = np.full(len(faces.corners), -1, dtype=np.int64)
    corners[np.repeat(matching, faces.sizes)] = np.arange(len(values))
    with np.errstate(over="ignore"):
        return values.astype(np.float32), corners


def _materials(faces: _Faces, header: PlyHeader) -> tuple[Int32[np.ndarray, " P"], tuple[str, ...]]:
    """One material for each of MeshLab's texture files."""
    if faces.texnumber is None or len(header.textures) < 2:
        return np.zeros(len(faces.sizes), dtype=np.int32), ("",)
    numbers = np.nan_to_num(faces.texnumber.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(numbers, 0, len(header.textures) - 1).astype(np.int32), header.textures


def _colors(vertex: PlyColumns, header: PlyHeader) -> Float32[np.ndarray, "V 4"] | None:
    """Linear colour of each vertex."""
    names = next((names for names in _COLOR_NAMES if set(names) <= vertex.single.keys()), None)
    if names is None:
        return None
    kinds = {item.name: item.dtype for element in header.elements if element.name == "vertex"
             for item in element.properties}  # fmt: skip
    columns = [vertex.single[name].astype(np.float64) / _RANGES.get(kinds[name], 1.0) for name in names]
    if "alpha" in vertex.single:
        columns.append(vertex.single["alpha"].astype(np.float64) / _RANGES.get(kinds["alpha"], 1.0))
    else:
        columns.append(
            np.full(len(columns[0]), 255.0 if columns[0].size and max(c.max() for c in columns) > 1.0 else 1.0)
        )
    return linear_colors(np.stack(columns, axis=1))
