# SPDX-License-Identifier: Apache-2.0
"""OBJ files through tinyobjloader, guarded against what it accepts in silence.

It keeps polygons and the indices of v, vt and vn apart, which is what bit-exact round trips need. But it reads
"nan" and garbage as 0, drops faces of two corners, gives indices out of range only a warning, does not know
continued lines, and names materials only where their .mtl file exists. So the text is checked before, and the
result after. (Its `numpy_*` accessors are broken in 2.0.0rc13: stride 0. The lists are right.)
"""

import re
from pathlib import Path

import numpy as np
import tinyobjloader
from jaxtyping import Float32, Int32

from pgc.errors import MeshError
from pgc.mesh_data import Mesh

__all__ = ["read_obj"]

_NUMBER = rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_GAP = rb"[ \t]+"
_END = rb"[ \t]*(?:\#[^\n]*)?\r?(?=\n|\Z)"
_BAD_NUMBERS = re.compile(
    rb"^[ \t]*(?:"
    rb"v(?=[ \t])(?!(?:" + _GAP + _NUMBER + rb"){3,}" + _END + rb")"
    rb"|vn(?=[ \t])(?!(?:" + _GAP + _NUMBER + rb"){3}" + _END + rb")"
    rb"|vt(?=[ \t])(?!(?:" + _GAP + _NUMBER + rb"){1,3}" + _END + rb")"
    rb")[^\n]*",
    re.MULTILINE,
)
_CORNER = rb"-?\d{1,9}(?:/-?\d{0,9}(?:/-?\d{0,9})?)?"  # more digits would wrap around in the loader's 32 bits
_BAD_FACE = re.compile(rb"^[ \t]*f(?=\s)(?!(?:" + _GAP + _CORNER + rb"){3,}" + _END + rb")[^\n]*", re.MULTILINE)
_USE_MATERIAL = re.compile(rb"^([ \t]*usemtl)(?:[ \t]+([^\r\n]*?))?[ \t]*(?=\r?$)", re.MULTILINE)
_LIBRARY_LINE = re.compile(rb"^[ \t]*mtllib\b", re.MULTILINE)
_COMMENT_AFTER_NUMBERS = re.compile(rb"^([ \t]*(?:v|vt|vn|f)[ \t][^\n#]*)#[^\r\n]*", re.MULTILINE)
_KNOWN_LINE = re.compile(rb"^[ \t]*(?:v|vt|vn|f|o|g)[ \t]", re.MULTILINE)
_NOT_FINITE = re.compile(rb"(?i)\b(?:nan|inf|infinity)\b|1\.#")
_LOADER_LINE = re.compile(r"[Ll]ine (\d+)")


def read_obj(path: Path, data: bytes) -> Mesh:
    """The mesh of an OBJ file's bytes; positions are the float32 nearest to the text. Raises `MeshError`."""
    name = path.name
    if b"\0" in data[:4096] or not _KNOWN_LINE.search(data):
        raise MeshError(f"{name}: this is not an OBJ text file (it has no v or f lines); export the mesh again.")
    data = data.replace(b"\\\r\n", b"   ").replace(b"\\\n", b"  ")
    if data.count(b"#") > data.count(b"\n#") + data.startswith(b"#"):
        data = _COMMENT_AFTER_NUMBERS.sub(rb"\1", data)
    _check_lines(name, data)
    text, material_names = _with_numbered_materials(data)
    reader = tinyobjloader.ObjReader()
    config = tinyobjloader.ObjReaderConfig()
    config.triangulate = False
    library = "".join(f"newmtl m{index}\n" for index in range(len(material_names)))
    if not reader.ParseFromString(text.decode("utf-8", errors="replace"), library, config) or reader.Error():
        line = _LOADER_LINE.search(reader.Error())
        where = f" in line {int(line.group(1)) - 1}" if line else ""
        raise MeshError(
            f"{name}: a face{where} points to a vertex that is not there (index 0, or counted back too far); "
            "the file is damaged or cut off: export it again."
        )
    return _to_mesh(path, reader, material_names)


def _check_lines(name: str, data: bytes) -> None:
    for pattern, expected in ((_BAD_NUMBERS, "numbers"), (_BAD_FACE, "at least 3 corners such as 1/2/3")):
        found = pattern.search(data)
        if found is None:
            continue
        line = data.count(b"\n", 0, found.start()) + 1
        got = found.group().strip().decode("utf-8", errors="replace")[:60]
        if expected == "numbers" and _NOT_FINITE.search(found.group()):
            reason = "holds NaN or infinity, expected finite numbers; repair the mesh and export it again"
        else:
            reason = f"cannot be read, expected {expected}; the file is damaged or cut off: export it again"
        raise MeshError(f"{name}: line {line} ({got!r}) {reason}.")


def _with_numbered_materials(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """The text with materials renamed to m0, m1, …, and their names: any name then survives, with spaces too.

    One more line comes first: tinyobjloader looks at the material library only where the text asks for one.
    """
    names: dict[bytes, int] = {}

    def rename(match: re.Match[bytes]) -> bytes:
        number = names.setdefault(match.group(2) or b"", len(names))
        return match.group(1) + b" m%d" % number

    text = _USE_MATERIAL.sub(rename, _LIBRARY_LINE.sub(b"# mtllib", data))
    return b"mtllib numbered\n" + text, tuple(name.decode("utf-8", errors="replace") for name in names)


def _to_mesh(path: Path, reader: tinyobjloader.ObjReader, material_names: tuple[str, ...]) -> Mesh:
    attributes = reader.GetAttrib()
    meshes = [shape.mesh for shape in reader.GetShapes()]
    material = _joined([mesh.material_ids for mesh in meshes])
    if (material < 0).any() or not material_names:
        material_names = ("", *material_names)  # faces before the first usemtl
        material = material + np.int32(1)
    uvs = _rows(attributes.texcoords, 2)
    normals = _rows(attributes.normals, 3)
    corner_uvs = _joined([mesh.texcoord_indices() for mesh in meshes])
    corner_normals = _joined([mesh.normal_indices() for mesh in meshes])
    has_uvs = bool((corner_uvs >= 0).any())
    has_normals = bool((corner_normals >= 0).any())
    return Mesh(
        name=path.stem,
        positions=_rows(attributes.vertices, 3),
        polygon_sizes=_joined([mesh.num_face_vertices for mesh in meshes]),
        corner_positions=_joined([mesh.vertex_indices() for mesh in meshes]),
        uvs=uvs if has_uvs else None,
        corner_uvs=corner_uvs if has_uvs else None,
        normals=normals if has_normals else None,
        corner_normals=corner_normals if has_normals else None,
        material_index=material,
        material_names=material_names,
        up_axis="y",
    )


def _rows(values: list[float], width: int) -> Float32[np.ndarray, "N C"]:
    with np.errstate(over="ignore"):  # 1e99 becomes infinity, which the mesh refuses with a sentence
        return np.asarray(values, dtype=np.float64).astype(np.float32).reshape(-1, width)


def _joined(parts: list[list[int]]) -> Int32[np.ndarray, " L"]:
    return np.concatenate([np.zeros(0, dtype=np.int32), *(np.asarray(part, dtype=np.int32) for part in parts)])
