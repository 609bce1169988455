# SPDX-License-Identifier: Apache-2.0
"""Mesh files to `Mesh`: OBJ by its own reader, glTF, PLY and STL through trimesh."""

import json
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float, Int, Int32
from trimesh.resolvers import FilePathResolver

from pgc.errors import MeshError
from pgc.mesh_checks import check_indices, check_triangle_count
from pgc.mesh_data import Mesh, UpAxis
from pgc.obj_reader import read_obj
from pgc.ply_reader import read_ply

__all__ = ["MESH_SUFFIXES", "load_mesh"]

MESH_SUFFIXES = (".obj", ".glb", ".gltf", ".ply", ".stl")


def load_mesh(path: str | Path) -> Mesh:
    """Reads a mesh file; the mesh's name is the file's stem. Raises `MeshError` with one sentence for any bad file.

    Positions, polygons and UVs come back as the file has them. glTF nodes are put in place by their transforms
    (identity leaves bits alone); STL, which repeats each position for each triangle, gets them joined, as Blender's
    import does.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in MESH_SUFFIXES:
        raise MeshError(
            f"{path.name}: cannot read {suffix or 'a file without extension'}, expected one of "
            f"{', '.join(MESH_SUFFIXES)}; export the mesh in one of these formats."
        )
    data = _read_bytes(path)
    try:
        mesh = _parse(path, suffix, data)
    except MeshError:
        raise
    except RecursionError as exc:
        raise MeshError(f"{path.name}: its nodes refer to each other in a circle; export the mesh again.") from exc
    except MemoryError as exc:
        raise MeshError(
            f"{path.name}: it asks for more memory than there is; the file is damaged, or too big."
        ) from exc
    except Exception as exc:
        raise MeshError(
            f"{path.name}: this is not a readable {suffix[1:].upper()} mesh; the file is damaged or cut off, or "
            "something else with this extension: export it again."
        ) from exc
    check_triangle_count(path.name, mesh.polygon_sizes)
    return mesh


def _read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError as exc:
        raise MeshError(f"{path}: there is no such file; check the path.") from exc
    except OSError as exc:
        raise MeshError(f"{path}: cannot be opened ({exc.strerror}); check that it is a file you may read.") from exc
    if not data.strip():
        raise MeshError(f"{path.name}: the file is empty; export the mesh again.")
    return data


def _parse(path: Path, suffix: str, data: bytes) -> Mesh:
    if suffix == ".obj":
        return read_obj(path, data)
    if suffix == ".ply":
        return read_ply(path, data)
    if suffix == ".stl":
        return _read_stl(path, data)
    return _read_gltf(path, suffix, data)


def _read_stl(path: Path, data: bytes) -> Mesh:
    is_text = data[:5].lower() == b"solid" and b"facet" in data[:4096]
    if not is_text:
        count = struct.unpack("<I", data[80:84])[0] if len(data) >= 84 else -1
        if len(data) != 84 + 50 * count:
            raise MeshError(
                f"{path.name}: the STL says {max(count, 0):,} triangles but has {max(len(data) - 84, 0) // 50:,}; "
                "it is cut off or no STL: export it again."
            )
    elif b"endsolid" not in data.lower()[-4096:]:
        raise MeshError(f"{path.name}: the STL text ends without 'endsolid', it is cut off: export it again.")
    loaded: Any = trimesh.load(trimesh.util.wrap_as_stream(data), file_type="stl", process=False)
    pieces = list(loaded.geometry.values()) if isinstance(loaded, trimesh.Scene) else [loaded]
    points = np.concatenate([np.asarray(piece.triangles, dtype=np.float64).reshape(-1, 3) for piece in pieces])
    corners = np.ascontiguousarray(points.astype(np.float32))
    keys = (corners + np.float32(0.0)).view(np.dtype((np.void, 12))).ravel()
    _, kept, inverse = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(kept)
    rank = np.empty(len(order), dtype=np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return _triangle_soup(path, corners[kept[order]], rank[inverse].reshape(-1, 3), up_axis="z")


def _triangle_soup(path: Path, positions: np.ndarray, faces: Int[np.ndarray, "F 3"], *, up_axis: UpAxis) -> Mesh:
    return Mesh(
        name=path.stem,
        positions=positions.astype(np.float64),
        polygon_sizes=np.full(len(faces), 3, dtype=np.int32),
        corner_positions=faces.reshape(-1).astype(np.int32),
        uvs=None,
        corner_uvs=None,
        normals=None,
        corner_normals=None,
        material_index=np.zeros(len(faces), dtype=np.int32),
        material_names=("",),
        up_axis=up_axis,
    )


def _read_gltf(path: Path, suffix: str, data: bytes) -> Mesh:
    document, rest = _gltf_document(path.name, suffix, data)
    names = _simplify_materials(path.name, document)
    _number_names(document)
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    if suffix == ".glb":
        header = struct.pack("<4sIIII", b"glTF", 2, 20 + len(text) + len(rest), len(text), 0x4E4F534A)
        text = header + text + rest
    resolver = FilePathResolver(str(path))
    scene: Any = trimesh.load(
        trimesh.util.wrap_as_stream(text), file_type=suffix[1:], resolver=resolver, process=False, force="scene"
    )
    return _scene_to_mesh(path, scene, names)


def _gltf_document(name: str, suffix: str, data: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON part and, for GLB, the bytes of the chunks after it."""
    if suffix == ".gltf":
        return json.loads(data), b""
    if len(data) < 20 or data[:4] != b"glTF":
        raise MeshError(f"{name}: this is not a GLB file (its first bytes are {data[:4]!r}); export the mesh again.")
    version, length, json_length = struct.unpack("<III", data[4:16])
    if version != 2 or length > len(data):
        raise MeshError(
            f"{name}: the GLB (version {version}) says {length:,} bytes but has {len(data):,}; "
            "it is cut off or not glTF 2.0: export it again."
        )
    return json.loads(data[20 : 20 + json_length]), data[20 + json_length : length]


def _simplify_materials(name: str, document: dict[str, Any]) -> tuple[str, ...]:
    """Leaves of each material its number as name and drops images: trimesh gives UVs only to primitives with a
    material, and would decode every picture. Returns the real names; primitives without material get one more."""
    needed = set(document.get("extensionsRequired", ())) & {"KHR_draco_mesh_compression", "EXT_meshopt_compression"}
    if needed:
        raise MeshError(f"{name}: the glTF is compressed ({', '.join(sorted(needed))}); export it uncompressed.")
    names = [str(material.get("name", "")) for material in document.get("materials", ())]
    for mesh in document.get("meshes", ()):
        for primitive in mesh["primitives"]:
            primitive.setdefault("material", len(names))
            primitive.pop("extensions", None)
            primitive["attributes"].pop("COLOR_0", None)
            if not 0 <= primitive["material"] <= len(names):
                raise MeshError(
                    f"{name}: a part names material {primitive['material']}, of {len(names)}; export again."
                )
    document["materials"] = [{"name": str(index)} for index in range(len(names) + 1)]
    for key in ("images", "textures", "samplers", "animations", "skins"):
        document.pop(key, None)
    return (*names, "")


def _number_names(document: dict[str, Any]) -> None:
    """Numbers for names, so that parts can be put in the order of the file: trimesh's order is another."""
    for key in ("nodes", "meshes"):
        for index, item in enumerate(document.get(key, ())):
            item["name"] = f"{index:07d}"


def _in_file_order(name: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", name)]


def _scene_to_mesh(path: Path, scene: trimesh.Scene, names: tuple[str, ...]) -> Mesh:
    """All triangle meshes of a scene, one after another, each put in place by its node."""
    parts = [
        (np.asarray(matrix), scene.geometry[geometry])
        for matrix, geometry in (scene.graph[node] for node in sorted(scene.graph.nodes_geometry, key=_in_file_order))
        if isinstance(scene.geometry[geometry], trimesh.Trimesh)
    ]
    if not parts:
        raise MeshError(f"{path.name}: the file has no triangles, expected a surface; export the mesh itself.")
    counts = [len(part.vertices) for _, part in parts]
    for (_, part), count in zip(parts, counts, strict=True):
        check_indices(path.name, "vertex", np.asarray(part.faces, dtype=np.int32).reshape(-1), count, optional=False)
    offsets = np.cumsum([0, *counts])
    corners = np.concatenate([_turned_faces(m, p) + o for (m, p), o in zip(parts, offsets, strict=False)])
    corners = corners.reshape(-1).astype(np.int32)
    uvs = [_part_uvs(part) for _, part in parts]
    normals = [_part_normals(matrix, part) for matrix, part in parts]
    material = [np.full(len(part.faces), int(part.visual.material.name), dtype=np.int32) for _, part in parts]
    corner_uvs = _corner_pool(corners, counts, [uv is not None for uv in uvs])
    corner_normals = _corner_pool(corners, counts, [normal is not None for normal in normals])
    return Mesh(
        name=path.stem,
        positions=np.concatenate([_moved(matrix, part.vertices) for matrix, part in parts]),
        polygon_sizes=np.full(len(corners) // 3, 3, dtype=np.int32),
        corner_positions=corners,
        uvs=_filled(uvs, counts, 2) if corner_uvs is not None else None,
        corner_uvs=corner_uvs,
        normals=_filled(normals, counts, 3) if corner_normals is not None else None,
        corner_normals=corner_normals,
        material_index=np.concatenate(material),
        material_names=names,
        up_axis="y",
    )


def _moved(matrix: Float[np.ndarray, "4 4"], points: np.ndarray) -> np.ndarray:
    points = np.asarray(points)
    if np.array_equal(matrix, np.eye(4)):
        return points.astype(np.float64)
    return points.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]


def _turned_faces(matrix: Float[np.ndarray, "4 4"], part: trimesh.Trimesh) -> Int[np.ndarray, "F 3"]:
    """Faces, in the other direction where the node mirrors, as glTF 2.0 §3.7.4 says."""
    faces = np.asarray(part.faces)
    return faces[:, ::-1] if np.linalg.det(matrix[:3, :3]) < 0 else faces


def _part_uvs(part: trimesh.Trimesh) -> np.ndarray | None:
    uv = getattr(part.visual, "uv", None)
    return None if uv is None or len(uv) != len(part.vertices) else np.asarray(uv)[:, :2].astype(np.float32)


def _part_normals(matrix: Float[np.ndarray, "4 4"], part: trimesh.Trimesh) -> np.ndarray | None:
    """Normals that the file gives (trimesh would make some otherwise), turned by the node."""
    if "vertex_normals" not in part._cache:
        return None
    normals = np.asarray(part.vertex_normals)
    if np.array_equal(matrix, np.eye(4)) or abs(np.linalg.det(matrix[:3, :3])) < 1e-30:
        return normals.astype(np.float32)
    return (normals @ np.linalg.inv(matrix[:3, :3])).astype(np.float32)


def _corner_pool(
    corners: Int32[np.ndarray, " L"], counts: list[int], given: list[bool]
) -> Int32[np.ndarray, " L"] | None:
    """Corner indices into a pool that has one entry a vertex; -1 in parts that have none, None where no part has."""
    if not any(given):
        return None
    return np.where(np.repeat(given, counts)[corners], corners, np.int32(-1))


def _filled(pools: list[np.ndarray | None], counts: list[int], width: int) -> np.ndarray:
    zeros = (np.zeros((count, width), dtype=np.float32) for count in counts)
    return np.concatenate([zero if pool is None else pool for pool, zero in zip(pools, zeros, strict=True)])
