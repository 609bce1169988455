# SPDX-License-Identifier: GPL-3.0-or-later
"""The images of a job: what the texture grows out of, what of it stays, and what it is to resemble."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from ..client import ReferenceSpec, TileImage
from ..model.choices import need_light
from ..model.conditions.named import takes_named
from ..model.maps import MAPS
from ..model.methods import ChosenMethod
from ..protocol.arrays import array_ref, give_away
from ..scene.errors import SceneError
from ..scene.meshes.export import ExportedMesh
from ..scene.painting.keep_mask import KeptTexture, MapsWanted, kept_texture, start_texture
from ..scene.pictures.pixels import reference_pixels

__all__ = ["image_fields", "kept_of", "mask_settings", "reference_of"]

Arrays = dict[str, npt.NDArray[Any]]
"""By SHA-256."""


def kept_of(
    settings: bpy.types.PropertyGroup, obj: bpy.types.Object, mesh: ExportedMesh
) -> tuple[KeptTexture | None, bool]:
    """Returns what the texture grows out of, where that is a picture, and whether a mask keeps some of it.

    Raises:
        SceneError: what the object shows cannot be kept, or started from.
    """
    lit = {"roughness"} if need_light(settings.maps) else set()
    names = [name for name in MAPS if name in {*settings.maps, *lit} and name != "base_color"]
    slots = mesh.material_index
    if mesh.textured is not None:
        slots = np.where(mesh.textured != 0, slots, -1)
    wanted = MapsWanted(names, slots)
    kept = kept_texture(obj, mesh.uv_map, mesh.corner_uvs, wanted) if settings.target != "objects" else None
    if kept is None and settings.use_start:
        return start_texture(obj, mesh.uv_map, mesh.corner_uvs, wanted), False
    return kept, kept is not None


def mask_settings(settings: bpy.types.PropertyGroup, kept: KeptTexture | None) -> dict[str, Any]:
    """Returns the fields of a job's settings that are about its mask; none without one."""
    if kept is None or kept.mask is None:
        return {}
    anew = settings.mask_anew and not settings.use_start
    return {"soft_edge": settings.soft_edge, "mask_start": "anew" if anew else "present"}


def image_fields(kept: KeptTexture | None, arrays: Arrays) -> dict[str, Any]:
    """Returns the fields of a job that are images, whose arrays are added."""
    if kept is None:
        return {}
    found: dict[str, Any] = {"initial_texture": _tile(kept.picture, arrays)}
    if kept.mask is not None:
        found["lock_mask"] = _tile(kept.mask, arrays)
    if kept.beside:
        found["initial_maps"] = {name: _tile(pixels, arrays) for name, pixels in kept.beside.items()}
    return found


def _tile(array: npt.NDArray[np.uint8], arrays: Arrays) -> tuple[TileImage, ...]:
    ref = array_ref(give_away(array))
    arrays[ref.sha256] = array
    return (TileImage(tile=1001, array=ref),)


def reference_of(
    settings: bpy.types.PropertyGroup, method: ChosenMethod, arrays: dict[str, npt.NDArray[Any]]
) -> ReferenceSpec | None:
    """Returns the picture that the texture is to resemble, whose array is added; None where it would do nothing.

    Raises:
        SceneError: the picture is for base colour alone and no IP-Adapter looks at it, or it has no pixels.
    """
    shuffled = any(one.kind == "shuffle" for one in method.controls)
    if settings.reference is None or not (settings.reference_scale or shuffled):
        return None
    adapter = settings.reference_adapter.strip() if takes_named(settings.model) and settings.reference_scale else ""
    if settings.reference_scale and need_light(settings.maps) and not adapter:
        raise SceneError(
            "A reference is for base color only; make base color alone, or take the reference out.",
            "pgc.base_color_only",
        )
    pixels = give_away(reference_pixels(settings.reference))
    ref = array_ref(pixels)
    arrays[ref.sha256] = pixels
    return ReferenceSpec(image=ref, scale=settings.reference_scale, adapter=adapter)
