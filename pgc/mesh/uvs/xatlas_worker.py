# SPDX-License-Identifier: Apache-2.0
"""Runs xatlas in a process of its own: `python -P xatlas_worker.py chart|pack FOLDER`.

xatlas holds Python's lock for as long as it works (minutes), has no progress and no way to stop, and ends the
process on meshes that it cannot bear. Here it can be watched, stopped and survived.

FOLDER holds `vertices.npy` (float32 [V,3] positions to chart, or [V,2] UVs in texels to pack) and `faces.npy`
(uint32 [F,3]); the worker writes `indices.npy` (uint32 [F,3]) and `uvs.npy` (float32 [N,2], one unit for both axes).
"""

import sys
from pathlib import Path

import numpy as np
import xatlas

__all__ = ["main"]

_PADDING = 4
"""Texels between charts at about 1024 texels a side; room for the gutter at the mips that views use."""


def main(mode: str, folder: Path) -> None:
    """Charts positions, or packs given UVs; reads and writes arrays in `folder`."""
    vertices = np.load(folder / "vertices.npy", allow_pickle=False)
    faces = np.load(folder / "faces.npy", allow_pickle=False)
    options = xatlas.PackOptions()
    options.padding = _PADDING
    options.create_image = False
    options.resolution = 1024
    atlas = xatlas.Atlas()
    if mode == "chart":
        atlas.add_mesh(vertices, faces)
    else:
        atlas.add_uv_mesh(vertices, faces)
    atlas.generate(pack_options=options)
    _, indices, uvs = atlas[0]
    # xatlas divides each axis by its own length: undo that, so that texels are square.
    size = np.array([atlas.width, atlas.height], dtype=np.float64)
    np.save(folder / "indices.npy", indices.reshape(-1, 3))
    np.save(folder / "uvs.npy", (uvs * (size / size.max())).astype(np.float32))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
