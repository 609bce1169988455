# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions and brushes: ordinary Texture Paint takes the picture that an object shows, which is a version's own.

The strokes are never moved. The painted image becomes that of a new version, so that the canvas, the material and the
undo of strokes stay what they are; the version that was painted on gets copies of its pictures as they are stored.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator, Mapping

import bpy

from ..errors import SceneError
from ..ownership import check_own_version, held_versions, library_versions
from ..pictures.materials import build_material
from ..pictures.wear_nodes import show_wear
from ..versions.showing import check_ours, select_shown
from ..versions.storage import image_files
from .mask_display import is_painting
from .wear_layers import copy_layer

__all__ = ["PaintWatch", "canvas_version", "keep_painted", "pack_painted", "painted_version", "split_painted"]

_COPIED = ("prompt", "negative", "seed", "settings", "uv_map", "uvs", "target", "slot", "faces")


def canvas_version(obj: bpy.types.Object) -> int:
    """Returns the index of the version that the next stroke of ordinary Texture Paint changes; -1: none. Cheap enough
    for drawing.

    Versions that were made to be painted on do not count.
    """
    if obj.mode != "TEXTURE_PAINT" or is_painting(obj):
        return -1
    paint = bpy.context.scene.tool_settings.image_paint
    image = paint.canvas
    if paint.mode == "MATERIAL":
        material = obj.active_material
        images = material.texture_paint_images if material is not None else ()
        image = images[material.paint_active_slot] if material and material.paint_active_slot < len(images) else None
    return next((index for index, one in _guarded(obj) if image is not None and image in _pictures(one).values()), -1)


def painted_version(obj: bpy.types.Object) -> int:
    """Returns the index of a version whose pixels are no longer those that are stored; -1: none. Cheap enough for
    drawing.
    """
    return next((index for index, one in _guarded(obj) if _dirty(one)), -1)


def keep_painted(obj: bpy.types.Object, index: int) -> int:
    """Makes a new version that has the painted pixels and is shown in place of the old one, which is as it was made.

    Where several objects have the version, each gets the new one. Returns its index on `obj`.

    Raises:
        SceneError: the stored pictures are gone, or of another file; nothing changed.
    """
    check_ours(obj)
    version = obj.pgc.versions[index]
    images, stored = _pictures(version), {}
    check_own_version(obj, index)
    for file in (file for image in images.values() if not image.packed_files for file in image_files(image)):
        if not file.is_file():
            raise SceneError(f"{file} is missing; put it back there, then {version.name} can be kept as it was made.")
    for image in dict.fromkeys(images.values()):
        # A copy has what is stored, not what was painted.
        stored[image] = image.copy()
    material = build_material(version.name, {name: stored[image] for name, image in images.items()}, version.uv_map)
    show_wear(material, version.wear)
    key, old = uuid.uuid4().hex, version.key
    for holder, _ in list(held_versions(old, version.material)):
        _split(holder, old, key, stored, material)
    for image in stored:
        # Those files are of the version as it was made. What is packed already waits for a save: an undo of this would
        # bring back the bytes as they were made, and Blender would take the strokes for stored.
        if not image.packed_files:
            image.pack()
    return len(obj.pgc.versions) - 1


def split_painted() -> list[str]:
    """Keeps the strokes of all versions that were painted on, each as a new version; returns what hindered it, in
    sentences.
    """
    hindered = []
    for obj in bpy.data.objects:
        while obj.type == "MESH" and obj.is_editable and (index := painted_version(obj)) >= 0:
            try:
                keep_painted(obj, index)
            except SceneError as error:
                hindered.append(error.text)
                break
    return hindered


def pack_painted() -> None:
    """Puts what was painted on versions that are for it into the file."""
    for obj in bpy.data.objects:
        for version in obj.pgc.versions if obj.type == "MESH" and obj.is_editable else ():
            for image in _pictures(version).values() if version.painted else ():
                if image.is_dirty and image.is_editable:
                    image.pack()


class PaintWatch:
    """Notices at the main thread's turns what the panel has to say of strokes."""

    def __init__(self) -> None:
        self._seen = (-1, -1)

    def look(self, obj: bpy.types.Object | None) -> bool:
        """Says whether the version that the next stroke changes, or the one that was painted on, is another than at the
        last look.
        """
        there = obj is not None and obj.type == "MESH" and len(obj.pgc.versions) > 0
        seen = (canvas_version(obj), painted_version(obj)) if there else (-1, -1)
        changed, self._seen = seen != self._seen, seen
        return changed


def _guarded(obj: bpy.types.Object) -> Iterator[tuple[int, bpy.types.PropertyGroup]]:
    """Versions that no brush is to change, with their indices; those of a library file cannot be painted on."""
    first = library_versions(obj)
    return ((i, one) for i, one in enumerate(obj.pgc.versions) if i >= first and not one.painted)


def _pictures(version: bpy.types.PropertyGroup) -> dict[str, bpy.types.Image]:
    return {entry.name: entry.image for entry in version.maps if entry.image is not None}


def _dirty(version: bpy.types.PropertyGroup) -> bool:
    return any(image.is_dirty and image.is_editable for image in _pictures(version).values())


def _split(
    obj: bpy.types.Object,
    old: str,
    key: str,
    stored: Mapping[bpy.types.Image, bpy.types.Image],
    material: bpy.types.Material,
) -> None:
    """One object's new version, with the images and the material of the old one; the old one gets those given."""
    # Adding one moves the others in memory.
    new = obj.pgc.versions.add()
    version = next(one for one in obj.pgc.versions if one.key == old)
    for name in _COPIED:
        setattr(new, name, getattr(version, name))
    new.key, new.name, new.painted = key, f"{version.name[:38]} (painted)", True
    new.created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    new.material, version.material = version.material, material
    for entry in version.maps:
        if entry.image is not None:
            copy = new.maps.add()
            copy.name, copy.image = entry.name, entry.image
            entry.image = stored[entry.image]
    for layer in version.wear:
        # The nodes of both are the same ones.
        copy_layer(layer, new.wear.add())
    before = obj.pgc.layers
    obj.pgc.layers = " ".join(key if one == old else one for one in before.split())
    if obj.pgc.layers != before:
        # Compare goes back and forth between the strokes and what was there before them.
        obj.pgc.compared = before
    select_shown(obj)
