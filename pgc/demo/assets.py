# SPDX-License-Identifier: Apache-2.0
"""Files that come with the demo."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

__all__ = ["demo_mesh_path", "viewer_script"]


def demo_mesh_path() -> Path:
    """Returns the path of the bundled teapot, an OBJ file of quads (see `pgc.demo.teapot`)."""
    return Path(str(files("pgc.demo").joinpath("teapot.obj")))


def viewer_script() -> str:
    """Reads the 3D viewer's JavaScript: @google/model-viewer, unchanged; its licences lie beside it."""
    return files("pgc.demo").joinpath("viewer", "model-viewer-umd.min.js").read_text(encoding="utf-8")
