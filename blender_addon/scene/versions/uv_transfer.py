# SPDX-License-Identifier: GPL-3.0-or-later
"""A version's texture moved to the UVs that its object has now: baked by Cycles from the UVs of then, face by face."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import bpy
import numpy as np

from ...model.maps import MAPS
from ...model.uv_packing import unpack_uvs
from ..errors import SceneError
from ..meshes.export import ExportOptions
from ..pictures.bake import BakedSet, BakeOptions, bake_materials
from .builder import VersionBuilder, VersionFacts
from .showing import check_ours, map_image

__all__ = ["transfer_version"]

_THEN = "PGC Before"
"""The UV map of then, in a copy of the mesh that is thrown away."""
_MOST_UV_MAPS = 8
_SAMPLES = 4
"""A pixel: the old texels do not lie under the new ones."""
_OCCLUSION_RAYS = 128


def transfer_version(
    context: bpy.types.Context,
    obj: bpy.types.Object,
    index: int,
    progress: Callable[[float], None] | None = None,
) -> int:
    """Makes a new version of a version, for the object's UVs as they are now; returns its index. The old one stays.

    Args:
        progress: as `bake_materials`.

    Raises:
        SceneError: the mesh has other faces than then, or it cannot be baked; nothing changed.
    """
    check_ours(obj)
    version = obj.pgc.versions[index]
    picture = map_image(version, "base_color")
    if version.material is None or picture is None:
        raise SceneError(f"The pictures of {version.name} are gone; generate it again.", "pgc.version_regenerate")
    baked = _baked(context, obj, version, max(picture.size), progress)
    facts = VersionFacts(
        prompt=version.prompt,
        name=f"{version.name[:36]} (new UVs)",
        negative=version.negative,
        seed=version.seed,
        settings=version.settings,
        partial=version.partial,
    )
    options = ExportOptions(uv_map=version.uv_map, target=version.target, slot=version.slot, faces=version.faces or "")
    builder = VersionBuilder(obj, facts, options)
    for name, tiles in baked.maps.items():
        for tile, png in tiles.items():
            builder.add_map(name, png, MAPS[name].color_space, tile)
    return builder.finish(obj)


def _baked(
    context: bpy.types.Context,
    obj: bpy.types.Object,
    version: bpy.types.PropertyGroup,
    size: int,
    progress: Callable[[float], None] | None,
) -> BakedSet:
    worn = [layer for layer in version.wear if not layer.hidden]
    names = {entry.name for group in (version, *worn) for entry in group.maps}
    # One picture may hold three maps.
    names |= {"occlusion", "roughness", "metallic"} if "orm" in names else set()
    options = BakeOptions(
        uv_map=version.uv_map,
        size=size,
        samples=_SAMPLES,
        occlusion_rays=_OCCLUSION_RAYS if "occlusion" in names else 0,
        only=tuple(name for name in MAPS if name in names),
    )
    with _as_it_was(obj, version) as copy:
        return bake_materials(context, copy, options, progress)


@contextmanager
def _as_it_was(obj: bpy.types.Object, version: bpy.types.PropertyGroup) -> Iterator[bpy.types.Object]:
    """A copy of the object, of no scene, that shows the version in the UVs of then, beside those of now."""
    if version.uv_map not in obj.data.uv_layers:
        raise SceneError(
            f"{obj.name} has no UV map {version.uv_map} any more; name one so, or generate the texture again.",
            "pgc.version_regenerate",
        )
    uvs = unpack_uvs(version.uvs)
    if uvs is None:
        raise SceneError(
            f"{version.name} does not say which UVs it was made for; generate it again.", "pgc.version_regenerate"
        )
    if len(uvs) != len(obj.data.loops):
        raise SceneError(
            f"{obj.name} has other faces than when {version.name} was made ({len(uvs)} corners then, "
            f"{len(obj.data.loops)} now), so its texture cannot be moved; generate it again.",
            "pgc.version_regenerate",
        )
    with ExitStack() as made:
        mesh = obj.data.copy()
        made.callback(_remove_mesh, mesh)
        _add_uv_map(mesh, version.uv_map, uvs)
        material = version.material.copy()
        made.callback(bpy.data.materials.remove, material)
        for node in material.node_tree.nodes:
            if node.bl_idname in ("ShaderNodeUVMap", "ShaderNodeNormalMap") and node.uv_map == version.uv_map:
                node.uv_map = _THEN
        copy = obj.copy()
        made.callback(bpy.data.objects.remove, copy)
        copy.data = mesh
        mesh.materials.clear()
        mesh.materials.append(material)
        for slot in copy.material_slots:
            slot.link = "DATA"
        yield copy


def _remove_mesh(mesh: bpy.types.Mesh) -> None:
    """With its shape keys, which would stay behind."""
    keys = [mesh.shape_keys] if mesh.shape_keys is not None else []
    bpy.data.batch_remove([mesh, *keys])


def _add_uv_map(mesh: bpy.types.Mesh, now: str, uvs: np.ndarray) -> None:
    while len(mesh.uv_layers) >= _MOST_UV_MAPS:
        mesh.uv_layers.remove(next(layer for layer in mesh.uv_layers if layer.name != now))
    layer = mesh.uv_layers.new(name=_THEN, do_init=False)
    layer.uv.foreach_set("vector", np.ascontiguousarray(uvs, np.float32).ravel())
