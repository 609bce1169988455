# SPDX-License-Identifier: Apache-2.0
"""One primitive of a glTF mesh: its triangles and the attributes of the vertices that they use."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64

from pgc.mesh.formats.gltf.binary.accessors import Accessor, open_accessor
from pgc.mesh.formats.gltf.binary.buffers import Buffers
from pgc.mesh.formats.gltf.binary.draco import open_draco
from pgc.mesh.formats.gltf.fields import Fields
from pgc.mesh.formats.gltf.materials import MaterialUvs, material_uvs
from pgc.mesh.formats.gltf.morphs import morphed
from pgc.mesh.formats.gltf.topology import TRIANGLES, has_triangles, read_corners, triangles_of, used_rows

__all__ = ["Part", "read_part"]

_TYPES = {
    "POSITION": ("VEC3",),
    "NORMAL": ("VEC3",),
    "TEXCOORD": ("VEC2",),
    "COLOR": ("VEC3", "VEC4"),
    "JOINTS": ("VEC4",),
    "WEIGHTS": ("VEC4",),
}
"""Attributes that are read, numbered ones without their number, with the types that glTF 2.0 §3.7.2.1 gives them."""
_MAX_SETS = 8
"""Of each numbered attribute; Blender, too, has eight UV maps. A file could name one accessor a thousand times."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Part:
    """Triangles of one material. Vertices are those that the faces use, in the order of the file."""

    positions: Float64[np.ndarray, "V 3"]
    faces: Int64[np.ndarray, "F 3"]
    normals: Float64[np.ndarray, "V 3"] | None
    uvs: dict[int, Float32[np.ndarray, "V 2"]]
    """By set number, V up."""
    uv_set: int | None
    """The set that the material reads; None where there is none."""
    colors: Float32[np.ndarray, "V 4"] | None
    joints: Float64[np.ndarray, "V J"] | None
    weights: Float64[np.ndarray, "V J"] | None
    material: int
    """-1 where there is none."""


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """Where one primitive's attributes are read from."""

    buffers: Buffers
    primitive: Fields
    accessors: dict[str, Accessor]
    morph_weights: tuple[float, ...]
    rows: Int64[np.ndarray, " V"]

    def values(self, name: str) -> Float64[np.ndarray, "V C"]:
        """Returns an attribute of the used vertices, with its morph targets applied."""
        base = self.accessors[name].floats(self.rows)
        return morphed(self.buffers, self.primitive, self.morph_weights, name, self.rows, base)

    def optional(self, name: str) -> Float64[np.ndarray, "V C"] | None:
        """Returns what `values` does, or None where the part has no such attribute."""
        return self.values(name) if name in self.accessors else None

    def side_by_side(self, kind: str) -> Float64[np.ndarray, "V J"] | None:
        """Returns JOINTS_0, JOINTS_1, … as one array."""
        names = _sets(self.accessors, kind)
        return np.concatenate([self.values(names[number]) for number in sorted(names)], axis=1) if names else None


def read_part(buffers: Buffers, primitive: Fields, morph_weights: tuple[float, ...]) -> Part | None:
    """Reads a primitive and applies its morph targets. Returns None (and adds a note) where it has no triangle. Raises
    `MeshError`.

    Triangles that point to vertices that do not exist are left out, and attributes that are shorter than the
    positions; both are counted.
    """
    notes = buffers.document.notes
    if not has_triangles(primitive, notes):
        return None
    packed = open_draco(buffers, primitive)
    accessors = _open(buffers, primitive, {} if packed is None else packed.attributes)
    if "POSITION" not in accessors:
        notes.add("{count} part(s) without positions were left out.")
        return None
    count = accessors["POSITION"].count
    if packed is None:
        mode = primitive.integer("mode", TRIANGLES)
        faces = triangles_of(mode, read_corners(buffers, primitive, count), count, notes)
    else:
        faces = triangles_of(TRIANGLES, packed.faces.reshape(-1), count, notes)
    if len(faces) == 0:
        notes.add("{count} part(s) without a triangle were left out.")
        return None
    rows, faces = used_rows(faces, count)
    source = _Source(buffers, primitive, accessors, morph_weights, rows)
    material = _material(buffers, primitive)
    described = material_uvs(buffers.document, material)
    uv_set = _uv_set(source, described)
    return Part(
        positions=source.values("POSITION"),
        faces=faces,
        normals=source.optional("NORMAL"),
        uvs=_uvs(source, described, uv_set),
        uv_set=uv_set,
        colors=_colors(source),
        joints=source.side_by_side("JOINTS"),
        weights=source.side_by_side("WEIGHTS"),
        material=material,
    )


def _open(buffers: Buffers, primitive: Fields, packed: dict[str, Accessor]) -> dict[str, Accessor]:
    """Accessors of the attributes that are read."""
    notes = buffers.document.notes
    named = primitive.child("attributes")
    accessors: dict[str, Accessor] = {}
    for name in (*named.values, *(name for name in packed if name not in named)):
        kind = name.partition("_")[0]
        number = _number(name, kind)
        if kind not in _TYPES or (name not in ("POSITION", "NORMAL") and number is None):
            continue
        if number is not None and number >= _MAX_SETS:
            notes.add(f"{{count}} more set(s) of {kind} were left out: {_MAX_SETS} are read.")
            continue
        accessors[name] = packed[name] if name in packed else open_accessor(buffers, named.integer(name), _TYPES[kind])
    needed = accessors["POSITION"].count if "POSITION" in accessors else 0
    for name in [name for name, found in accessors.items() if found.count < needed]:
        notes.add(f"{name} of {{count}} part(s) is shorter than the positions and was left out.")
        del accessors[name]
    return accessors


def _number(name: str, kind: str) -> int | None:
    """The number of an attribute such as TEXCOORD_3, None where it has none."""
    number = name[len(kind) + 1 :]
    return int(number) if number.isascii() and number.isdigit() and len(number) < 4 else None


def _sets(accessors: dict[str, Accessor], kind: str) -> dict[int, str]:
    """Names of a numbered attribute by number."""
    found = {_number(name, kind): name for name in accessors if name.startswith(f"{kind}_")}
    return {number: name for number, name in found.items() if number is not None}


def _uv_set(source: _Source, described: MaterialUvs) -> int | None:
    """The set that the material reads, or the first that there is."""
    sets = sorted(_sets(source.accessors, "TEXCOORD"))
    wanted = described.uv_set if described.uv_set is not None else min(sets, default=None)
    if wanted in sets or not sets:
        return wanted if sets else None
    source.buffers.document.notes.add(
        "The material of {count} part(s) reads a UV set that they do not have: their first set was used."
    )
    return sets[0]


def _uvs(source: _Source, described: MaterialUvs, uv_set: int | None) -> dict[int, Float32[np.ndarray, "V 2"]]:
    """All sets, V up. A texture transform over UVs stored as integers is how they are decoded, and applied; over
    others it belongs to the old picture, and is said."""
    found: dict[int, Float32[np.ndarray, "V 2"]] = {}
    for number, name in sorted(_sets(source.accessors, "TEXCOORD").items()):
        values = source.values(name)
        if number == uv_set == described.uv_set and described.transform is not None:
            if source.accessors[name].dtype.kind == "f":
                source.buffers.document.notes.add(
                    "The material of {count} part(s) moves or scales its texture (KHR_texture_transform): that is left "
                    "out, the UVs stay as they are."
                )
            else:
                values = values @ described.transform[:, :2].T + described.transform[:, 2]
        values[:, 1] = 1.0 - values[:, 1]
        with np.errstate(over="ignore", invalid="ignore"):
            found[number] = values.astype(np.float32)
    return found


def _colors(source: _Source) -> Float32[np.ndarray, "V 4"] | None:
    """Vertex colours. A first set that is white says nothing: our own GLBs have one before the colours that the mesh
    came with, so that viewers do not multiply the texture by them."""
    sets = _sets(source.accessors, "COLOR")
    found: Float32[np.ndarray, "V 4"] | None = None
    for number in sorted(sets):
        if found is not None and not (found == 1.0).all():
            source.buffers.document.notes.add("{count} more set(s) of vertex colours were left out: one is read.")
            continue
        values = source.values(sets[number])
        found = np.ones((len(values), 4), np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            found[:, : values.shape[1]] = values
    return found


def _material(buffers: Buffers, primitive: Fields) -> int:
    index = primitive.optional_integer("material")
    if index is None:
        return -1
    if index >= buffers.document.root.count("materials"):
        buffers.document.notes.add("{count} part(s) name a material that does not exist: they have none here.")
        return -1
    return index
