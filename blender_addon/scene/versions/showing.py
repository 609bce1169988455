# SPDX-License-Identifier: GPL-3.0-or-later
"""Every result of an object is a version: shown, compared, removed. None is ever overwritten."""

from __future__ import annotations

from collections.abc import Sequence

import bpy

from ...model.migrations import SCHEMA
from ..errors import SceneError
from ..live_preview import end_preview
from ..meshes.face_sets import unpack_faces
from ..ownership import check_editable, library_versions
from ..pictures.materials import build_material
from ..pictures.wear_nodes import show_wear
from .covering import show_layers, visible_materials
from .layers import Layer, without_hidden

__all__ = [
    "apply_version_index",
    "check_ours",
    "compare_versions",
    "is_shown",
    "map_image",
    "remove_version",
    "restore_original",
    "select_shown",
    "shown_version",
    "version_images",
]

_GONE = "The pictures of {name} are gone; generate it again with its prompt and seed."


def apply_version_index(obj: bpy.types.Object, index: int) -> None:
    """Shows a version on what it was made for; what it does not cover stays.

    Raises:
        SceneError: its pictures are gone, or the object cannot take it as it is; nothing changed.
    """
    check_ours(obj)
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
    """Shows what was there without any version; the versions stay in the list.

    Raises:
        SceneError: faces of a mesh would have to change that must not; nothing changed.
    """
    check_ours(obj)
    before = obj.pgc.layers
    _show(obj, [])
    if before:
        obj.pgc.compared = before


def compare_versions(obj: bpy.types.Object) -> None:
    """Swaps what is shown and what was shown before it: two versions, or a version and the original.

    Raises:
        SceneError: as `apply_version_index`.
    """
    check_ours(obj)
    before, versions = obj.pgc.layers, _by_key(obj)
    wanted = [versions[key] for key in obj.pgc.compared.split() if key in versions]
    for version in wanted:
        if version.material is None:
            version.material = _rebuilt(version)
    layers = _layers(obj, wanted)
    _show(obj, layers, layers)
    obj.pgc.compared = before


def remove_version(obj: bpy.types.Object, index: int) -> None:
    """Takes a version out of the list, and its pictures where nothing else uses them; what was there before shows
    again.

    Raises:
        SceneError: it is shown, and cannot be taken off the object as it is; nothing changed.
    """
    check_ours(obj)
    version = obj.pgc.versions[index]
    if index < library_versions(obj):
        raise SceneError(f"{version.name} is kept in the library file of {obj.name}; remove it there.")
    if is_shown(obj, version) or version.key in obj.pgc.layers.split():
        left = _layers(obj, [other for other in _shown(obj) if other.key != version.key])
        versions = _by_key(obj)
        # Where nothing was below it: what was shown before it.
        before = [versions[key] for key in obj.pgc.compared.split() if key in versions and key != version.key]
        _show(obj, left or _layers(obj, before))
    obj.pgc.compared = " ".join(key for key in obj.pgc.compared.split() if key != version.key)
    material, images = version.material, version_images(version)
    images += [image for layer in version.wear for image in (layer.mask, *(entry.image for entry in layer.maps))]
    obj.pgc.versions.remove(index)
    select_shown(obj)
    if material is not None and material.users == 0:
        bpy.data.materials.remove(material)
    for image in dict.fromkeys(image for image in images if image is not None):
        if image.users == 0:
            bpy.data.images.remove(image)


def is_shown(obj: bpy.types.Object, version: bpy.types.PropertyGroup) -> bool:
    """Says whether the version is on the object, wholly or in part; cheap enough for drawing."""
    material = version.material
    return material is not None and any(slot.material == material for slot in obj.material_slots)


def shown_version(obj: bpy.types.Object | None) -> bpy.types.PropertyGroup | None:
    """Returns the version of a prompt that is on the object: the selected one, else the newest; None: there is none.
    Cheap enough for drawing.
    """
    if obj is None or obj.type != "MESH":
        return None
    versions, active = obj.pgc.versions, obj.pgc.active_version
    chosen = [versions[active]] if 0 <= active < len(versions) else []
    return next((one for one in (*chosen, *reversed(versions)) if one.prompt and is_shown(obj, one)), None)


def check_ours(obj: bpy.types.Object) -> None:
    """Checks that the versions of an object may change.

    Raises:
        SceneError: it is linked from another file, or a newer extension made its versions.
    """
    check_editable(obj)
    if obj.pgc.schema > SCHEMA:
        raise SceneError(f"The versions of {obj.name} were made by a newer version of this extension; update it.")


def map_image(version: bpy.types.PropertyGroup, name: str) -> bpy.types.Image | None:
    """Returns the image of a map, such as base_color; None where the version has none."""
    entry = version.maps.get(name)
    return None if entry is None else entry.image


def version_images(version: bpy.types.PropertyGroup) -> list[bpy.types.Image]:
    """Returns all images of a version, each once: maps, then the thumbnail."""
    images = [entry.image for entry in version.maps] + [version.thumbnail]
    return list(dict.fromkeys(image for image in images if image is not None))


def select_shown(obj: bpy.types.Object) -> None:
    """Selects the uppermost version that is shown in the list; -1: none is."""
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


def _rebuilt(version: bpy.types.PropertyGroup) -> bpy.types.Material:
    """The material anew, where somebody has deleted it."""
    images = {entry.name: entry.image for entry in version.maps if entry.image is not None}
    if not images:
        raise SceneError(_GONE.format(name=version.name), "pgc.version_regenerate")
    material = build_material(version.name, images, version.uv_map)
    show_wear(material, version.wear)
    return material
