# SPDX-License-Identifier: Apache-2.0
"""GLB export: the caller's positions and triangles with textures, in one self-contained glTF 2.0 file."""

import io
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int, Int64
from PIL import Image

from pgc import __version__
from pgc.errors import MeshError
from pgc.mesh_data import Mesh, PreparedMesh, TriangleMesh
from pgc.rendering.tangents import tangents_of

__all__ = ["write_glb"]

_FLOAT, _UINT16, _UINT32 = 5126, 5123, 5125
_ARRAY_BUFFER, _ELEMENT_BUFFER = 34962, 34963
_LINEAR, _LINEAR_MIPMAP_LINEAR, _REPEAT = 9729, 9987, 10497
_PNG = b"\x89PNG\r\n\x1a\n"
_MAPS = ("base_color", "orm", "normal")


def write_glb(path: str | Path, prepared: PreparedMesh, images: Mapping[str, bytes]) -> None:
    """Writes a GLB with the mesh and its maps as embedded PNG.

    `images` maps a map's name (`base_color` sRGB, `orm`, `normal`) to PNG bytes; of a mesh with several UDIM tiles
    the names carry the tile, `base_color.1002`. Positions are the caller's: as they are from Y-up files, and
    (x, z, -y) from Z-up ones; those of a mesh far from the origin stand near it, under a node that moves them back.
    A vertex is repeated only where UV or normal differ. With a normal map the tangents (MikkTSpace) are written too,
    so that every viewer reads it in the frame that it was made in; vertices are then also repeated where the two
    sides of a mirrored texture meet. Each tile becomes one primitive with its material, its UVs moved into [0, 1]; V
    runs down, as glTF has it (1 - v, rounded to float32 once). The file appears whole or not at all. Raises
    `MeshError` for a missing or foreign image, or where the file cannot be written.
    """
    tiles = prepared.report.tiles
    pictures = {tile: _pictures(images, tile, single=len(tiles) == 1) for tile in tiles}
    buffer = _Buffer()
    document = _document(prepared.mesh)
    tangents = _frames(prepared.triangles) if any("normal" in found for found in pictures.values()) else None
    for number, tile in enumerate(tiles):
        primitive = _primitive(prepared, np.flatnonzero(prepared.face_tiles == tile), tile, buffer, tangents)
        document["meshes"][0]["primitives"].append({**primitive, "material": number, "mode": 4})
        name = prepared.mesh.name if len(tiles) == 1 else f"{prepared.mesh.name}.{tile}"
        document["materials"].append(_material(name, pictures[tile], document, buffer))
    document["accessors"], document["bufferViews"] = buffer.accessors, buffer.views
    document["buffers"] = [{"byteLength": len(buffer.data)}]
    if not document["textures"]:
        for key in ("textures", "images", "samplers"):
            del document[key]
    _write(Path(path), document, bytes(buffer.data))


def _pictures(images: Mapping[str, bytes], tile: int, *, single: bool) -> dict[str, bytes]:
    """The maps of one tile by name."""
    found: dict[str, bytes] = {}
    for name in _MAPS:
        key = name if single and name in images else f"{name}.{tile}"
        if key not in images:
            continue
        if not images[key].startswith(_PNG):
            raise MeshError(f"The image {key!r} is not a PNG, which a GLB needs; encode it as PNG first.")
        found[name] = images[key]
    if images and not found:
        raise MeshError(f"No image for UDIM tile {tile} among {sorted(images)}; name it 'base_color.{tile}'.")
    return found


def _document(mesh: Mesh) -> dict[str, Any]:
    name, origin = mesh.name, mesh.origin
    x, y, z = origin.tolist()
    place = {"translation": [x, y, z] if mesh.up_axis == "y" else [x, z, -y]} if origin.any() else {}
    return {
        "asset": {"version": "2.0", "generator": f"pgc-texture {__version__}"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": name, "mesh": 0, **place}],
        "meshes": [{"name": name, "primitives": []}],
        "materials": [],
        "textures": [],
        "images": [],
        "samplers": [
            {"magFilter": _LINEAR, "minFilter": _LINEAR_MIPMAP_LINEAR, "wrapS": _REPEAT, "wrapT": _REPEAT},
        ],
    }


@dataclass(slots=True)
class _Buffer:
    """The binary chunk as it grows, with its views (each 4-byte aligned) and accessors."""

    data: bytearray = field(default_factory=bytearray)
    views: list[dict[str, Any]] = field(default_factory=list)
    accessors: list[dict[str, Any]] = field(default_factory=list)

    def add_bytes(self, data: bytes, target: int | None = None) -> int:
        """Number of the new view."""
        view: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data)}
        if target is not None:
            view["target"] = target
        self.data += data + b"\0" * (-len(data) % 4)
        self.views.append(view)
        return len(self.views) - 1

    def add_vectors(self, values: Float32[np.ndarray, "N C"], *, bounds: bool = False) -> int:
        """Number of the new accessor of VEC2, VEC3 or VEC4; `bounds` writes min and max, which POSITION must have."""
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

    def add_indices(self, indices: Int[np.ndarray, " N"]) -> int:
        """Number of the new accessor; 16 bits where they do (65535 is the restart value, so never used)."""
        small = int(indices.max()) < 65535
        view = self.add_bytes(indices.astype("<u2" if small else "<u4").tobytes(), _ELEMENT_BUFFER)
        kind = _UINT16 if small else _UINT32
        self.accessors.append({"bufferView": view, "componentType": kind, "count": len(indices), "type": "SCALAR"})
        return len(self.accessors) - 1


def _primitive(
    prepared: PreparedMesh,
    faces: Int[np.ndarray, " K"],
    tile: int,
    buffer: _Buffer,
    tangents: Float32[np.ndarray, "F 3 4"] | None,
) -> dict[str, Any]:
    """Vertices and indices of some faces: one vertex for each different (position, UV, normal, tangent)."""
    mesh, triangles = prepared.mesh, prepared.triangles
    if mesh.uvs is None or mesh.corner_uvs is None:
        raise MeshError(f"{mesh.name}: the mesh has no UVs to export; prepare it first.")
    corners = triangles.corner_index[faces].reshape(-1)
    position = mesh.corner_positions[corners]
    uv = mesh.uvs[mesh.corner_uvs[corners]]
    normal = _y_up(triangles.corner_normals[faces].reshape(-1, 3))
    shading = _row_ids(normal)
    tangent = None if tangents is None else tangents[faces].reshape(-1, 4)
    if tangent is not None:
        shading = _combined(shading, _row_ids(tangent))
    key = _combined(position.astype(np.int64), _combined(_row_ids(uv), shading))
    _, kept, indices = np.unique(key, return_index=True, return_inverse=True)
    points = (mesh.positions[position[kept]] - mesh.origin).astype(np.float32)
    attributes = {
        "POSITION": buffer.add_vectors(points if mesh.up_axis == "y" else _y_up(points), bounds=True),
        "NORMAL": buffer.add_vectors(normal[kept]),
        "TEXCOORD_0": buffer.add_vectors(_gltf_uvs(uv[kept], tile)),
    }
    if tangent is not None:
        attributes["TANGENT"] = buffer.add_vectors(tangent[kept])
    return {"attributes": attributes, "indices": buffer.add_indices(indices.reshape(-1))}


def _frames(triangles: TriangleMesh) -> Float32[np.ndarray, "F 3 4"]:
    """Y-up tangents of all corners, unit length, w the sign of the bitangent, which points up the picture.

    Corners without a tangent of their own (no area in space or texture) get one that fits their normal: glTF has no
    word for "none".
    """
    tangents = tangents_of(triangles).reshape(-1, 4).astype(np.float64)
    normals = triangles.corner_normals.reshape(-1, 3).astype(np.float64)
    least = np.eye(3)[np.abs(normals).argmin(axis=1)]
    spare = least - normals * (least * normals).sum(axis=1, keepdims=True)
    missing = np.linalg.norm(tangents[:, :3], axis=1) < 0.5
    direction = np.where(missing[:, None], spare, tangents[:, :3])
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    sign = np.where(tangents[:, 3] < 0.0, -1.0, 1.0)
    turned = _y_up(direction.astype(np.float32))
    return np.concatenate([turned, sign[:, None].astype(np.float32)], axis=1).reshape(-1, 3, 4)


def _y_up(vectors: Float32[np.ndarray, "N 3"]) -> Float32[np.ndarray, "N 3"]:
    """Z-up to Y-up, (x, z, -y): no rounding."""
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


def _material(name: str, pictures: dict[str, bytes], document: dict[str, Any], buffer: _Buffer) -> dict[str, Any]:
    """A double-sided metallic-roughness material; matte and not metallic unless an `orm` map says otherwise."""
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
    material: dict[str, Any] = {"name": name, "doubleSided": True, "pbrMetallicRoughness": surface}
    for kind, data in pictures.items():
        view = buffer.add_bytes(data)
        document["images"].append({"name": f"{name}.{kind}", "mimeType": "image/png", "bufferView": view})
        document["textures"].append({"sampler": 0, "source": len(document["images"]) - 1})
        reference = {"index": len(document["textures"]) - 1, "texCoord": 0}
        if kind == "base_color":
            surface["baseColorTexture"] = reference
            material.update(_alpha_mode(data))
        elif kind == "orm":
            surface["metallicRoughnessTexture"] = material["occlusionTexture"] = reference
            surface["metallicFactor"] = 1.0
        else:
            material["normalTexture"] = reference
    return material


def _alpha_mode(png: bytes) -> dict[str, str]:
    """How a viewer takes a base colour's alpha: as a cut-out where nearly all of it is on or off, else blended."""
    with Image.open(io.BytesIO(png)) as picture:
        if picture.mode != "RGBA":
            return {}
        counts = picture.getchannel("A").histogram()
    return {"alphaMode": "BLEND" if sum(counts[13:243]) > 0.1 * sum(counts) else "MASK"}


def _write(path: Path, document: dict[str, Any], binary: bytes) -> None:
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    header = struct.pack("<4sIIII", b"glTF", 2, 28 + len(text) + len(binary), len(text), 0x4E4F534A)
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_bytes(header + text + struct.pack("<II", len(binary), 0x004E4942) + binary)
        os.replace(partial, path)
    except OSError as exc:
        raise MeshError(f"{path}: cannot be written ({exc.strerror}); check the folder and the free space.") from exc
