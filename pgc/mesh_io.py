# SPDX-License-Identifier: Apache-2.0
"""Mesh files to `Mesh`: each format by its reader; STL through trimesh."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Int

from pgc.errors import MeshError
from pgc.gltf_reading import read_gltf
from pgc.mesh_checks import check_triangle_count
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
    return read_gltf(path, data)


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
