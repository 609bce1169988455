# SPDX-License-Identifier: Apache-2.0
"""Mesh files to `Mesh`: each format by its reader."""

from pathlib import Path

from pgc.errors import MeshError
from pgc.mesh.checks import check_triangle_count
from pgc.mesh.data import Mesh
from pgc.mesh.formats.gltf import read_gltf
from pgc.mesh.formats.obj import read_obj
from pgc.mesh.formats.ply import read_ply
from pgc.mesh.formats.stl import read_stl

__all__ = ["MESH_SUFFIXES", "load_mesh"]

MESH_SUFFIXES = (".obj", ".glb", ".gltf", ".ply", ".stl")

_LARGEST_FILE = 2 * 1024**3
"""Bytes. Two million triangles take a fraction of it in any format."""


def load_mesh(path: str | Path) -> Mesh:
    """Reads a mesh file; the mesh's name is the file's stem. Raises `MeshError` with one sentence for any bad file:
    each reader says itself what is wrong with one, and anything else that it raises is a fault of ours.

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
    except MemoryError as exc:
        raise MeshError(
            f"{path.name}: it asks for more memory than there is; the file is damaged, or too big."
        ) from exc
    check_triangle_count(path.name, mesh.polygon_sizes)
    return mesh


def _read_bytes(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > _LARGEST_FILE:
            raise MeshError(
                f"{path.name}: the file has {size / 1024**3:.1f} GiB, expected at most {_LARGEST_FILE / 1024**3:.0f}; "
                "export the mesh alone, or split it into parts."
            )
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
        return read_stl(path, data)
    return read_gltf(path, data)
