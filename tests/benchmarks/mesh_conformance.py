# SPDX-License-Identifier: Apache-2.0
"""Loads mesh files with `pgc.mesh.load_mesh` and with Blender, and tells where they differ.

    python -m tests.benchmarks.mesh_conformance FOLDER --suffixes .gltf .glb --out results/mesh_conformance_gltf.json

Polygons are compared as what they are in space: every polygon of one side needs one of the other with the same corners
in the same turn, within 1e-5 of the file's size, and the same UVs within 1e-5. Polygons without extent (fewer than
three different corners) are counted apart, since Blender removes them. Needs bpy.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from pgc.errors import MeshError
from pgc.mesh import Mesh, load_mesh

SCRIPT = Path(__file__).with_name("blender_import.py")
POSITION_TOLERANCE, UV_TOLERANCE = 1e-5, 1e-5
NEIGHBOURS = 16
"""Polygons with the same centre that are tried for the same corners."""


@dataclass(frozen=True, slots=True)
class Polygons:
    """Corners of polygons in Blender's axes; UVs are NaN where there are none."""

    corners: np.ndarray
    uvs: np.ndarray
    sizes: np.ndarray

    def of_size(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Corners [N,size,3] and UVs [N,size,2] of the polygons with so many corners that have extent."""
        starts = np.cumsum(self.sizes) - self.sizes
        rows = starts[self.sizes == size][:, None] + np.arange(size)
        corners = self.corners[rows]
        nearest = np.stack([np.abs(corners - np.roll(corners, 1, axis=1)).max(axis=2) > 0]).sum(axis=(0, 2))
        kept = nearest >= 3
        return corners[kept], self.uvs[rows][kept]


def our_polygons(mesh: Mesh) -> Polygons:
    points = mesh.positions
    if mesh.up_axis == "y":
        points = np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=1)
    uvs = np.full((len(mesh.corner_positions), 2), np.nan)
    if mesh.uvs is not None and mesh.corner_uvs is not None and len(mesh.uvs):
        given = mesh.corner_uvs >= 0
        uvs[given] = mesh.uvs[mesh.corner_uvs[given]]
    return Polygons(points[mesh.corner_positions], uvs, mesh.polygon_sizes)


def blender_polygons(path: Path, uv_index: int) -> Polygons | str:
    """Blender's polygons, or why it has none."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.npz"
        command = [sys.executable, str(SCRIPT), str(path), str(out)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=300, check=False)
        except subprocess.TimeoutExpired:
            return "more than 300 s"
        if not out.is_file():
            return f"exit {done.returncode}: {(done.stderr.strip().splitlines() or [''])[-1][:150]}"
        with np.load(out) as found:
            if "error" in found:
                return str(found["error"])
            return Polygons(found["corners"], found[f"uvs_{uv_index}"], found["sizes"])


def unmatched(ours: Polygons, theirs: Polygons, size: int, tolerance: float) -> tuple[int, float, float]:
    """Polygons of ours that theirs lack; the greatest error of position and of UV among the others."""
    corners, uvs = ours.of_size(size)
    other_corners, other_uvs = theirs.of_size(size)
    if len(corners) == 0 or len(other_corners) == 0:
        return len(corners), 0.0, 0.0
    count = min(NEIGHBOURS, len(other_corners))
    _, near = cKDTree(other_corners.mean(axis=1)).query(corners.mean(axis=1), k=count)
    near = near.reshape(len(corners), count)
    best_position, best_uv = np.full(len(corners), np.inf), np.full(len(corners), np.inf)
    for column in range(count):
        for turn in range(size):
            found = near[:, column]
            position = np.abs(np.roll(other_corners[found], turn, axis=1) - corners).max(axis=(1, 2))
            uv = _uv_error(np.roll(other_uvs[found], turn, axis=1), uvs)
            same = position <= tolerance
            better = same & ((uv < best_uv) | ((uv == best_uv) & (position < best_position)) | np.isinf(best_position))
            best_position = np.where(better, position, best_position)
            best_uv = np.where(better, uv, best_uv)
    matched = np.isfinite(best_position)
    if not matched.any():
        return len(corners), 0.0, 0.0
    return int((~matched).sum()), float(best_position[matched].max()), float(best_uv[matched].max())


def _uv_error(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Greatest difference of UVs a polygon; where both have none it is 0, where one has none it counts as 1."""
    difference = np.abs(first - second)
    one = np.isnan(first) != np.isnan(second)
    return np.where(one, 1.0, np.nan_to_num(difference, nan=0.0)).max(axis=(1, 2))


def compare(path: Path) -> dict[str, object]:
    """One line of the table."""
    try:
        mesh = load_mesh(path)
    except MeshError as error:
        theirs = blender_polygons(path, 0)
        them = {"error": theirs} if isinstance(theirs, str) else {"polygons": len(theirs.sizes)}
        return {"ours": {"error": str(error)}, "blender": them, "same": isinstance(theirs, str)}
    ours, theirs = our_polygons(mesh), blender_polygons(path, mesh.uv_index)
    us = {"polygons": len(ours.sizes), "notes": list(mesh.notes), "uv_index": mesh.uv_index}
    if isinstance(theirs, str):
        return {"ours": us, "blender": {"error": theirs}, "same": False}
    used = ours.corners
    extent = float((used.max(axis=0) - used.min(axis=0)).max())
    tolerance = POSITION_TOLERANCE * extent + 2e-7 * float(np.abs(used).max())
    missing = extra = 0
    position_error = uv_error = 0.0
    for size in np.union1d(ours.sizes, theirs.sizes).tolist():
        one, position, uv = unmatched(ours, theirs, size, tolerance)
        other, _, _ = unmatched(theirs, ours, size, tolerance)
        missing, extra = missing + one, extra + other
        position_error, uv_error = max(position_error, position), max(uv_error, uv)
    return {
        "ours": us,
        "blender": {"polygons": len(theirs.sizes)},
        "only_ours": missing,
        "only_blender": extra,
        "position_error_of_size": position_error / extent if extent else 0.0,
        "uv_error": uv_error,
        "same": missing == extra == 0 and uv_error <= UV_TOLERANCE,
    }


def commit() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="+")
    parser.add_argument("--suffixes", nargs="+", default=[".gltf", ".glb"])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    table: dict[str, object] = {}
    for folder in options.folder:
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in options.suffixes and path.is_file():
                name = os.fspath(path.relative_to(folder))
                table[name] = compare(path)
                sys.stdout.write(f"{name}: {json.dumps(table[name])}\n")
    same = sum(1 for line in table.values() if isinstance(line, dict) and line["same"])
    result = {"commit": commit(), "n": len(table), "same": same, "files": table}
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    sys.stdout.write(f"{same} of {len(table)} are the same\n")


if __name__ == "__main__":
    main()
