# SPDX-License-Identifier: GPL-3.0-or-later
"""A mask on an object: what of the texture that the object shows is kept texel by texel. Its white is what stays, or
(`mask_reading`) what changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import bpy
import numpy as np
import numpy.typing as npt

from ...model.maps import MAPS
from ..errors import SceneError
from ..pictures.pixels import channels_of, encoded_colors
from ..versions.showing import map_image
from .shown_maps import MapSource, joined_by_slot, map_bytes, map_source, slot_materials

__all__ = ["KeptTexture", "MapsWanted", "kept_picture", "kept_texture", "new_mask", "pack_masks", "start_texture"]

_SIDES = tuple(1 << power for power in range(4, 14))
"""What a server takes."""
_SLACK = 1e-4
_ONE_TILE = (
    "What {name} shows can be kept or started from within one UV tile, and it has UVs in others; clear the mask and "
    "start anew."
)


@dataclass(frozen=True, eq=False)
class KeptTexture:
    """What a job gets of the texture that is there, row 0 at the top.

    Args:
        picture: uint8 [S, S, 3], sRGB, the base colour as it is; mask: uint8 [S, S], 255 where it stays, else 0; None:
            all of it is only a start.
        beside: the other maps as they are, uint8 [S, S], of normals [S, S, 3].
    """

    picture: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.uint8] | None
    notes: tuple[str, ...] = ()
    """What the server does not get of the picture, a sentence each."""
    beside: Mapping[str, npt.NDArray[np.uint8]] = field(default_factory=dict[str, npt.NDArray[np.uint8]])


@dataclass(frozen=True, eq=False)
class MapsWanted:
    """What a job shall get.

    Args:
        names: of the maps beside base colour. slots: int32 [F], the material slot of each triangle, -1 where it
            gets no texture; None: one has all.
    """

    names: Sequence[str] = ()
    slots: npt.NDArray[np.int32] | None = None


def new_mask(obj: bpy.types.Object, side: int) -> bpy.types.Image:
    """Makes a black mask for the object: nothing is kept yet."""
    return bpy.data.images.new(f"{obj.name} mask", side, side, alpha=False, is_data=True)


def kept_picture(obj: bpy.types.Object) -> bpy.types.Image | None:
    """Returns the base colour that the object shows, of its uppermost version or else its active material; None: there
    is none.

    Cheap enough for drawing: reads no pixels.
    """
    version = _shown_version(obj)
    if version is not None:
        return map_image(version, "base_color")
    record = obj.pgc.job.preview
    if record.key and obj.active_material_index < len(record.slots):
        # A preview, or the mask itself, is on the object.
        material = record.slots[obj.active_material_index].material
    else:
        material = obj.active_material
    tree = material.node_tree if material is not None else None
    for node in tree.nodes if tree is not None else ():
        if node.bl_idname == "ShaderNodeBsdfPrincipled":
            for link in node.inputs["Base Color"].links:
                if link.from_node.bl_idname == "ShaderNodeTexImage" and link.from_node.image is not None:
                    return link.from_node.image
    return None


def kept_texture(
    obj: bpy.types.Object, uv_map: str, corner_uvs: npt.NDArray[np.float32], wanted: MapsWanted | None = None
) -> KeptTexture | None:
    """Returns the picture and the mask for a job; None where the object has no mask, or nothing of it shall stay.

    Args:
        uv_map: the one that is textured; corner_uvs: float32 [..., 2] in it. wanted: by default base colour alone.

    Raises:
        SceneError: there is nothing to keep, or it does not fit.
    """
    image = obj.pgc.keep_mask
    if image is None:
        return None
    white = encoded_colors(image).mean(axis=-1) > 0.5
    stays = white if obj.pgc.mask_reading == "KEEP" else ~white
    if not stays.any():
        return None
    if stays.all():
        raise SceneError(
            f"The mask of {obj.name} is {'white' if white.all() else 'black'} all over, so nothing would change; "
            f"paint {'black' if white.all() else 'white'} where the new texture is to come."
        )
    if kept_picture(obj) is None:
        raise SceneError(f"{obj.name} shows no texture that the mask could keep; make one first, or clear the mask.")
    start = start_texture(obj, uv_map, corner_uvs, wanted)
    missing = [name for name in (wanted.names if wanted else ()) if name not in start.beside and name != "occlusion"]
    if missing:
        raise SceneError(
            f"The {MAPS[missing[0]].title} of {obj.name} comes from nodes that are no image, so the mask cannot keep "
            "it; use Bake to Texture first, or make base color alone.",
            "pgc.base_color_only",
        )
    side = len(start.picture)
    rows, columns = (np.arange(side) * size // side for size in stays.shape)
    return replace(start, mask=np.where(stays[rows][:, columns], np.uint8(255), np.uint8(0)))


def start_texture(
    obj: bpy.types.Object, uv_map: str, corner_uvs: npt.NDArray[np.float32], wanted: MapsWanted | None = None
) -> KeptTexture:
    """Returns what the object shows, for a job to start from; arguments as of `kept_texture`. Maps that come from nodes
    that are no image are left out.

    Raises:
        SceneError: it shows none, or one that does not fit.
    """
    picture, version = kept_picture(obj), _shown_version(obj)
    if picture is None:
        raise SceneError(f"{obj.name} shows no texture to start from; make one first, or start anew.")
    if version is not None and version.uv_map != uv_map:
        raise SceneError(
            f"What {obj.name} shows was made for the UV map {version.uv_map}; choose that one, or clear the mask and "
            "start anew."
        )
    wanted = wanted or MapsWanted()
    materials, used = _used(obj, picture, wanted)
    bases = {
        slot: map_source(obj, material, "base_color") or MapSource(picture) for slot, material in materials.items()
    }
    images = list(dict.fromkeys(base.image for base in bases.values() if base.image is not None))
    if any(image.source == "TILED" for image in images) or corner_uvs.min() < -_SLACK or corner_uvs.max() > 1 + _SLACK:
        raise SceneError(_ONE_TILE.format(name=obj.name))
    for image in images:
        width, height = image.size
        if height != width or width not in _SIDES:
            raise SceneError(
                f"The texture of {obj.name} has {width} x {height} pixels; only square ones of 16, 32, … 8192 can be "
                "kept or started from."
            )
    side = max(image.size[0] for image in images)
    notes = [note for image in images for note in _losses(image)]
    notes += [note for material in materials.values() for note in _worn(obj, material)]
    beside: dict[str, npt.NDArray[np.uint8]] = {}
    for name in wanted.names:
        sources = {slot: map_source(obj, material, name) for slot, material in materials.items()}
        known = {slot: source for slot, source in sources.items() if source is not None}
        if len(known) == len(sources):
            beside[name] = _joined(known, name, side, corner_uvs, used)
            notes += [note for source in known.values() for note in _resized(source, side)]
    notes += [note for base in bases.values() for note in _resized(base, side)]
    return KeptTexture(
        picture=_joined(bases, "base_color", side, corner_uvs, used),
        mask=None,
        notes=tuple(dict.fromkeys(notes)),
        beside=beside,
    )


def _used(
    obj: bpy.types.Object, picture: bpy.types.Image, wanted: MapsWanted
) -> tuple[dict[int, bpy.types.Material | None], npt.NDArray[np.int32] | None]:
    """The material of each slot that faces are in, and the slot of each triangle where these are several."""
    every = slot_materials(obj)
    active = min(obj.active_material_index, len(every) - 1)
    version = _shown_version(obj)
    if version is not None and version.material is not None:
        alone = {0: version.material}
    else:
        alone = {0: every[active] if every else None}
    if wanted.slots is None or len(every) < 2:
        return alone, None
    slots = wanted.slots.clip(-1, len(every) - 1)
    found = {int(slot): every[int(slot)] for slot in np.unique(slots) if slot >= 0}
    return (found, slots) if len(set(found.values())) > 1 else ({0: next(iter(found.values()))}, None)


def _joined(
    sources: Mapping[int, MapSource],
    name: str,
    side: int,
    corner_uvs: npt.NDArray[np.float32],
    slots: npt.NDArray[np.int32] | None,
) -> npt.NDArray[np.uint8]:
    """A map of all slots in one picture."""
    pictures = {slot: map_bytes(source, name, side) for slot, source in sources.items()}
    return pictures[min(pictures)] if slots is None else joined_by_slot(pictures, corner_uvs, slots)


def _resized(source: MapSource, side: int) -> tuple[str, ...]:
    image = source.image
    if image is None or tuple(image.size) == (side, side):
        return ()
    width, height = image.size
    return (f"{image.name} has {width} x {height} pixels; it is kept at {side} x {side}.",)


def pack_masks() -> None:
    """Puts what was painted since the last save into the file; a mask that is a file of its own is the artist's."""
    for obj in bpy.data.objects:
        image = obj.pgc.keep_mask if obj.type == "MESH" else None
        if image is not None and image.is_dirty and image.is_editable and (image.packed_file or not image.filepath):
            image.pack()


def _shown_version(obj: bpy.types.Object) -> bpy.types.PropertyGroup | None:
    top = obj.pgc.layers.rpartition(" ")[2]
    return next((version for version in obj.pgc.versions if top and version.key == top), None)


def _worn(obj: bpy.types.Object, material: bpy.types.Material | None) -> tuple[str, ...]:
    """Layers of wear are nodes, and no part of a version's pictures."""
    version = next((one for one in obj.pgc.versions if material is not None and one.material == material), None)
    if version is None or not any(layer.strength > 0.0 and not layer.hidden for layer in version.wear):
        return ()
    return (f"The wear over {version.name} is left out; Bake into One Set makes one version of both.",)


def _losses(image: bpy.types.Image) -> tuple[str, ...]:
    """What 8 bits and three channels cannot hold of an image."""
    values, found = encoded_colors(image), []
    if image.is_float:
        found.append(f"{image.name} has more than 8 bits a channel; what is taken of it is rounded to 8.")
    if bool((values < 0.0).any()) or bool((values > 1.0).any()):
        found.append(f"{image.name} has colors outside of 0 to 1; what is taken of it is cut to that range.")
    if image.channels == 4 and bool((channels_of(image)[..., 3] < 1.0).any()):
        found.append(f"{image.name} has alpha, which the new texture does not get.")
    return tuple(found)
