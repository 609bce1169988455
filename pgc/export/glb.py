# SPDX-License-Identifier: Apache-2.0
"""GLB export: the caller's positions and triangles with textures, in one self-contained glTF 2.0 file."""

import io
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from PIL import Image

from pgc import __version__
from pgc.errors import MeshError
from pgc.export.glb_parts import Part, parts_of
from pgc.export.glb_vertices import GltfBuffer, add_primitive, textured_set, y_up
from pgc.mesh.data import Mesh, PreparedMesh, TriangleMesh
from pgc.mesh.tangents import tangents_of
from pgc.whole_files import write_bytes

__all__ = ["write_glb"]

_LINEAR, _LINEAR_MIPMAP_LINEAR, _REPEAT = 9729, 9987, 10497
_PNG = b"\x89PNG\r\n\x1a\n"
_MAPS = ("base_color", "orm", "normal")


def write_glb(path: str | Path, prepared: PreparedMesh, images: Mapping[str, bytes]) -> None:
    """Writes a GLB with the mesh and its maps as embedded PNG.

    `images` maps a map's name (`base_color` sRGB, `orm`, `normal`) to PNG bytes; of a mesh with several UDIM tiles
    the names carry the tile, `base_color.1002`. Positions are the caller's: as they are from Y-up files, and
    (x, z, -y) from Z-up ones; those of a mesh far from the origin stand near it, under a node that moves them back.
    A vertex is repeated only where something that it carries differs. With a normal map the tangents (MikkTSpace)
    are written too, so that every viewer reads it in the frame that it was made in; vertices are then also repeated
    where the two sides of a mirrored texture meet. The file's parts and materials keep their names: each part has a
    node, and in it a primitive for each material and tile, its UVs moved into [0, 1]; V runs down, as glTF has it
    (1 - v, rounded to float32 once). The file's other UV sets stand beside the textured one, in their order, and its
    vertex colours in COLOR_1: viewers multiply the texture by COLOR_0, which is white (it has them where there is
    no map). The file appears whole or not at
    all. Raises `MeshError` for a missing or foreign image, `OutputError` where the file cannot be written.
    """
    tiles = prepared.report.tiles
    pictures = {tile: _pictures(images, tile, single=len(tiles) == 1) for tile in tiles}
    buffer = GltfBuffer()
    mesh, document = prepared.mesh, _document(prepared.mesh)
    tangents = _frames(prepared.triangles) if any("normal" in found for found in pictures.values()) else None
    uv_set = textured_set(mesh)
    single = len(tiles) == 1
    surfaces = {
        tile: _surface(mesh.name if single else f"{mesh.name}.{tile}", found, document, buffer, uv_set)
        for tile, found in pictures.items()
    }
    numbers: dict[tuple[int, int], int] = {}
    parts = parts_of(prepared)
    for part in parts:
        primitives = []
        for (tile, material), own in part.faces.items():
            if (tile, material) not in numbers:
                numbers[tile, material] = len(document["materials"])
                name = mesh.material_names[material] or mesh.name
                document["materials"].append({"name": name if single else f"{name}.{tile}", **surfaces[tile]})
            primitive = add_primitive(prepared, own, tile, buffer, tangents, textured=bool(images))
            primitives.append({**primitive, "material": numbers[tile, material], "mode": 4})
        document["meshes"].append({"name": part.name, "primitives": primitives})
    document["nodes"] = _nodes(mesh, parts)
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
    return {
        "asset": {"version": "2.0", "generator": f"pgc-texture {__version__}"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "meshes": [],
        "materials": [],
        "textures": [],
        "images": [],
        "samplers": [
            {"magFilter": _LINEAR, "minFilter": _LINEAR_MIPMAP_LINEAR, "wrapS": _REPEAT, "wrapT": _REPEAT},
        ],
    }


def _nodes(mesh: Mesh, parts: list[Part]) -> list[dict[str, Any]]:
    """One node for a mesh of one part, else one for each part under one for all."""
    x, y, z = mesh.origin.tolist()
    place = {"translation": [x, y, z] if mesh.up_axis == "y" else [x, z, -y]} if mesh.origin.any() else {}
    if len(parts) == 1:
        return [{"name": parts[0].name, "mesh": 0, **place}]
    children = [{"name": part.name, "mesh": number} for number, part in enumerate(parts)]
    return [{"name": mesh.name, "children": list(range(1, 1 + len(parts))), **place}, *children]


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
    turned = y_up(direction.astype(np.float32))
    return np.concatenate([turned, sign[:, None].astype(np.float32)], axis=1).reshape(-1, 3, 4)


def _surface(
    name: str, pictures: dict[str, bytes], document: dict[str, Any], buffer: GltfBuffer, uv_set: int
) -> dict[str, Any]:
    """What all materials of a tile share: double-sided, matte and not metallic unless an `orm` map says otherwise."""
    surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
    material: dict[str, Any] = {"doubleSided": True, "pbrMetallicRoughness": surface}
    for kind, data in pictures.items():
        view = buffer.add_bytes(data)
        document["images"].append({"name": f"{name}.{kind}", "mimeType": "image/png", "bufferView": view})
        document["textures"].append({"sampler": 0, "source": len(document["images"]) - 1})
        reference = {"index": len(document["textures"]) - 1, "texCoord": uv_set}
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
    write_bytes(path, header + text + struct.pack("<II", len(binary), 0x004E4942) + binary)
