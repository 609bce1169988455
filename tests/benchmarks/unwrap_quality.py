# SPDX-License-Identifier: Apache-2.0
"""Other people's models unwrapped by us: what lies on something else, how much of the texture is used, how long.

    python -m tests.benchmarks.unwrap_quality FILES.sh3f FOLDER … --out FILE.json [--before OLDER.json]

Every OBJ in the archives (.zip and Sweet Home 3D's .sh3f) and folders is loaded; those without UVs are unwrapped, with
--all the others too. `overlap` is the share of used texels of 2048² that lie in two triangles, `mirrored` that of the
area whose triangles are clockwise. With --before, the table also has what an older version gave (the same script, run
there). Exit code 1 where an overlap is above 0.5 %.
"""

from __future__ import annotations

import argparse
import io
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pgc.errors import MeshError
from pgc.mesh import load_mesh, triangulate, unwrap
from pgc.mesh.uvs.layout import covered_cells

ROOT = Path(__file__).resolve().parents[2]
GRID = 2048
LARGEST = 0.005


def models(source: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the OBJ files in a folder or an archive, archives in it included."""
    if source.is_dir():
        for path in sorted(source.rglob("*.obj")):
            yield path.name, path.read_bytes()
    else:
        yield from _in_archive(source.read_bytes())


def _in_archive(data: bytes) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for name in sorted(archive.namelist()):
            if name.lower().endswith(".obj"):
                yield Path(name).name, archive.read(name)
            elif name.lower().endswith(".zip"):
                yield from _in_archive(archive.read(name))


def quality(corner_uvs: np.ndarray) -> dict[str, float]:
    """Overlap, and share of the texture that is used, of UVs [F, 3, 2]."""
    _, cell = covered_cells(corner_uvs.astype(np.float64) * GRID)
    _, count = np.unique(cell[:, 1].astype(np.int64) * (4 * GRID) + cell[:, 0], return_counts=True)
    overlap = float((count > 1).mean()) if len(count) else 0.0
    a, b = (corner_uvs[:, side].astype(np.float64) - corner_uvs[:, 0] for side in (1, 2))
    area = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    mirrored = float(-np.minimum(area, 0.0).sum() / max(np.abs(area).sum(), 1e-300))
    return {"overlap": round(overlap, 6), "used": round(len(count) / GRID**2, 4), "mirrored": round(mirrored, 4)}


def processor_seconds() -> float:
    """Of this process and of those that it waited for."""
    uses = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def row(name: str, data: bytes, *, everything: bool, most: int) -> dict[str, Any] | None:
    """What unwrapping gives for one model; None where it is none of those asked for."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        try:
            mesh = load_mesh(path)
        except MeshError as error:
            return {"name": name, "refused": str(error)}
    triangles = sum(int(size) - 2 for size in mesh.polygon_sizes)
    if (mesh.uvs is not None and not everything) or triangles > most:
        return None
    start, used = time.perf_counter(), processor_seconds()
    try:
        done = unwrap(mesh)
    except MeshError as error:
        return {"name": name, "triangles": triangles, "refused": str(error)}
    return {
        "name": name,
        "triangles": triangles,
        "polygons": len(mesh.polygon_sizes),
        **quality(triangulate(done).corner_uvs),
        "processor_seconds": round(processor_seconds() - used, 2),
        "seconds": round(time.perf_counter() - start, 2),
    }


def environment() -> dict[str, Any]:
    """Commit and machine."""
    command = ["git", "rev-parse", "--short=12", "HEAD"]
    commit = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    return {"commit": commit, "python": platform.python_version(), "machine": platform.machine()}


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("sources", type=Path, nargs="+")
    parser.add_argument("--all", action="store_true", help="also models that have UVs")
    parser.add_argument("--most", type=int, default=200_000, help="triangles; bigger models are left out")
    parser.add_argument("--before", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    before: dict[str, Any] = {}
    if given.before is not None:
        before = {item["name"]: item for item in json.loads(given.before.read_text())["models"]}
    rows: list[dict[str, Any]] = []
    for source in given.sources:
        for name, data in models(source):
            found = row(name, data, everything=given.all, most=given.most)
            if found is None:
                continue
            if name in before:
                found["before"] = {
                    key: before[name].get(key) for key in ("overlap", "used", "mirrored", "processor_seconds")
                }
            rows.append(found)
            sys.stdout.write(json.dumps(found) + "\n")
            sys.stdout.flush()
            made = [item for item in rows if "overlap" in item]
            earlier = [item["before"].get("overlap") or 0.0 for item in made if "before" in item]
            content = {
                "environment": environment(),
                "command": "python -m tests.benchmarks.unwrap_quality " + " ".join(item.name for item in given.sources),
                "n": len(made),
                "largest_overlap": max((item["overlap"] for item in made), default=0.0),
                "above_half_a_percent": sum(item["overlap"] > LARGEST for item in made),
                "above_half_a_percent_before": sum(overlap > LARGEST for overlap in earlier),
                "models": rows,
            }
            given.out.write_text(json.dumps(content, indent=1) + "\n")
    return 1 if any(item["overlap"] > LARGEST for item in rows if "overlap" in item) else 0


if __name__ == "__main__":
    sys.exit(main())
