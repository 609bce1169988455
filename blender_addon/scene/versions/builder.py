# SPDX-License-Identifier: GPL-3.0-or-later
"""A new version from what a server or a bake made: its pictures, material, thumbnail and what it was made with."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

import bpy
import numpy as np
import numpy.typing as npt

from ...model.migrations import SCHEMA
from ..meshes.export import ExportOptions
from ..meshes.face_sets import pack_faces
from ..meshes.uv_watch import packed_uvs_of
from ..pictures.images import new_packed_image, new_tiled_image
from ..pictures.materials import build_material
from ..pictures.thumbnails import new_thumbnail
from .covering import covered_slots
from .portraits import portrait
from .showing import apply_version_index, check_ours

__all__ = ["VersionBuilder", "VersionFacts"]


@dataclass(frozen=True, eq=False, kw_only=True)
class VersionFacts:
    """What is kept of a result beside its pictures.

    Args:
        prompt: empty where it was baked from materials. name: in the list; empty: as the prompt begins.
        seed: below 2^31; job: the server's name of the job; settings: the panel's choices, as JSON.
        uvs: that it was made for, packed (`uv_packing`); "": those of now.
        partial: cancelled before its end; seconds: how long it took, 0 where unknown.
        thumbnail: uint8 [H, W, C], sRGB, row 0 at the top: the last preview of the base colour; None: there was none.
    """

    prompt: str
    name: str = ""
    negative: str = ""
    seed: int = 0
    job: str = ""
    settings: str = "{}"
    uvs: str = ""
    partial: bool = False
    seconds: float = 0.0
    thumbnail: npt.NDArray[np.uint8] | None = None

    @property
    def title(self) -> str:
        """What the version is called."""
        return self.name or self.prompt


class VersionBuilder:
    """A version that is made one map at a time, so that Blender stays smooth in between.

    Undo between two maps may take away what was made so far; `finish` makes it again.

    Args:
        options: where it goes; the selection of faces is that of the moment when the texture was asked for.
    """

    def __init__(self, obj: bpy.types.Object, facts: VersionFacts, options: ExportOptions) -> None:
        self._facts, self._options = facts, options
        self._title = f"{obj.name}: {facts.title[:40]}"
        self._tiles: dict[str, tuple[str, dict[int, bytes]]] = {}
        self._uids: dict[str, int] = {}

    def add_map(self, name: str, png: bytes, color_space: str, tile: int = 1001) -> None:
        """Adds one map, or one UDIM tile of it.

        Raises:
            SceneError: the bytes are no image.
        """
        _, tiles = self._tiles.setdefault(name, (color_space, {}))
        tiles[tile] = png
        if tile == 1001:
            self._make(name)

    def finish(self, obj: bpy.types.Object, *, apply: bool = True) -> int:
        """Makes the version's material, thumbnail and place in the list; returns its index.

        Args:
            obj: the object, looked up anew: an undo in between makes references worthless.
            apply: also show it.

        Raises:
            SceneError: it could not be shown. It is in the list all the same, so that nothing is lost.
        """
        check_ours(obj)
        images = {name: self._made(name) for name in self._tiles}
        material = build_material(self._title, images, self._options.uv_map or _active_uv_map(obj))
        version = obj.pgc.versions.add()
        obj.pgc.schema = SCHEMA
        self._fill(obj, version, images, material)
        index = len(obj.pgc.versions) - 1
        if apply:
            apply_version_index(obj, index)
        return index

    def discard(self) -> None:
        """Takes away what was made and no version has."""
        for name in list(self._uids):
            image = _image_by_uid(self._uids.pop(name))
            if image is not None and image.users == 0:
                bpy.data.images.remove(image)

    def _make(self, name: str) -> bpy.types.Image:
        color_space, tiles = self._tiles[name]
        title = f"{self._title[:48]} {name}"
        if list(tiles) == [1001]:
            image = new_packed_image(title, tiles[1001], color_space)
        else:
            image = new_tiled_image(title, tiles, color_space)
        self._uids[name] = image.session_uid
        return image

    def _made(self, name: str) -> bpy.types.Image:
        image = _image_by_uid(self._uids[name]) if name in self._uids else None
        if image is not None and len(self._tiles[name][1]) > 1 and image.source != "TILED":
            # Its first tile came when nobody knew that there would be more.
            bpy.data.images.remove(image)
            image = None
        return image or self._make(name)

    def _fill(
        self,
        obj: bpy.types.Object,
        version: bpy.types.PropertyGroup,
        images: Mapping[str, bpy.types.Image],
        material: bpy.types.Material,
    ) -> None:
        facts, options = self._facts, self._options
        version.key = uuid.uuid4().hex
        version.name = facts.title[:48] or obj.name
        version.prompt, version.negative, version.seed = facts.prompt, facts.negative, facts.seed
        version.job, version.settings, version.partial = facts.job, facts.settings, facts.partial
        version.seconds = facts.seconds
        version.created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        version.uv_map = options.uv_map or _active_uv_map(obj)
        version.uvs = facts.uvs or packed_uvs_of(obj, version.uv_map)
        version.target, version.slot, version.faces = _place_of(obj, options)
        for name, image in images.items():
            entry = version.maps.add()
            entry.name, entry.image = name, image
        version.material = material
        png = self._tiles.get("base_color", ("", {}))[1].get(1001)
        tiled = any(len(tiles) > 1 for _, tiles in self._tiles.values())
        seen = None if tiled else portrait(obj, version, facts.thumbnail)
        version.thumbnail = new_thumbnail(
            f"{self._title[:48]} thumbnail",
            facts.thumbnail if seen is None else seen,
            png,
            images.get("base_color"),
        )


def _place_of(obj: bpy.types.Object, options: ExportOptions) -> tuple[str, int, str]:
    """Target, slot and packed faces: a slot that was made for faces of a version stands for those faces."""
    if options.target == "slot" and options.slot in covered_slots(obj, "LAYER"):
        indices = np.empty(len(obj.data.polygons), np.int32)
        obj.data.polygons.foreach_get("material_index", indices)
        return "selected_faces", options.slot, pack_faces(indices == options.slot)
    if options.target != "selected_faces" or options.faces:
        return options.target, options.slot, options.faces
    selected = np.empty(len(obj.data.polygons), np.bool_)
    obj.data.polygons.foreach_get("select", selected)
    return options.target, options.slot, pack_faces(selected)


def _active_uv_map(obj: bpy.types.Object) -> str:
    return obj.data.uv_layers.active.name if obj.data.uv_layers.active is not None else ""


def _image_by_uid(uid: int) -> bpy.types.Image | None:
    return next((image for image in bpy.data.images if image.session_uid == uid), None)
