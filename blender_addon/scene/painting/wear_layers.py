# SPDX-License-Identifier: GPL-3.0-or-later
"""Wear as layers of a version: another version's maps over its own, where edges, crevices or a mask are."""

from __future__ import annotations

import bpy
import numpy as np

from ..errors import SceneError
from ..pictures.wear_nodes import show_wear
from ..versions.showing import check_ours, map_image
from .mask_values import mesh_pixels

__all__ = ["PLACES", "add_wear", "remove_wear"]

_NAMES = {"EDGES": "edges", "CREVICES": "crevices", "UP": "facing up", "HEIGHT": "height", "MASK": "mask"}
PLACES = tuple(_NAMES)
"""Where a layer of wear can be: actions of a mask, or the object's own mask."""
_SIDE = 1024
"""Most pixels a side of a layer's mask."""


def add_wear(obj: bpy.types.Object, index: int, source: int, place: str) -> None:
    """Lays the maps of one version over another one of the same object; neither one's pictures change.

    Args:
        index: of the version that gets the layer; source: of the one whose maps it has. place: of `PLACES`.

    Raises:
        SceneError: they are one, a picture is gone, the mesh has no such place, or there is no mask; nothing changed.
    """
    check_ours(obj)
    version, other = obj.pgc.versions[index], obj.pgc.versions[source]
    picture, above = map_image(version, "base_color"), map_image(other, "base_color")
    if index == source:
        raise SceneError(f"{version.name} cannot lie over itself; choose another version.")
    if version.material is None or picture is None or above is None:
        name = (version if picture is None or version.material is None else other).name
        raise SceneError(f"The pictures of {name} are gone; generate it again with its prompt and seed.")
    mask = _mask(obj, version, place, min(max(picture.size), _SIDE))
    layer = version.wear.add()
    layer.name, layer.mask = f"{other.name[:40]}, {_NAMES[place]}", mask
    layer.uv_map, layer.mask_uv_map = other.uv_map, version.uv_map
    for entry in other.maps:
        copied = layer.maps.add()
        copied.name, copied.image = entry.name, entry.image
    show_wear(version.material, version.wear)


def remove_wear(obj: bpy.types.Object, index: int, place: int) -> None:
    """Takes a layer off a version, and its mask where nothing else has it.

    Raises:
        SceneError: the object's versions may not change.
    """
    check_ours(obj)
    version = obj.pgc.versions[index]
    mask = version.wear[place].mask
    version.wear.remove(place)
    if version.material is not None:
        show_wear(version.material, version.wear)
    if mask is not None and mask.users == 0:
        bpy.data.images.remove(mask)


def _mask(obj: bpy.types.Object, version: bpy.types.PropertyGroup, place: str, side: int) -> bpy.types.Image:
    if place == "MASK":
        if obj.pgc.keep_mask is None:
            raise SceneError(f"{obj.name} has no mask; make one, or choose another place.")
        # The artist may paint on, which is not to change this.
        image = obj.pgc.keep_mask.copy()
    else:
        values = mesh_pixels(obj, place, version.uv_map, (side, side))
        image = bpy.data.images.new(f"{obj.name} {place.lower()}", side, side, alpha=False, is_data=True)
        pixels = np.ones((side, side, 4), np.float32)
        pixels[..., :3] = values[..., None]
        image.pixels.foreach_set(pixels.ravel())
    image.pack()
    return image
