# SPDX-License-Identifier: Apache-2.0
"""PLY files with their polygons kept (trimesh's loader cuts them into triangles)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int32

from pgc.errors import MeshError
from pgc.mesh_data import Mesh

__all__ = ["read_ply"]

_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4",
    "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float32": "f4", "float64": "f8",
}  # fmt: skip
_UV_NAMES = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"))


@dataclass(frozen=True, slots=True)
class _Property:
    name: str
    dtype: str
    count_dtype: str | None
    """None for a single value."""


@dataclass(frozen=True, slots=True)
class _Element:
    name: str
    count: int
    properties: tuple[_Property, ...]


_Columns = dict[str, Any]
"""Property name to an array [N], or for a list to (sizes [N], values [sum])."""


def read_ply(path: Path, data: bytes) -> Mesh:
    """The mesh of a PLY file's bytes, text or binary; UVs by vertex (s t, u v). Raises `MeshError`."""
    elements, encoding, body = _header(path.name, data)
    columns = _read_text(elements, data[body:]) if encoding == "ascii" else _read_binary(elements, data, body, encoding)
    vertex, face = columns.get("vertex"), columns.get("face")
    if vertex is None or face is None or not {"x", "y", "z"} <= vertex.keys():
        raise MeshError(
            f"{path.name}: the PLY has no vertices or no faces, expected a surface; export the mesh itself."
        )
    sizes, corners = face["vertex_indices"] if "vertex_indices" in face else face["vertex_index"]
    corners = corners.astype(np.int64)
    if corners.size and int(np.abs(corners).max()) > 2**31 - 1:
        raise MeshError(f"{path.name}: a face points to vertex {corners.max()}; the file is damaged: export it again.")
    corners = corners.astype(np.int32)
    uv_names = next((names for names in _UV_NAMES if set(names) <= vertex.keys()), None)
    has_normals = {"nx", "ny", "nz"} <= vertex.keys()
    return Mesh(
        name=path.stem,
        positions=_stack(vertex, ("x", "y", "z"), np.float64),
        polygon_sizes=sizes.astype(np.int32),
        corner_positions=corners,
        uvs=_stack(vertex, uv_names) if uv_names else None,
        corner_uvs=corners.copy() if uv_names else None,
        normals=_stack(vertex, ("nx", "ny", "nz")) if has_normals else None,
        corner_normals=corners.copy() if has_normals else None,
        material_index=np.zeros(len(sizes), dtype=np.int32),
        material_names=("",),
        up_axis="z",
    )


def _stack(columns: _Columns, names: tuple[str, ...], dtype: type[np.floating] = np.float32) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.stack([np.asarray(columns[name]).astype(dtype) for name in names], axis=1)


def _header(name: str, data: bytes) -> tuple[list[_Element], str, int]:
    """Elements, encoding (ascii, <, >) and where the body starts."""
    end = data.find(b"end_header")
    if not data.startswith(b"ply") or end < 0:
        raise MeshError(f"{name}: this is not a PLY file (no 'ply' … 'end_header'); export the mesh again.")
    encoding = ""
    elements: list[_Element] = []
    for line in data[:end].decode("ascii", errors="replace").splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] == "format":
            encoding = {"ascii": "ascii", "binary_little_endian": "<", "binary_big_endian": ">"}[words[1]]
        elif words[0] == "element":
            elements.append(_Element(words[1], int(words[2]), ()))
        elif words[0] == "property":
            last = elements.pop()
            elements.append(_Element(last.name, last.count, (*last.properties, _property(words))))
    return elements, encoding, data.index(b"\n", end) + 1


def _property(words: list[str]) -> _Property:
    if words[1] == "list":
        return _Property(words[4], _TYPES[words[3]], _TYPES[words[2]])
    return _Property(words[2], _TYPES[words[1]], None)


def _read_binary(elements: list[_Element], data: bytes, offset: int, order: str) -> dict[str, _Columns]:
    result: dict[str, _Columns] = {}
    for element in elements:
        result[element.name], offset = _read_element(element, data, offset, order)
    return result


def _read_element(element: _Element, data: bytes, offset: int, order: str) -> tuple[_Columns, int]:
    """One element: at once where all its lists have the lengths of the first row, row by row otherwise."""
    if element.count == 0:
        empty = np.zeros(0, dtype=np.int32)
        return {p.name: (empty, empty) if p.count_dtype else empty for p in element.properties}, offset
    lengths = _row_lengths(element, data, offset, order)
    dtype = np.dtype(
        [field for p, n in zip(element.properties, lengths, strict=True) for field in _fields(p, n, order)]
    )
    if offset + dtype.itemsize * element.count <= len(data):
        rows = np.frombuffer(data, dtype, element.count, offset)
        lists = [(p, n) for p, n in zip(element.properties, lengths, strict=True) if p.count_dtype]
        if all((rows[f"{p.name} count"] == n).all() for p, n in lists):
            columns: _Columns = {p.name: rows[p.name] for p in element.properties if not p.count_dtype}
            for p, n in lists:
                columns[p.name] = (np.full(element.count, n, dtype=np.int32), rows[p.name].reshape(-1))
            return columns, offset + dtype.itemsize * element.count
    return _read_rows(element, data, offset, order)


def _fields(item: _Property, length: int, order: str) -> list[tuple[Any, ...]]:
    if item.count_dtype is None:
        return [(item.name, order + item.dtype)]
    return [(f"{item.name} count", order + item.count_dtype), (item.name, order + item.dtype, (length,))]


def _row_lengths(element: _Element, data: bytes, offset: int, order: str) -> list[int]:
    """Length of each list of the row at `offset`; 1 for single values."""
    lengths = []
    for item in element.properties:
        length = 1
        if item.count_dtype is not None:
            length = int(np.frombuffer(data, order + item.count_dtype, 1, offset)[0])
            offset += np.dtype(item.count_dtype).itemsize
        offset += length * np.dtype(item.dtype).itemsize
        lengths.append(length)
    return lengths


def _read_rows(element: _Element, data: bytes, offset: int, order: str) -> tuple[_Columns, int]:
    values: dict[str, list[np.ndarray]] = {item.name: [] for item in element.properties}
    for _ in range(element.count):
        for item in element.properties:
            length = 1
            if item.count_dtype is not None:
                length = int(np.frombuffer(data, order + item.count_dtype, 1, offset)[0])
                offset += np.dtype(item.count_dtype).itemsize
            values[item.name].append(np.frombuffer(data, order + item.dtype, length, offset))
            offset += length * np.dtype(item.dtype).itemsize
    return _columns(element, values), offset


def _columns(element: _Element, values: dict[str, list[np.ndarray]]) -> _Columns:
    columns: _Columns = {}
    for item in element.properties:
        parts = values[item.name]
        flat = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)
        columns[item.name] = (_sizes(parts), flat) if item.count_dtype else flat
    return columns


def _sizes(parts: list[np.ndarray]) -> Int32[np.ndarray, " N"]:
    return np.array([len(part) for part in parts], dtype=np.int32)


def _read_text(elements: list[_Element], body: bytes) -> dict[str, _Columns]:
    lines = body.split(b"\n")
    lines = [line for line in lines if line.strip()]
    result: dict[str, _Columns] = {}
    begin = 0
    for element in elements:
        chosen = lines[begin : begin + element.count]
        if len(chosen) < element.count:
            raise EOFError(f"{element.name}: {len(chosen)} of {element.count} rows")
        begin += element.count
        result[element.name] = _parse_lines(element, chosen)
    return result


def _parse_lines(element: _Element, lines: list[bytes]) -> _Columns:
    rows = [line.split() for line in lines]
    if not any(item.count_dtype for item in element.properties):
        # float64 first: the text's nearest float32 but for ties in the 30th bit, and whole numbers stay exact.
        table = np.array([row[: len(element.properties)] for row in rows], dtype=np.float64)
        return {item.name: table[:, i] for i, item in enumerate(element.properties)} if rows else {}
    values: dict[str, list[np.ndarray]] = {item.name: [] for item in element.properties}
    for row in rows:
        at = 0
        for item in element.properties:
            length = 1
            if item.count_dtype is not None:
                length = int(row[at])
                at += 1
            if at + length > len(row):
                raise EOFError(f"{element.name}: a row has too few values")
            values[item.name].append(np.array(row[at : at + length], dtype=np.float64).astype(item.dtype))
            at += length
    return _columns(element, values)
