# SPDX-License-Identifier: Apache-2.0
"""The binary chunk of a GLB: vertices that carry everything a mesh has, each as seldom as possible."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float32, Int, Int32, Int64, UInt8

from pgc.errors import MeshError
from pgc.mesh.data import Mesh, PreparedMesh

__all__ = ["GltfBuffer", "add_primitive", "textured_set", "y_up"]

_FLOAT, _UINT8, _UINT16, _UINT32 = 5126, 5121, 5123, 5125
_ARRAY_BUFFER, _ELEMENT_BUFFER = 34962, 34963


@dataclass(slots=True)
class GltfBuffer:
    """The binary chunk as it grows, with its views (each 4-byte aligned) and accessors."""

    data: bytearray = field(default_factory=bytearray)
    views: list[dict[str, Any]] = field(default_factory=list)
    accessors: list[dict[str, Any]] = field(default_factory=list)

    def add_bytes(self, data: bytes, target: int | None = None) -> int:
        """Adds a view and returns its number."""
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data)}
        if target is not None:
            view["target"] = target
        self.data += data + b"\0" * (-len(data) % 4)
        self.views.append(view)
        return len(self.views) - 1

    def add_vectors(self, values: Float32[np.ndarray, "N C"], *, bounds: bool = False) -> int:
        """Adds an accessor of VEC2, VEC3 or VEC4 and returns its number; `bounds` writes min and max, which POSITION
        must have."""
        accessor: dict[str, Any] = {
            "bufferView": self.add_bytes(values.astype("<f4").tobytes(), _ARRAY_BUFFER),
            "componentType": _FLOAT,
            "count": len(values),
            "type": f"VEC{values.shape[1]}",
        }
        if bounds:
            accessor["min"], accessor["max"] = values.min(axis=0).tolist(), values.max(axis=0).tolist()
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def add_bytes_of_colors(self, values: UInt8[np.ndarray, "N 4"]) -> int:
        """Adds an accessor of normalized colours and returns its number."""
        view = self.add_bytes(values.tobytes(), _ARRAY_BUFFER)
        self.accessors.append(
            {"bufferView": view, "componentType": _UINT8, "normalized": True, "count": len(values), "type": "VEC4"}
        )
        return len(self.accessors) - 1

    def add_indices(self, indices: Int[np.ndarray, " N"]) -> int:
        """Adds an accessor of indices and returns its number; 16 bits where they suffice (65535 is the restart value,
        so never used)."""
        small = int(indices.max()) < 65535
        view = self.add_bytes(indices.astype("<u2" if small else "<u4").tobytes(), _ELEMENT_BUFFER)
        kind = _UINT16 if small else _UINT32
        self.accessors.append({"bufferView": view, "componentType": kind, "count": len(indices), "type": "SCALAR"})
        return len(self.accessors) - 1


def add_primitive(
    prepared: PreparedMesh,
    faces: Int[np.ndarray, " K"],
    tile: int,
    buffer: GltfBuffer,
    tangents: Float32[np.ndarray, "F 3 4"] | None,
    *,
    textured: bool = True,
) -> dict[str, Any]:
    """Adds attributes and indices of some faces: one vertex for each different row of all that a vertex has.

    The textured UV set is moved from its `tile` into [0, 1]; the file's other sets and its vertex colours stay as they
    are; beside a texture these are kept where viewers do not look. Raises `MeshError` for a mesh without UVs.
    """
    mesh, triangles = prepared.mesh, prepared.triangles
    corners = triangles.corner_index[faces].reshape(-1)
    position = mesh.corner_positions[corners]
    normal = y_up(triangles.corner_normals[faces].reshape(-1, 3))
    rows = {"NORMAL": normal}
    if tangents is not None:
        rows["TANGENT"] = tangents[faces].reshape(-1, 4)
    rows |= _uv_rows(mesh, corners, tile)
    colors = _color_rows(mesh, corners)
    key = position.astype(np.int64)
    for values in (*rows.values(), *(() if colors is None else (colors,))):
        key = _combined(key, _row_ids(values))
    _, kept, indices = np.unique(key, return_index=True, return_inverse=True)
    points = (mesh.positions[position[kept]] - mesh.origin).astype(np.float32)
    attributes = {"POSITION": buffer.add_vectors(points if mesh.up_axis == "y" else y_up(points), bounds=True)}
    for name, values in rows.items():
        attributes[name] = buffer.add_vectors(values[kept])
    if colors is not None and not textured:
        attributes["COLOR_0"] = buffer.add_vectors(colors[kept])
    elif colors is not None:
        # Viewers multiply the texture by COLOR_0, which would tint what was made to be seen as it is.
        attributes["COLOR_0"] = buffer.add_bytes_of_colors(np.full((len(kept), 4), 255, np.uint8))
        attributes["COLOR_1"] = buffer.add_vectors(colors[kept])
    return {"attributes": attributes, "indices": buffer.add_indices(indices.reshape(-1))}


def textured_set(mesh: Mesh) -> int:
    """Returns the number that the textured UV set has in the GLB: sets keep their order, numbers have no gaps, as glTF
    2.0 §3.7.2.1 wants it."""
    return sum(1 for other in mesh.other_uv_sets if other.index < mesh.uv_index)


def _uv_rows(mesh: Mesh, corners: Int32[np.ndarray, " C"], tile: int) -> dict[str, Float32[np.ndarray, "C 2"]]:
    """UVs of corners by attribute; (0, 0) where a corner has none in a set."""
    if mesh.uvs is None or mesh.corner_uvs is None:
        raise MeshError(f"{mesh.name}: the mesh has no UVs to export; prepare it first.")
    sets = [(other.index, other.uvs, other.corner_uvs, 1001) for other in mesh.other_uv_sets]
    # Of two sets of one number the textured one is last.
    ordered = sorted([*sets, (mesh.uv_index, mesh.uvs, mesh.corner_uvs, tile)], key=lambda item: item[0])
    rows: dict[str, Float32[np.ndarray, "C 2"]] = {}
    for number, (_, uvs, corner_uvs, moved) in enumerate(ordered):
        index = corner_uvs[corners]
        given = _gltf_uvs(uvs[np.maximum(index, 0)], moved)
        rows[f"TEXCOORD_{number}"] = np.where(index[:, None] >= 0, given, np.float32(0.0))
    return rows


def _color_rows(mesh: Mesh, corners: Int32[np.ndarray, " C"]) -> Float32[np.ndarray, "C 4"] | None:
    """Vertex colours of corners, white where a corner has none; None where all are white."""
    if mesh.colors is None or mesh.corner_colors is None:
        return None
    index = mesh.corner_colors[corners]
    colors = np.where(index[:, None] >= 0, mesh.colors[np.maximum(index, 0)], np.float32(1.0))
    return None if (mesh.colors == 1.0).all() else colors


def y_up(vectors: Float32[np.ndarray, "N 3"]) -> Float32[np.ndarray, "N 3"]:
    """Turns Z-up into Y-up, (x, z, -y): no rounding."""
    return np.stack([vectors[:, 0], vectors[:, 2], -vectors[:, 1]], axis=1)


def _gltf_uvs(uvs: Float32[np.ndarray, "N 2"], tile: int) -> Float32[np.ndarray, "N 2"]:
    column, row = (tile - 1001) % 10, (tile - 1001) // 10
    wide = uvs.astype(np.float64)
    return np.stack([wide[:, 0] - column, 1.0 - (wide[:, 1] - row)], axis=1).astype(np.float32)


def _row_ids(rows: Float32[np.ndarray, "N C"]) -> Int64[np.ndarray, " N"]:
    """A number for each different row, compared bit by bit (but 0 and -0 are one)."""
    bits = np.ascontiguousarray(rows + np.float32(0.0)).view(np.uint32).astype(np.int64)
    ids = bits[:, 0]
    for column in range(1, bits.shape[1]):
        ids = np.unique(ids, return_inverse=True)[1].reshape(-1).astype(np.int64) * (1 << 32) + bits[:, column]
    return np.unique(ids, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _combined(first: Int64[np.ndarray, " N"], second: Int64[np.ndarray, " N"]) -> Int64[np.ndarray, " N"]:
    """A dense number for each different pair; pairs sort by the first number first."""
    keys = first * (int(second.max()) + 1) + second
    return np.unique(keys, return_inverse=True)[1].reshape(-1).astype(np.int64)
