# SPDX-License-Identifier: Apache-2.0
"""A finished run as it lies in its folder: mesh and maps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pgc.commands.arguments import TextureArguments, arguments_from_report

if TYPE_CHECKING:
    from pgc.mesh import PreparedMesh
    from pgc.texture.field import BakedTexture

__all__ = ["load_run"]


def load_run(folder: Path) -> tuple[PreparedMesh, BakedTexture]:
    """The mesh of a run, prepared as the run had it, and its maps.

    Raises:
        PgcError: the folder holds no run, the mesh has gone, or an image is missing or damaged.
    """
    from pgc.export.material import read_maps
    from pgc.outputs.run_report import read_report
    from pgc.pipeline import load_prepared

    request = arguments_from_report(read_report(folder / "run.json"), TextureArguments()).to_request()
    prepared = load_prepared(request, lambda stage, fraction: None)
    return prepared, read_maps(folder, prepared.report.tiles)
