# SPDX-License-Identifier: Apache-2.0
"""What a run starts from and keeps, read from its files or from the mesh itself."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from blender_addon.uv_measure.orientation import TURNED_INWARDS, is_turned_inwards
from pgc.baking.mesh_masks import MeshMask, mesh_masks
from pgc.baking.vertex_colors import vertex_color_texture
from pgc.images.masks import SourceMasks, read_change_masks, read_lock_masks
from pgc.images.reading import image_size
from pgc.images.sources import read_texture
from pgc.maps import MAP_NAMES, MapName
from pgc.mesh import PreparedMesh
from pgc.rendering.raster.warp_rasterizer import WarpRasterizer
from pgc.runs.scene_building import SourceTextures
from pgc.runs.sources.pictures import read_front_view, read_reference, read_start

__all__ = ["SourceFiles", "StartName", "check_headers", "digest_of", "read_sources"]

StartName = Literal["vertex-colors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFiles:
    """Where they are."""

    initial: Path | None
    """An image, or a folder of maps."""
    start: StartName | None
    """What of the mesh itself the run starts from, in place of an image."""
    lock_mask: Path | None
    change_mask: Path | None
    keep_by: MeshMask | None
    """What of the mesh stays."""
    change_by: MeshMask | None
    """What of the mesh alone changes."""
    oracle: Path | None
    reference: Path | None
    """A picture whose colours the texture shall have; it lies in no UVs."""
    front_resolution: int = 0
    """Side of the front view that is to look like `reference`, pixels; 0: none is."""
    maps: Mapping[MapName, Path] = field(default_factory=dict[MapName, Path])
    """Other maps than base colour that the run starts from, and which win over those in the folder `initial`."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Returns those that are given and lie in the mesh's own UVs."""
        every = (self.initial, self.lock_mask, self.change_mask, self.oracle, *self.maps.values())
        return tuple(path for path in every if path is not None)


def digest_of(path: Path) -> str:
    """Returns the SHA-256 of a file; of a pattern with <UDIM>, of all that it may mean; of a folder, of its maps."""
    files = sorted(path.parent.glob(path.name.replace("<UDIM>", "*"))) if "<UDIM>" in path.name else [path]
    if path.is_dir():
        files = sorted(file for name in MAP_NAMES for file in path.glob(f"{name}.*"))
    digest = hashlib.sha256()
    for file in files:
        if file.is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()


def check_headers(files: SourceFiles) -> None:
    """Looks at the images' headers, before time goes into the mesh.

    Raises:
        TextureError: one is missing, no image, or too big.
    """
    for path in (*files.paths, *([] if files.reference is None else [files.reference])):
        if "<UDIM>" not in path.name and not path.is_dir():
            image_size(path)


def read_sources(files: SourceFiles, mesh: PreparedMesh, size: int) -> SourceTextures:
    """Reads them at the size of the run's texture.

    Raises:
        TextureError: one is unusable, or the mesh has no colours to start from.
    """
    tiles = mesh.report.tiles
    initial = None if files.initial is None else read_start(files.initial, files.maps, size, tiles)
    locks = _read_locks(files, mesh, size)
    oracle = None if files.oracle is None else read_texture(files.oracle, size, tiles)
    start = None if initial is None else initial.texture
    if files.start is not None:
        start = vertex_color_texture(mesh, size=size, tiles=tiles)
    # What the oracle knows is no image of the artist's.
    given = [source for source in (initial, locks) if source is not None]
    return SourceTextures(
        initial=start,
        lock_mask=None if locks is None else locks.masks,
        oracle=None if oracle is None else oracle.texture,
        likeness=None if files.reference is None else read_reference(files.reference),
        front=read_front_view(files.reference, files.front_resolution)
        if files.reference is not None and files.front_resolution
        else None,
        depth="8 bits" if initial is None else initial.depth,
        notes=tuple(dict.fromkeys(note for source in given for note in source.notes)),
    )


def _read_locks(files: SourceFiles, mesh: PreparedMesh, size: int) -> SourceMasks | None:
    """The masks of what stays, whichever way they say it."""
    tiles = mesh.report.tiles
    of_mesh = files.keep_by or files.change_by
    if of_mesh is not None:
        # On the CPU, whatever the run's device is: a resumed run keeps the same texels.
        caster = WarpRasterizer(mesh.triangles, device=torch.device("cpu"))
        chosen = mesh_masks(of_mesh, mesh.triangles, caster, size=size, tiles=tiles)
        masks = chosen if files.keep_by else [~mask for mask in chosen]
        return SourceMasks(masks=masks, notes=_inward_notes(of_mesh, mesh))
    if files.change_mask is not None:
        return read_change_masks(files.change_mask, size, tiles)
    return None if files.lock_mask is None else read_lock_masks(files.lock_mask, size, tiles)


def _inward_notes(of_mesh: MeshMask, mesh: PreparedMesh) -> tuple[str, ...]:
    """Says that a mesh is seen from inside, where the mask depends on it."""
    if of_mesh.kind == "height" or not is_turned_inwards(mesh.triangles.positions, mesh.triangles.faces):
        return ()
    return (TURNED_INWARDS.format(name=mesh.mesh.name),)
