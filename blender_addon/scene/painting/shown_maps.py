# SPDX-License-Identifier: GPL-3.0-or-later
"""What a material shows of each map, as far as that is a picture or a value: to be kept, or to start from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import bpy
import numpy as np
import numpy.typing as npt

from ...model.maps import MAPS
from ...uv_measure.raster import covered_cells
from ..pictures.materials import PACKED
from ..pictures.pixels import channels_of, encoded, encoded_colors
from ..versions.showing import map_image

__all__ = ["MapSource", "joined_by_slot", "map_bytes", "map_source", "slot_materials"]

_FLAT = (0.5, 0.5, 1.0)
_PACKED_CHANNELS = {"occlusion": 0, "roughness": 1, "metallic": 2}
_SEPARATED = {"Red": 0, "Green": 1, "Blue": 2}
_BEYOND = 2
"""Pixels around the faces of a slot that take its picture too."""

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class MapSource:
    """Where a map's pixels are: in an image, of one of its channels or of all; or a value that is the same all over."""

    image: bpy.types.Image | None = None
    channel: int | None = None
    value: tuple[float, ...] = ()


def slot_materials(obj: bpy.types.Object) -> list[bpy.types.Material | None]:
    """Returns what the object's slots hold, beneath a preview or a mask that is being painted."""
    record = obj.pgc.job.preview
    materials = [slot.material for slot in obj.material_slots]
    if record.key:
        for index, kept in enumerate(record.slots[: len(materials)]):
            materials[index] = kept.material
    return materials


def map_source(obj: bpy.types.Object, material: bpy.types.Material | None, name: str) -> MapSource | None:
    """Returns where a map of a material is; None: other nodes than an image say it, or nothing does.

    Args:
        obj: whose versions know their own pictures.
        name: of `MAPS`.
    """
    version = next((one for one in obj.pgc.versions if material is not None and one.material == material), None)
    if version is not None:
        image, packed = map_image(version, name), map_image(version, PACKED)
        if image is not None or (packed is not None and name in _PACKED_CHANNELS):
            return MapSource(image) if image is not None else MapSource(packed, _PACKED_CHANNELS[name])
    tree = material.node_tree if material is not None else None
    nodes = tree.nodes if tree is not None else ()
    shader = next((node for node in nodes if node.bl_idname == "ShaderNodeBsdfPrincipled"), None)
    if shader is None or name == "occlusion":
        # No shader has occlusion; it is computed.
        return None
    socket = shader.inputs["Normal" if name == "normal" else MAPS[name].socket]
    if socket.is_linked:
        return _linked(socket, name)
    if name == "normal":
        return MapSource(value=_FLAT)
    if name == "base_color":
        return MapSource(value=tuple(float(part) for part in encoded(np.array(socket.default_value[:3], np.float32))))
    return MapSource(value=(float(socket.default_value),))


def _linked(socket: bpy.types.NodeSocket, name: str) -> MapSource | None:
    node, output = socket.links[0].from_node, socket.links[0].from_socket
    if name == "normal":
        if node.bl_idname != "ShaderNodeNormalMap" or node.space != "TANGENT" or not node.inputs["Color"].is_linked:
            return None
        if abs(node.inputs["Strength"].default_value - 1.0) > 1e-6:
            return None
        node = node.inputs["Color"].links[0].from_node
    channel = None
    if node.bl_idname == "ShaderNodeSeparateColor" and node.inputs["Color"].is_linked:
        channel = _SEPARATED.get(output.identifier)
        node = node.inputs["Color"].links[0].from_node
    if node.bl_idname != "ShaderNodeTexImage" or node.image is None:
        return None
    return MapSource(node.image, channel)


def map_bytes(source: MapSource, name: str, side: int) -> Pixels:
    """Returns a map's pixels, uint8 [S, S] or, of base colour and normals, [S, S, 3], row 0 at the top.

    Pixels of an image of another size are repeated or left out. Raises SceneError where an image's pixels are gone.
    """
    wide = name in ("base_color", "normal")
    if source.image is None:
        value = np.array(source.value, np.float32)
        return np.ascontiguousarray(_bytes(np.broadcast_to(value, (side, side, 3)) if wide else _plane(value, side)))
    if name == "base_color":
        values = encoded_colors(source.image)
    else:
        values = _linear(source.image)
        if not wide:
            values = values[..., source.channel or 0]
        elif values.shape[-1] < 3:
            values = np.repeat(values[..., :1], 3, axis=-1)
        else:
            values = values[..., :3]
    rows, columns = (np.arange(side) * size // side for size in values.shape[:2])
    return np.ascontiguousarray(_bytes(values[rows][:, columns]))


def _plane(value: npt.NDArray[np.float32], side: int) -> npt.NDArray[np.float32]:
    return np.full((side, side), value[0], np.float32)


def _bytes(values: npt.NDArray[np.float32]) -> Pixels:
    return np.round(values.clip(0.0, 1.0) * 255.0).astype(np.uint8)


def _linear(image: bpy.types.Image) -> npt.NDArray[np.float32]:
    """What a shader gets of an image that is no colour; one that is marked as colour is decoded."""
    values = channels_of(image)
    if image.is_float or image.colorspace_settings.is_data:
        return values
    bright = ((values + 0.055) / 1.055) ** np.float32(2.4)
    return np.where(values <= 0.04045, values / np.float32(12.92), bright).astype(np.float32)


def joined_by_slot(
    pictures: Mapping[int, Pixels], corner_uvs: npt.NDArray[np.float32], slots: npt.NDArray[np.int32]
) -> Pixels:
    """Returns one picture, which holds under the faces of each slot what that slot's picture holds there; elsewhere the
    first one's.

    Args:
        pictures: of one size, by slot.
        corner_uvs: float32 [F, 3, 2], V up; slots: int32 [F].
    """
    first, *others = sorted(pictures)
    result = pictures[first].copy()
    side = len(result)
    under = {slot: _under(corner_uvs[slots == slot], side) for slot in pictures}
    for slot in others:
        taken = np.logical_or.reduce([mask for other, mask in under.items() if other != slot])
        place = under[slot] | (_grown(under[slot]) & ~taken)
        result[place] = pictures[slot][place]
    return result


def _under(corner_uvs: npt.NDArray[np.float32], side: int) -> npt.NDArray[np.bool_]:
    """Pixels under triangles, row 0 at the top."""
    _, cells = covered_cells(corner_uvs.astype(np.float64) * side)
    cells = cells[((cells >= 0) & (cells < side)).all(axis=1)]
    mask = np.zeros((side, side), np.bool_)
    mask[side - 1 - cells[:, 1], cells[:, 0]] = True
    return mask


def _grown(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    padded = np.pad(mask, _BEYOND)
    height, width = mask.shape
    steps = range(2 * _BEYOND + 1)
    shifted = [padded[down : down + height, right : right + width] for down in steps for right in steps]
    return np.logical_or.reduce(shifted)
