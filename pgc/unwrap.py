# SPDX-License-Identifier: Apache-2.0
"""UVs for a mesh without them, by xatlas, with the mesh's polygons kept whole."""

import importlib.util
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Int32

from pgc.errors import MeshError
from pgc.mesh_checks import check_triangle_count, triangle_areas
from pgc.mesh_data import Mesh, TriangleMesh
from pgc.triangulation import newell_normals, project_polygon, triangulate
from pgc.uv_layout import covered_cells

__all__ = ["unwrap"]

_SECONDS_PER_TRIANGLE = 3.5e-4
"""Typical on one core; only the progress depends on it."""

_OVERLAP_GRID = 2048
_USUAL_SIZE = (0.1, 10_000.0)


def unwrap(mesh: Mesh, progress: Callable[[float], None] | None = None) -> Mesh:
    """The mesh with new UVs in [0, 1]^2 in place of its own: no overlaps, square texels, one UV a corner.

    xatlas charts triangles, so it may cut a polygon in two. Such a polygon goes whole to the chart of its largest
    triangle, unfolded in its own plane; where that covers something else it becomes a chart of its own; then all
    is packed again. `progress` gets 0..1, an estimate by time and number of triangles, since xatlas reports none.
    Stopping (KeyboardInterrupt, an exception from `progress`) ends xatlas too. Raises `MeshError` where xatlas fails
    or is missing.
    """
    if importlib.util.find_spec("xatlas") is None:
        raise MeshError(
            f"{mesh.name}: it needs new UVs, and xatlas, which makes them, is not installed (for Python 3.14 and "
            "later it must be compiled); unwrap the mesh in Blender (U > Smart UV Project), or: pip install xatlas."
        )
    check_triangle_count(mesh.name, mesh.polygon_sizes)
    triangles = triangulate(mesh)
    meter = _Meter(progress, len(triangles.faces))
    meter.tell()
    indices, uvs = _run_xatlas("chart", _sized(triangles), triangles.faces, mesh.name, meter)
    corners = uvs[indices].astype(np.float64)
    if not (mesh.polygon_sizes == 3).all():
        corners = _keep_polygons_whole(mesh, triangles, indices, corners, meter)
    flat = _by_corner(mesh, triangles, corners)
    pool, corner_uvs = np.unique(flat, axis=0, return_inverse=True)
    meter.tell(done=True)
    return replace(mesh, uvs=pool, corner_uvs=corner_uvs.reshape(-1).astype(np.int32))


def _sized(triangles: TriangleMesh) -> Float32[np.ndarray, "V 3"]:
    """Positions in a unit that suits xatlas, whose least area and distance are absolute (below 1e-6 it gives NaN, at
    1e9 it cuts what is flat). Usual sizes stay as they are; the factor is a power of two, which rounds nothing."""
    used = triangles.positions[triangles.faces].astype(np.float64)
    extent = float(np.ptp(used.reshape(-1, 3), axis=0).max())
    if _USUAL_SIZE[0] <= extent <= _USUAL_SIZE[1] or extent == 0.0:
        return triangles.positions
    return triangles.positions * np.float32(2.0 ** -np.floor(np.log2(extent)))


class _Meter:
    """Progress by elapsed over expected time; approaches 0.97 and is 1 only when done."""

    def __init__(self, progress: Callable[[float], None] | None, triangle_count: int) -> None:
        self._progress = progress
        self._expected = 1.0 + _SECONDS_PER_TRIANGLE * triangle_count
        self._start = time.monotonic()

    def tell(self, *, done: bool = False) -> None:
        if self._progress is not None:
            share = (time.monotonic() - self._start) / self._expected
            self._progress(1.0 if done else 0.97 * (1.0 - float(np.exp(-share))))


def _run_xatlas(
    mode: str, vertices: Float32[np.ndarray, "V C"], faces: Int[np.ndarray, "F 3"], name: str, meter: _Meter
) -> tuple[Int[np.ndarray, "F 3"], Float32[np.ndarray, "N 2"]]:
    """Indices into the new UVs for each triangle corner, in the order of `faces`, and the UVs."""
    with tempfile.TemporaryDirectory(prefix="pgc-unwrap-") as name_of_folder:
        folder = Path(name_of_folder)
        np.save(folder / "vertices.npy", np.ascontiguousarray(vertices))
        np.save(folder / "faces.npy", faces.astype(np.uint32))
        script = Path(__file__).with_name("xatlas_worker.py")
        errors = folder / "errors.txt"
        with errors.open("wb") as sink:
            command = [sys.executable, "-P", str(script), mode, str(folder)]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=sink)
            try:
                while process.poll() is None:
                    meter.tell()
                    _wait(process, 0.25)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        results = folder / "indices.npy", folder / "uvs.npy"
        if process.returncode != 0 or not all(path.exists() for path in results):
            lines = errors.read_text(errors="replace").strip().splitlines()
            reason = lines[-1] if lines else f"it ended with code {process.returncode}"
            raise MeshError(
                f"{name}: xatlas could not unwrap the mesh ({reason}); unwrap it in Blender (U > Smart UV Project)."
            )
        indices, uvs = (np.load(path, allow_pickle=False) for path in results)
    if len(indices) != len(faces):
        raise MeshError(
            f"{name}: xatlas gave {len(indices)} of {len(faces)} triangles back; "
            "unwrap the mesh in Blender (U > Smart UV Project)."
        )
    return indices.astype(np.int64), uvs


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def _keep_polygons_whole(
    mesh: Mesh,
    triangles: TriangleMesh,
    indices: Int[np.ndarray, "F 3"],
    corners: Float64[np.ndarray, "F 3 2"],
    meter: _Meter,
) -> Float64[np.ndarray, "F 3 2"]:
    """UVs with every polygon in one chart, packed again; unchanged where none was cut."""
    cut = _cut_polygons(mesh, triangles, indices)
    if not cut.any():
        return corners
    charted = _charted(corners)
    areas = np.where(charted, triangle_areas(triangles.positions, triangles.faces), -1.0)
    uv_area = np.abs(_uv_areas(corners))
    scale = float(np.sqrt(uv_area[charted].sum() / areas[charted].sum()))
    first = np.searchsorted(triangles.polygon_index, np.arange(len(mesh.polygon_sizes) + 1))
    starts = np.cumsum(mesh.polygon_sizes, dtype=np.int64) - mesh.polygon_sizes
    alone: dict[int, Float64[np.ndarray, "N 2"]] = {}
    joined = corners.copy()
    for polygon in np.flatnonzero(cut).tolist():
        rows = slice(int(first[polygon]), int(first[polygon + 1]))
        local = triangles.corner_index[rows] - int(starts[polygon])
        size = int(mesh.polygon_sizes[polygon])
        points = mesh.positions[mesh.corner_positions[starts[polygon] : starts[polygon] + size]].astype(np.float64)
        flat = project_polygon(points, newell_normals(points[None])[0]) * scale
        alone[polygon] = flat
        if areas[rows].max() > 0:
            anchor = int(np.argmax(areas[rows]))
            joined[rows] = _unfold(flat, local, indices[rows], corners[rows], anchor)[local]
        else:
            joined[rows] = flat[local] + 2.0
    packed = _pack(joined, mesh.name, meter)
    crossing = [polygon for polygon in _overlapping(packed, triangles.polygon_index) if polygon in alone]
    if crossing:
        for place, polygon in enumerate(crossing):
            rows = slice(int(first[polygon]), int(first[polygon + 1]))
            flat = alone[polygon] - alone[polygon].min(axis=0)
            # Anywhere free of other charts; packing finds the final place.
            free = np.array([2.0 + place % 64, 2.0 + place // 64])
            joined[rows] = (flat + free)[triangles.corner_index[rows] - starts[polygon]]
        packed = _pack(joined, mesh.name, meter)
    return packed


def _cut_polygons(mesh: Mesh, triangles: TriangleMesh, indices: Int[np.ndarray, "F 3"]) -> Bool[np.ndarray, " P"]:
    """Polygons with a corner that got different UVs in different triangles."""
    corner, vertex = triangles.corner_index.reshape(-1), indices.reshape(-1)
    any_vertex = np.zeros(len(mesh.corner_positions), dtype=np.int64)
    any_vertex[corner] = vertex
    differs = np.zeros(len(mesh.polygon_sizes), dtype=bool)
    differs[np.repeat(triangles.polygon_index, 3)[any_vertex[corner] != vertex]] = True
    return differs


def _unfold(
    flat: Float64[np.ndarray, "N 2"],
    local: Int[np.ndarray, "T 3"],
    indices: Int[np.ndarray, "T 3"],
    corners: Float64[np.ndarray, "T 3 2"],
    anchor: int,
) -> Float64[np.ndarray, "N 2"]:
    """UVs of a polygon's corners: those of the anchor triangle's chart stay, the others follow in the plane."""
    base = flat[local[anchor]]
    uv = corners[anchor]
    basis = np.stack([base[1] - base[0], base[2] - base[0]])
    image = np.stack([uv[1] - uv[0], uv[2] - uv[0]])
    result = uv[0] + (flat - base[0]) @ (np.linalg.pinv(basis) @ image)
    known = dict(zip(local[anchor].tolist(), indices[anchor].tolist(), strict=True))
    pending = [row for row in range(len(local)) if row != anchor]
    grown = True
    while grown:
        grown = False
        for row in list(pending):
            pairs = zip(local[row].tolist(), indices[row].tolist(), strict=True)
            if sum(known.get(corner) == vertex for corner, vertex in pairs) >= 2:
                for side in range(3):
                    known.setdefault(int(local[row, side]), int(indices[row, side]))
                    if known[int(local[row, side])] == int(indices[row, side]):
                        result[local[row, side]] = corners[row, side]
                pending.remove(row)
                grown = True
    result[local[anchor]] = uv
    return result


def _pack(corners: Float64[np.ndarray, "F 3 2"], name: str, meter: _Meter) -> Float64[np.ndarray, "F 3 2"]:
    """Charts (faces that share UVs) packed into [0, 1]^2 without overlap."""
    pool, inverse = np.unique(corners.reshape(-1, 2).astype(np.float32), axis=0, return_inverse=True)
    texels = pool * np.float32(1024.0)
    indices, uvs = _run_xatlas("pack", texels, inverse.reshape(-1, 3), name, meter)
    return uvs[indices].astype(np.float64)


def _overlapping(corners: Float64[np.ndarray, "F 3 2"], polygon: Int32[np.ndarray, " F"]) -> list[int]:
    """Polygons with a triangle on a cell that another triangle covers too."""
    face, cell = covered_cells(corners * _OVERLAP_GRID)
    key = cell[:, 1] * (4 * _OVERLAP_GRID) + cell[:, 0]
    _, inverse, count = np.unique(key, return_inverse=True, return_counts=True)
    return np.unique(polygon[face[count[inverse.reshape(-1)] > 1]]).tolist()


def _uv_areas(corners: Float64[np.ndarray, "F 3 2"]) -> Float64[np.ndarray, " F"]:
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return 0.5 * (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])


def _charted(corners: Float[np.ndarray, "F 3 2"]) -> Bool[np.ndarray, " F"]:
    """Triangles that xatlas gave a place: it leaves those without area at (0, 0)."""
    return (corners != 0).any(axis=(1, 2))


def _by_corner(
    mesh: Mesh, triangles: TriangleMesh, corners: Float64[np.ndarray, "F 3 2"]
) -> Float32[np.ndarray, "L 2"]:
    """One UV for each polygon corner; corners of triangles without place take one from their vertex elsewhere."""
    placed = np.flatnonzero(_charted(corners))
    corner = triangles.corner_index[placed].reshape(-1)
    values = np.clip(corners[placed].reshape(-1, 2), 0.0, 1.0)
    of_vertex = np.full((len(mesh.positions), 2), 0.5)
    of_vertex[mesh.corner_positions[corner]] = values
    result = of_vertex[mesh.corner_positions]
    result[corner] = values
    return result.astype(np.float32)
