# SPDX-License-Identifier: GPL-3.0-or-later
"""Every result of an object is a version: kept, shown, compared, removed. None is ever overwritten."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import bpy
import numpy as np
import numpy.typing as npt

from ..migrations import SCHEMA
from .covering import covered_slots, show_layers, visible_materials
from .errors import SceneError
from .face_sets import pack_faces, unpack_faces
from .images import new_packed_image, new_tiled_image
from .layers import Layer, without_hidden
from .live_preview import end_preview
from .materials import build_material
from .mesh_export import ExportOptions
from .thumbnails import new_thumbnail

__all__ = [
    "VersionBuilder",
    "VersionFacts",
    "add_version",
    "apply_version_index",
    "compare_versions",
    "is_shown",
    "map_image",
    "remove_version",
    "restore_original",
    "select_shown",
    "version_images",
]

_GONE = "The pictures of {name} are gone; generate it again with its prompt and seed."


@dataclass(frozen=True, eq=False, kw_only=True)
class VersionFacts:
    """What is kept of a result beside its pictures.

    Args:
        prompt: empty where it was baked from materials. name: in the list; empty: as the prompt begins.
        seed: below 2^31; job: the server's name of the job; settings: the panel's choices, as JSON.
        partial: cancelled before its end; seconds: how long it took, 0 where unknown.
        thumbnail: uint8 [H, W, C], sRGB, row 0 at the top: the last preview of the base colour; None: there was none.
    """

    prompt: str
    name: str = ""
    negative: str = ""
    seed: int = 0
    job: str = ""
    settings: str = "{}"
    partial: bool = False
    seconds: float = 0.0
    thumbnail: npt.NDArray[np.uint8] | None = None

    @property
    def title(self) -> str:
        """What it is called."""
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
        """One map, or one UDIM tile of it.

        Raises:
            SceneError: the bytes are no image.
        """
        _, tiles = self._tiles.setdefault(name, (color_space, {}))
        tiles[tile] = png
        if tile == 1001:
            self._make(name)

    def finish(self, obj: bpy.types.Object, *, apply: bool = True) -> int:
        """The version's material, thumbnail and place in the list; returns its index.

        Args:
            obj: the object, looked up anew: an undo in between makes references worthless.
            apply: also show it.

        Raises:
            SceneError: it could not be shown. It is in the list all the same, so that nothing is lost.
        """
        _check_ours(obj)
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
        """Take away what was made and no version has."""
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
        version.target, version.slot, version.faces = _place_of(obj, options)
        for name, image in images.items():
            entry = version.maps.add()
            entry.name, entry.image = name, image
        version.material = material
        png = self._tiles.get("base_color", ("", {}))[1].get(1001)
        version.thumbnail = new_thumbnail(
            f"{self._title[:48]} thumbnail", facts.thumbnail, png, images.get("base_color")
        )


def add_version(
    obj: bpy.types.Object,
    *,
    maps: Mapping[str, tuple[bytes, str]],
    facts: VersionFacts,
    options: ExportOptions,
    apply: bool = True,
) -> int:
    """A new version from PNG bytes and colour space of each map, all at once; returns its index.

    Raises:
        SceneError: a map is no image, or it could not be shown.
    """
    builder = VersionBuilder(obj, facts, options)
    for name, (png, color_space) in maps.items():
        builder.add_map(name, png, color_space)
    return builder.finish(obj, apply=apply)


def apply_version_index(obj: bpy.types.Object, index: int) -> None:
    """Show a version on what it was made for; what it does not cover stays.

    Raises:
        SceneError: its pictures are gone, or the object cannot take it as it is; nothing changed.
    """
    _check_ours(obj)
    version = obj.pgc.versions[index]
    if version.material is None:
        version.material = _rebuilt(version)
    visible = visible_materials(obj)
    below = [other for other in _shown(obj) if other.key != version.key and other.material in visible]
    forced = _layer(obj, version)
    layers = without_hidden([*_layers(obj, below), forced])
    before = obj.pgc.layers
    _show(obj, layers, [forced])
    if obj.pgc.layers != before:
        obj.pgc.compared = before


def restore_original(obj: bpy.types.Object) -> None:
    """Show what was there without any version; the versions stay in the list.

    Raises:
        SceneError: faces of a mesh would have to change that must not; nothing changed.
    """
    _check_ours(obj)
    before = obj.pgc.layers
    _show(obj, [])
    if before:
        obj.pgc.compared = before


def compare_versions(obj: bpy.types.Object) -> None:
    """Swap what is shown and what was shown before it: two versions, or a version and the original.

    Raises:
        SceneError: as `apply_version_index`.
    """
    _check_ours(obj)
    before, versions = obj.pgc.layers, _by_key(obj)
    wanted = [versions[key] for key in obj.pgc.compared.split() if key in versions]
    for version in wanted:
        if version.material is None:
            version.material = _rebuilt(version)
    layers = _layers(obj, wanted)
    _show(obj, layers, layers)
    obj.pgc.compared = before


def remove_version(obj: bpy.types.Object, index: int) -> None:
    """Take a version out of the list, and its pictures where nothing else uses them; what was there before shows again.

    Raises:
        SceneError: it is shown, and cannot be taken off the object as it is; nothing changed.
    """
    _check_ours(obj)
    version = obj.pgc.versions[index]
    if is_shown(obj, version) or version.key in obj.pgc.layers.split():
        left = _layers(obj, [other for other in _shown(obj) if other.key != version.key])
        versions = _by_key(obj)
        # Where nothing was below it: what was shown before it.
        before = [versions[key] for key in obj.pgc.compared.split() if key in versions and key != version.key]
        _show(obj, left or _layers(obj, before))
    obj.pgc.compared = " ".join(key for key in obj.pgc.compared.split() if key != version.key)
    material, images = version.material, version_images(version)
    obj.pgc.versions.remove(index)
    select_shown(obj)
    if material is not None and material.users == 0:
        bpy.data.materials.remove(material)
    for image in images:
        if image.users == 0:
            bpy.data.images.remove(image)


def is_shown(obj: bpy.types.Object, version: bpy.types.PropertyGroup) -> bool:
    """Whether the version is on the object, wholly or in part; cheap enough for drawing."""
    material = version.material
    return material is not None and any(slot.material == material for slot in obj.material_slots)


def map_image(version: bpy.types.PropertyGroup, name: str) -> bpy.types.Image | None:
    """The image of a map, such as base_color; None where the version has none."""
    entry = version.maps.get(name)
    return None if entry is None else entry.image


def version_images(version: bpy.types.PropertyGroup) -> list[bpy.types.Image]:
    """All its images, each once: maps, then the thumbnail."""
    images = [entry.image for entry in version.maps] + [version.thumbnail]
    return list(dict.fromkeys(image for image in images if image is not None))


def select_shown(obj: bpy.types.Object) -> None:
    """Let the list's selection be the uppermost version that is shown; -1: none is."""
    top = obj.pgc.layers.rpartition(" ")[2]
    keys = [version.key for version in obj.pgc.versions]
    obj.pgc.active_version = keys.index(top) if top in keys else -1


def _show(obj: bpy.types.Object, layers: Sequence[Layer], forced: Sequence[Layer] = ()) -> None:
    if not end_preview(obj):
        raise SceneError(f"{obj.name} is in Edit Mode and shows a preview on its faces; leave Edit Mode first.")
    materials = {version.key: version.material for version in obj.pgc.versions if version.material is not None}
    show_layers(obj, layers, materials, forced)
    obj.pgc.layers = " ".join(layer.key for layer in layers)
    select_shown(obj)


def _by_key(obj: bpy.types.Object) -> dict[str, bpy.types.PropertyGroup]:
    return {version.key: version for version in obj.pgc.versions}


def _shown(obj: bpy.types.Object) -> list[bpy.types.PropertyGroup]:
    versions = _by_key(obj)
    return [versions[key] for key in obj.pgc.layers.split() if key in versions]


def _layers(obj: bpy.types.Object, versions: Sequence[bpy.types.PropertyGroup]) -> list[Layer]:
    """Layers of versions that have a material; those of faces that are no more keep what they have."""
    layers = []
    for version in versions:
        if version.material is None:
            continue
        try:
            layers.append(_layer(obj, version))
        except SceneError:
            # The mesh was edited since: its faces are not known, but those that show it now may go on doing so.
            layers.append(Layer(version.key, version.target))
    return layers


def _layer(obj: bpy.types.Object, version: bpy.types.PropertyGroup) -> Layer:
    faces = None
    if version.target == "selected_faces":
        faces = unpack_faces(version.faces, len(obj.data.polygons))
    return Layer(version.key, version.target, version.slot, faces)


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


def _rebuilt(version: bpy.types.PropertyGroup) -> bpy.types.Material:
    """The material anew, where somebody has deleted it."""
    images = {entry.name: entry.image for entry in version.maps if entry.image is not None}
    if not images:
        raise SceneError(_GONE.format(name=version.name), "pgc.version_regenerate")
    return build_material(version.name, images, version.uv_map)


def _check_ours(obj: bpy.types.Object) -> None:
    if not obj.is_editable:
        raise SceneError(f"{obj.name} is linked from another file; make it local or a library override first.")
    if obj.pgc.schema > SCHEMA:
        raise SceneError(f"The versions of {obj.name} were made by a newer version of this extension; update it.")


def _active_uv_map(obj: bpy.types.Object) -> str:
    return obj.data.uv_layers.active.name if obj.data.uv_layers.active is not None else ""


def _image_by_uid(uid: int) -> bpy.types.Image | None:
    return next((image for image in bpy.data.images if image.session_uid == uid), None)
