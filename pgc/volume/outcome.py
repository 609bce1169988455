# SPDX-License-Identifier: Apache-2.0
"""What a volume run leaves behind: a mesh, a picture of the volume and run.json."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8

from pgc.cameras.rigs import CameraRig
from pgc.errors import ConfigError
from pgc.export.glb import write_glb
from pgc.export.obj import write_obj
from pgc.images.maps import encode_png
from pgc.mesh import PreparedMesh
from pgc.runs.folder import RunFolder
from pgc.runs.report import VOLUME_FORMAT, git_revision, plain, versions
from pgc.volume.volume import Volume
from pgc.whole_files import write_bytes, write_json

__all__ = ["MESH_FILES", "REPORT", "TEXTURED", "TEXTURE_FOLDER", "check_spared", "hashes", "volume_sheet"]
__all__ += ["write_volume", "write_volume_report"]

REPORT = "run.json"
MESH_FILES = ("volume.glb", "volume.obj", "volume.mtl")
TEXTURED = "imagined.glb"
TEXTURE_FOLDER = "texture"
"""Of the texture run, in the run's folder."""
_PREVIEW = "preview.png"
_VIEWS = 4
_SIDE = 192
_GRAY = 0.5


def write_volume(folder: Path, mesh: PreparedMesh | None, volume: Volume) -> dict[str, str]:
    """Writes the mesh, where there is one, and preview.png; returns the SHA-256 of each file by its name.

    Raises:
        OutputError: a file cannot be written.
    """
    write_bytes(folder / _PREVIEW, encode_png(volume_sheet(volume)))
    if mesh is None:
        return hashes(folder, (_PREVIEW,))
    write_glb(folder / "volume.glb", mesh, {})
    write_obj(folder / "volume.obj", mesh, {})
    return hashes(folder, (*MESH_FILES, _PREVIEW))


def check_spared(start: Path, folder: Path) -> None:
    """Raises ConfigError where a run's files, or those that it sets aside of an earlier run, are the mesh that it
    begins from, links followed."""
    names = {*MESH_FILES, _PREVIEW, REPORT, TEXTURED, *RunFolder(folder).files_of_report()}
    given, textures = start.resolve(), (folder / TEXTURE_FOLDER).resolve()
    if given in {(folder / name).resolve() for name in names} or given.is_relative_to(textures):
        raise ConfigError(f"The run would replace {start}, the mesh that it begins from; choose another --out.")


def hashes(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Returns the SHA-256 of files by their names."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


@torch.no_grad()
def volume_sheet(volume: Volume) -> UInt8[torch.Tensor, "3 h w"]:
    """Draws a volume from four sides: a row of colours over gray, and one of its normals."""
    cameras = list(CameraRig.staggered_ring(_VIEWS, elevations=(0.35, -0.2), distance=2.25, focal=1.0).cameras)
    sight = volume.look(cameras, _SIDE)
    colors = sight.color + _GRAY * (1.0 - sight.opacity)
    mask = sight.gbuffer.mask[:, 0]
    normals = torch.full_like(colors, _GRAY).movedim(1, -1)
    normals[mask] = 0.5 * volume.normals_at(sight.place.movedim(1, -1)[mask]) + 0.5
    rows = [torch.cat(list(row.cpu()), dim=2) for row in (colors, normals.movedim(-1, 1))]
    return (torch.cat(rows, dim=1).clamp(0.0, 1.0) * 255.0 + 0.5).floor().to(torch.uint8)


def write_volume_report(path: Path, content: Mapping[str, Any]) -> None:
    """Writes run.json, with what the run was made by.

    Raises:
        OutputError: the file cannot be written.
    """
    write_json(path, {"format": VOLUME_FORMAT, **plain(content), "versions": versions(), "git": git_revision()})
