# SPDX-License-Identifier: Apache-2.0
"""What a shape run leaves behind: a new mesh, a picture of it and run.json."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from pgc.cameras.rigs import CameraRig
from pgc.errors import ConfigError
from pgc.export.glb import write_glb
from pgc.export.obj import write_obj
from pgc.images.maps import encode_png
from pgc.mesh import Mesh, PreparedMesh, prepare_mesh
from pgc.runs.folder import RunFolder
from pgc.runs.report import SHAPE_FORMAT, git_revision, plain, versions
from pgc.shape.rendering.choice import build_renderer
from pgc.shape.rendering.moving_mesh import MovingMesh
from pgc.shape.rendering.renderer import ShapeRenderer
from pgc.shape.run.pictures import PictureConfig, PictureKind, shape_picture
from pgc.shape.run.scene import ShapeScene
from pgc.whole_files import write_bytes, write_json

__all__ = ["REPORT", "check_spared", "mesh_sheet", "shape_sheet", "write_mesh", "write_shape", "write_shape_report"]

REPORT = "run.json"
_FILES = ("shape.glb", "shape.obj", "shape.mtl", "preview.png")
_VIEWS = 4
_SIDE = 256
_GRAY = 0.5


def write_shape(folder: Path, mesh: Mesh, scene: ShapeScene) -> dict[str, str]:
    """Writes shape.glb, shape.obj and preview.png; returns the SHA-256 of each file by its name.

    UVs that the mesh has stay; where it has none, as a grid's surface, it is unwrapped.

    Raises:
        MeshError: the mesh has no surface any more, or cannot be unwrapped.
        OutputError: a file cannot be written.
    """
    return write_mesh(folder, "shape", prepare_mesh(mesh), shape_sheet(scene))


def write_mesh(folder: Path, name: str, mesh: PreparedMesh, sheet: UInt8[torch.Tensor, "3 h w"]) -> dict[str, str]:
    """Writes a mesh as NAME.glb and NAME.obj, and its picture as preview.png; returns the SHA-256 of each file by its
    name.

    Raises:
        OutputError: a file cannot be written.
    """
    write_glb(folder / f"{name}.glb", mesh, {})
    write_obj(folder / f"{name}.obj", mesh, {})
    write_bytes(folder / "preview.png", encode_png(sheet))
    files = (f"{name}.glb", f"{name}.obj", f"{name}.mtl", "preview.png")
    return {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in files}


def check_spared(mesh: Path, folder: Path) -> None:
    """Raises ConfigError where a run's files, or those that it sets aside of an earlier run, are the mesh that it
    begins from, links followed."""
    if mesh.resolve() in {
        (folder / name).resolve() for name in (*_FILES, REPORT, *RunFolder(folder).files_of_report())
    }:
        raise ConfigError(f"The run would replace {mesh}, the mesh that it begins from; choose another --out.")


@torch.no_grad()
def shape_sheet(scene: ShapeScene) -> UInt8[torch.Tensor, "3 h w"]:
    """Draws a geometry from four sides: a row of normals, and one of colours where they are learnt."""
    return _sheet(scene.geometry.mesh(), scene.renderer, colored="rgb" in scene.shown)


@torch.no_grad()
def mesh_sheet(
    positions: Float[np.ndarray, "v 3"], faces: Int[np.ndarray, "f 3"], colors: Float[np.ndarray, "v 3"] | None
) -> UInt8[torch.Tensor, "3 h w"]:
    """Draws triangles of any size and place, Z up, as `shape_sheet` does. colors: sRGB in [0, 1]; None: none."""
    low, high = positions.min(axis=0), positions.max(axis=0)
    places = (positions - (low + high) / 2.0) * (1.6 / max(float((high - low).max()), 1e-9))
    at = torch.from_numpy(np.ascontiguousarray(places, dtype=np.float32))
    mesh = MovingMesh(
        positions=at,
        faces=torch.from_numpy(np.ascontiguousarray(faces, dtype=np.int64)),
        colors=torch.full_like(at, 0.5) if colors is None else torch.from_numpy(colors.astype(np.float32)),
    )
    return _sheet(mesh, build_renderer(at.device), colored=colors is not None)


def _sheet(mesh: MovingMesh, renderer: ShapeRenderer, *, colored: bool) -> UInt8[torch.Tensor, "3 h w"]:
    cameras = CameraRig.staggered_ring(_VIEWS, elevations=(0.35, -0.2), distance=2.25, focal=1.0).cameras
    sight = renderer.look(mesh, list(cameras), (_SIDE, _SIDE))
    background = torch.full((_VIEWS, 3, 1, 1), _GRAY)
    kinds: list[PictureKind] = ["normal", "rgb"] if colored else ["normal"]
    rows = [shape_picture(kind, sight, list(cameras), background, PictureConfig()) for kind in kinds]
    sheet = torch.cat([torch.cat(list(row.cpu()), dim=2) for row in rows], dim=1)
    return (sheet.clamp(0.0, 1.0) * 255.0 + 0.5).floor().to(torch.uint8)


def write_shape_report(path: Path, content: Mapping[str, Any]) -> None:
    """Writes run.json, with what the run was made by.

    Raises:
        OutputError: the file cannot be written.
    """
    write_json(path, {"format": SHAPE_FORMAT, **plain(content), "versions": versions(), "git": git_revision()})
