# SPDX-License-Identifier: Apache-2.0
"""A finished run as it lies in its folder: mesh and maps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pgc.runs.arguments import TextureArguments, arguments_from_report

if TYPE_CHECKING:
    from pgc.mesh import PreparedMesh
    from pgc.texture.field import BakedTexture

__all__ = ["load_run"]


def load_run(folder: Path) -> tuple[PreparedMesh, BakedTexture]:
    """Loads the mesh of a run, prepared as the run had it, and its maps.

    Raises:
        PgcError: the folder holds no run, the mesh has gone, or an image is missing or damaged.
    """
    from pgc.export.material import read_maps
    from pgc.runs.folder import RunFolder
    from pgc.runs.report import read_report
    from pgc.runs.request import load_prepared

    content = read_report(folder / "run.json")
    arguments = arguments_from_report(content, TextureArguments())
    request = replace(arguments, mesh=RunFolder(folder).place_of(arguments.mesh)).to_request()
    if not _judged_uvs(content) and not request.unwrap:
        request = replace(request, keep_uvs=True)
    prepared = load_prepared(request, lambda stage, fraction: None)
    return prepared, read_maps(folder, prepared.report.tiles)


def _judged_uvs(content: dict[str, Any]) -> bool:
    """Whether the run chose its UVs by what they can carry; runs of older versions took the mesh's as they were."""
    mesh = content.get("mesh")
    report = mesh.get("report") if isinstance(mesh, dict) else None
    return isinstance(report, dict) and "uvs" in report
