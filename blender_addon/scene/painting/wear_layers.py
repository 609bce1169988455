# SPDX-License-Identifier: GPL-3.0-or-later
"""Wear as layers of a version: another version's maps over its own, where edges, crevices or a mask are."""

from __future__ import annotations

import bpy
import numpy as np

from ..errors import SceneError
from ..ownership import check_own_version, held_versions
from ..pictures.wear_nodes import check_wearable, has_shader, set_wear_strength, show_wear
from ..versions.showing import check_ours, map_image
from .mask_edit import mask_copy
from .mask_values import mesh_pixels

__all__ = ["PLACES", "add_wear", "copy_layer", "mix_wear", "remove_wear"]

_NAMES = {
    "EDGES": "edges",
    "CREVICES": "crevices",
    "HIDDEN": "hidden places",
    "THIN": "thin places",
    "UP": "facing up",
    "HEIGHT": "height",
    "MASK": "mask",
}
PLACES = tuple(_NAMES)
"""Where a layer of wear can be: actions of a mask, or the object's own mask."""
_SIDE = 1024
"""Most pixels a side of a layer's mask."""


def add_wear(obj: bpy.types.Object, index: int, source: int, place: str) -> None:
    """Lays the maps of one version over another one of the same object; neither one's pictures change. Copies of the
    object that share the version get the layer too.

    Args:
        index: of the version that gets the layer; source: of the one whose maps it has. place: of `PLACES`.

    Raises:
        SceneError: they are one, a picture is gone, the version is of another file, has no shader or UV map any more or
            lies in several tiles, the mesh has no such place, or there is no mask; nothing changed.
    """
    check_ours(obj)
    version, other = obj.pgc.versions[index], obj.pgc.versions[source]
    picture, above = map_image(version, "base_color"), map_image(other, "base_color")
    if index == source:
        raise SceneError(f"{version.name} cannot lie over itself; choose another version.")
    if version.material is None or picture is None or above is None:
        name = (version if picture is None or version.material is None else other).name
        raise SceneError(f"The pictures of {name} are gone; generate it again with its prompt and seed.")
    check_own_version(obj, index)
    check_wearable(version.material)
    if version.uv_map not in obj.data.uv_layers:
        raise SceneError(f"{obj.name} has no UV map {version.uv_map} any more; name one so, or generate again.")
    if picture.source == "TILED" and len(picture.tiles) > 1:
        raise SceneError(
            f"{version.name} lies in {len(picture.tiles)} UDIM tiles, and a layer of wear can lie in one alone; make a "
            "New UV Map, and generate it again."
        )
    mask = _mask(obj, version, place, min(max(picture.size), _SIDE))
    for _, held in held_versions(version.key, version.material):
        layer = held.wear.add()
        layer.name, layer.mask = f"{other.name[:40]}, {_NAMES[place]}", mask
        layer.uv_map, layer.mask_uv_map = other.uv_map, held.uv_map
        for entry in obj.pgc.versions[source].maps:
            copied = layer.maps.add()
            copied.name, copied.image = entry.name, entry.image
    show_wear(version.material, version.wear)


def copy_layer(layer: bpy.types.PropertyGroup, to: bpy.types.PropertyGroup) -> None:
    """Makes one layer (`PGC_PG_wear`) say what another one does."""
    for name in ("name", "uv_map", "mask", "mask_uv_map", "strength", "hidden"):
        # Past the callbacks, which would mix the layers of a version that is not whole yet.
        to[name] = getattr(layer, name)
    for entry in layer.maps:
        copied = to.maps.add()
        copied.name, copied.image = entry.name, entry.image


def mix_wear(obj: bpy.types.Object, version: bpy.types.PropertyGroup, changed: bpy.types.PropertyGroup) -> None:
    """Mixes a version's layers anew: one of them was hidden, or has another strength. Copies of the object that share
    the version follow.

    Raises:
        SceneError: the version's material is of another file, or has no shader any more.
    """
    if version.material is None:
        return
    index = next(at for at, one in enumerate(obj.pgc.versions) if one == version)
    place = next(at for at, one in enumerate(version.wear) if one == changed)
    check_own_version(obj, index)
    for _, held in held_versions(version.key, version.material):
        if place < len(held.wear) and held != version:
            held.wear[place]["strength"], held.wear[place]["hidden"] = changed.strength, changed.hidden
    if not set_wear_strength(version.material, version.wear):
        show_wear(version.material, version.wear)


def remove_wear(obj: bpy.types.Object, index: int, place: int) -> None:
    """Takes a layer off a version, with its pictures where nothing else has them; copies of the object that share the
    version lose it too.

    Raises:
        SceneError: the object's versions may not change, or this one is of another file.
    """
    check_ours(obj)
    check_own_version(obj, index)
    version = obj.pgc.versions[index]
    layer = version.wear[place]
    images = dict.fromkeys([layer.mask, *(entry.image for entry in layer.maps)])
    if version.material is None:
        version.wear.remove(place)
    else:
        for _, held in held_versions(version.key, version.material):
            if place < len(held.wear):
                held.wear.remove(place)
        if has_shader(version.material):
            show_wear(version.material, version.wear)
    for image in images:
        if image is not None and image.users == 0 and image.is_editable:
            bpy.data.images.remove(image)


def _mask(obj: bpy.types.Object, version: bpy.types.PropertyGroup, place: str, side: int) -> bpy.types.Image:
    if place == "MASK":
        if obj.pgc.keep_mask is None:
            raise SceneError(f"{obj.name} has no mask; make one, or choose another place.")
        # The artist may paint on, which is not to change this.
        return mask_copy(obj.pgc.keep_mask)
    values = mesh_pixels(obj, place, version.uv_map, (side, side))
    image = bpy.data.images.new(f"{obj.name} {place.lower()}", side, side, alpha=False, is_data=True)
    pixels = np.ones((side, side, 4), np.float32)
    pixels[..., :3] = values[..., None]
    image.pixels.foreach_set(pixels.ravel())
    image.pack()
    return image
