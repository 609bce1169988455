# SPDX-License-Identifier: Apache-2.0
"""Runs xatlas in a process of its own: `python -P xatlas_worker.py chart|pack|move FOLDER`.

xatlas holds Python's lock for as long as it works (minutes), has no progress and no way to stop, and ends the
process on meshes that it cannot bear. Here it can be watched, stopped and survived.

FOLDER holds `vertices.npy` (float32 [V,3] positions to chart, or [V,2] UVs in texels to pack) and `faces.npy`
(uint32 [F,3]), for "move" also `charts.npy` (int [V], a number for each chart). The worker writes `indices.npy`
(uint32 [F,3]) and `uvs.npy` (float32 [N,2], one unit for both axes).
"""

import ctypes
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xatlas

__all__ = ["largest_chart", "main", "turned"]

_PADDING = 4
"""Texels between charts at about 1024 texels a side; room for the gutter at the mips that views use."""
_MANY_TRIANGLES, _LARGEST_CHART = 20_000, 0.05
"""Above so many triangles no chart has more than this share of the surface: on a smooth one they would grow so large
that xatlas takes minutes to flatten them (a torus of 49,284 triangles: 70 seconds of a processor, 14 so)."""
_TRIES = 5
"""Ways to turn the charts that are packed where xatlas may not turn them itself; the densest is kept."""


def main(mode: str, folder: Path) -> None:
    """Charts positions, or packs given UVs; reads and writes arrays in `folder`.

    xatlas turns charts by exchanging u and v, which mirrors them. "move" packs without; quarter turns, which mirror
    nothing, are made here, by chance.
    """
    _end_with_parent()
    vertices = np.load(folder / "vertices.npy", allow_pickle=False)
    faces = np.load(folder / "faces.npy", allow_pickle=False)
    if mode == "chart":
        indices, uvs = _packed(vertices, faces, chart=True, turning=True)
    elif mode == "pack":
        indices, uvs = _packed(vertices, faces, chart=False, turning=True)
    else:
        charts = np.load(folder / "charts.npy", allow_pickle=False)
        tries = (_packed(points, faces, chart=False, turning=False) for points in turned(vertices, charts, _TRIES))
        indices, uvs = max(tries, key=lambda made: _covered(*made))
    np.save(folder / "indices.npy", indices)
    np.save(folder / "uvs.npy", uvs)


def _end_with_parent() -> None:
    """Have Linux end this process where the one that started it is killed.

    It cannot look for itself while xatlas works. Other systems have no such call; there it works on, for nobody.
    """
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def _packed(vertices: np.ndarray, faces: np.ndarray, *, chart: bool, turning: bool) -> tuple[np.ndarray, np.ndarray]:
    options = xatlas.PackOptions()
    options.padding = _PADDING
    options.create_image = False
    options.resolution = 1024
    # Its turns to the axes may mirror, as its quarter turns do.
    options.rotate_charts = options.rotate_charts_to_axis = turning
    atlas = xatlas.Atlas()
    charting = xatlas.ChartOptions()
    if chart:
        atlas.add_mesh(vertices, faces)
        charting.max_chart_area = largest_chart(vertices, faces)
    else:
        atlas.add_uv_mesh(vertices, faces)
    atlas.generate(chart_options=charting, pack_options=options)
    _, indices, uvs = atlas[0]
    # xatlas divides each axis by its own length: undo that, so that texels are square.
    size = np.array([atlas.width, atlas.height], dtype=np.float64)
    return indices.reshape(-1, 3), (uvs * (size / size.max())).astype(np.float32)


def largest_chart(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Returns the area that a chart may have, in units of the vertices; 0, xatlas' word for any, for small meshes."""
    if len(faces) <= _MANY_TRIANGLES:
        return 0.0
    a, b, c = (vertices[faces[:, side]].astype(np.float64) for side in range(3))
    return _LARGEST_CHART * float(0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1).sum())


def _covered(indices: np.ndarray, uvs: np.ndarray) -> float:
    """Share of the texture that the triangles cover."""
    corners = uvs[indices].astype(np.float64)
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return float(0.5 * np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum())


def turned(points: np.ndarray, charts: np.ndarray, tries: int) -> Iterator[np.ndarray]:
    """Yields the UVs [V,2] as they are, then up to `tries` − 1 times with each chart turned by quarters, by chance.

    Turning about the origin is exact. A try is passed over where a chart would come to touch another one there: to
    xatlas they would be one.
    """
    yield points
    count = int(charts.max()) + 1
    distinct = len(np.unique(points, axis=0))
    for seed in range(1, tries):
        quarters = np.random.default_rng(seed).integers(0, 4, count)[charts]
        result = points.copy()
        for quarter in (1, 2, 3):
            again = quarters >= quarter
            result[again] = np.stack([-result[again, 1], result[again, 0]], axis=1)
        if len(np.unique(result, axis=0)) == distinct:
            yield result


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
