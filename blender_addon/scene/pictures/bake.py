# SPDX-License-Identifier: GPL-3.0-or-later
"""All materials of an object baked into one set of maps, by Cycles, in a scene of its own.

The artist's scene is not touched at all: a copy of the object with copies of its materials goes into a new scene, which
is thrown away with all that was made for it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import bpy
import numpy as np

from ...model.maps import MAPS
from ...uv_measure import measure_uvs
from ..errors import SceneError
from ..meshes.uv_reading import read_uv_arrays
from .bake_materials import BakeMaterial
from .images import COLOR_SPACES

__all__ = ["BakeOptions", "BakedSet", "bake_materials"]

_TILES_IN_ROW = 10
_LAST_TILE = 2000


@dataclass(frozen=True, kw_only=True)
class BakeOptions:
    """What is baked.

    Args:
        uv_map: where to; "": the active one.
        size: side of the images, pixels.
        margin: how far colours go on beyond the UV islands, pixels.
        samples: rays a pixel. One reads at the middle of each pixel, so that maps of the same UVs and size come out
            as they are; more are for maps that are finer than the set.
        occlusion_rays: a pixel, of how much the object shades itself, 1 to 128; 0 bakes no occlusion.
        only: maps of these; empty: all.
    """

    uv_map: str = ""
    size: int = 2048
    margin: int = 16
    samples: int = 1
    occlusion_rays: int = 0
    only: tuple[str, ...] = ()

    @property
    def maps(self) -> tuple[str, ...]:
        """What is baked, in order."""
        names = tuple(name for name in MAPS if name != "occlusion" or self.occlusion_rays)
        return tuple(name for name in names if not self.only or name in self.only)


@dataclass(frozen=True, eq=False, kw_only=True)
class BakedSet:
    """What was baked.

    Args:
        maps: PNG bytes by map and UDIM tile; normals are tangent space, +Y up.
        uv_map: that the maps are for.
        approximated: names of materials with shaders whose channels are not known.
    """

    maps: dict[str, dict[int, bytes]]
    uv_map: str
    approximated: tuple[str, ...]


def bake_materials(
    context: bpy.types.Context,
    obj: bpy.types.Object,
    options: BakeOptions,
    progress: Callable[[float], None] | None = None,
) -> BakedSet:
    """Bakes what an object's materials say, as it is with its modifiers. Blender does nothing else meanwhile.

    Args:
        progress: is told the share of the maps that are done, before each of them.

    Raises:
        SceneError: the object cannot be baked, or Cycles is not there.
    """
    uv_map = _check(obj, options)
    with _temporary(obj, uv_map, options) as (scene, copy, materials):
        maps = {}
        for index, name in enumerate(options.maps):
            if progress is not None:
                progress(index / len(options.maps))
            image = _image(name, copy, uv_map, options)
            try:
                for material in materials:
                    material.show(name, image)
                _bake(context, scene, copy, name, uv_map, options)
                # At once: Blender 4.2 forgets the tiles of an image while it bakes the next one.
                maps[name] = _encoded(image)
            finally:
                bpy.data.images.remove(image)
        names = tuple(dict.fromkeys(item.name for item in materials if item.approximated and item.name))
    return BakedSet(maps=maps, uv_map=uv_map, approximated=names)


def _check(obj: bpy.types.Object, options: BakeOptions) -> str:
    if obj.type != "MESH" or not obj.data.polygons:
        raise SceneError(f"{obj.name} has no faces; select a mesh object.")
    if obj.mode != "OBJECT":
        raise SceneError(f"{obj.name} is in {obj.mode.title()} Mode; go to Object Mode first.")
    if not obj.data.uv_layers:
        raise SceneError(f"{obj.name} has no UV map; unwrap it first (this adds a new UV map).", fix="pgc.unwrap")
    if not hasattr(bpy.types.Scene, "cycles"):
        raise SceneError("Baking needs Cycles, which is switched off; enable it in Preferences > Add-ons.")
    uv_map = options.uv_map or obj.data.uv_layers.active.name
    if uv_map not in obj.data.uv_layers:
        raise SceneError(f"{obj.name} has no UV map {uv_map!r}; choose another.")
    return uv_map


@contextmanager
def _temporary(
    obj: bpy.types.Object, uv_map: str, options: BakeOptions
) -> Iterator[tuple[bpy.types.Scene, bpy.types.Object, Sequence[BakeMaterial]]]:
    """A scene with a copy of the object and of its materials, for as long as it is needed."""
    with ExitStack() as made:
        scene = bpy.data.scenes.new("PGC Bake")
        made.callback(bpy.data.scenes.remove, scene)
        scene.render.engine = "CYCLES"
        scene.cycles.device = "CPU"
        scene.cycles.samples = options.samples
        scene.cycles.use_adaptive_sampling = False
        scene.cycles.use_denoising = False
        mesh = obj.data.copy()
        made.callback(_remove_mesh, mesh)
        mesh.uv_layers.active = mesh.uv_layers[uv_map]
        copy = obj.copy()
        made.callback(bpy.data.objects.remove, copy)
        copy.data = mesh
        copy.hide_render = False
        scene.collection.objects.link(copy)
        if not copy.material_slots:
            mesh.materials.append(None)
        materials = []
        for slot in copy.material_slots:
            materials.append(BakeMaterial(slot.material, options.occlusion_rays))
            made.callback(materials[-1].remove)
            slot.link = "OBJECT"
            slot.material = materials[-1].material
        yield scene, copy, materials


def _remove_mesh(mesh: bpy.types.Mesh) -> None:
    """With its shape keys, which would stay behind."""
    keys = [mesh.shape_keys] if mesh.shape_keys is not None else []
    bpy.data.batch_remove([mesh, *keys])


def _image(name: str, obj: bpy.types.Object, uv_map: str, options: BakeOptions) -> bpy.types.Image:
    tiles = _tiles(obj.data, uv_map)
    is_data = not MAPS[name].is_color
    image = bpy.data.images.new(
        f"PGC Bake {name}", options.size, options.size, alpha=False, is_data=is_data, tiled=tiles != [1001]
    )
    known = {item.identifier for item in image.colorspace_settings.bl_rna.properties["name"].enum_items}
    wanted = next((space for space in COLOR_SPACES[MAPS[name].color_space] if space in known), None)
    if wanted is not None:
        image.colorspace_settings.name = wanted
    if tiles != [1001]:
        image.tiles[0].number = tiles[0]
        for number in tiles[1:]:
            image.tiles.new(number)
        for tile in image.tiles:
            image.tiles.active = tile
            _fill(image, options.size)
    return image


def _fill(image: bpy.types.Image, size: int) -> None:
    window = bpy.context.window_manager.windows[:1]
    with bpy.context.temp_override(edit_image=image, **({"window": window[0]} if window else {})):
        bpy.ops.image.tile_fill(color=(0.0, 0.0, 0.0, 1.0), width=size, height=size, alpha=False)


def _tiles(mesh: bpy.types.Mesh, uv_map: str) -> list[int]:
    """The UDIM tiles that faces lie in; UVs out of their range count for 1001, where textures repeat."""
    uvs = np.empty(len(mesh.loops) * 2, np.float32)
    mesh.uv_layers[uv_map].uv.foreach_get("vector", uvs)
    starts = np.empty(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("loop_start", starts)
    sums = np.add.reduceat(uvs.reshape(-1, 2).astype(np.float64), starts)
    totals = np.diff(np.append(starts, len(mesh.loops)))
    columns, rows = np.floor(sums / totals[:, None]).astype(np.int64).T
    fits = (columns >= 0) & (columns < _TILES_IN_ROW) & (rows >= 0)
    tiles = np.where(fits, 1001 + columns + _TILES_IN_ROW * rows, 1001)
    found = sorted({int(tile) for tile in tiles if tile <= _LAST_TILE}) or [1001]
    return found if len(found) == 1 or not _is_parked(mesh, uv_map) else [1001]


def _is_parked(mesh: bpy.types.Mesh, uv_map: str) -> bool:
    """Whether what lies in other squares takes its texels from the first: Blender's bake passes over it."""
    arrays = read_uv_arrays(mesh, uv_map)
    measure, _ = measure_uvs(
        arrays.positions, arrays.faces, arrays.corner_uvs, arrays.without, material=arrays.materials, grid=256
    )
    return measure.parked


def _bake(
    context: bpy.types.Context,
    scene: bpy.types.Scene,
    obj: bpy.types.Object,
    name: str,
    uv_map: str,
    options: BakeOptions,
) -> None:
    layer = scene.view_layers[0]
    layer.objects.active = obj
    obj.select_set(True, view_layer=layer)
    with context.temp_override(
        scene=scene,
        view_layer=layer,
        object=obj,
        active_object=obj,
        selected_objects=[obj],
        selected_editable_objects=[obj],
    ):
        try:
            bpy.ops.object.bake(
                type="NORMAL" if name == "normal" else "EMIT",
                margin=options.margin,
                use_clear=True,
                use_selected_to_active=False,
                target="IMAGE_TEXTURES",
                save_mode="INTERNAL",
                normal_space="TANGENT",
                normal_r="POS_X",
                normal_g="POS_Y",
                normal_b="POS_Z",
                uv_layer=uv_map,
            )
        except RuntimeError as error:
            raise SceneError(
                f"Cycles could not bake {obj.name}: {str(error).removeprefix('Error: ').strip()}"
            ) from error


def _encoded(image: bpy.types.Image) -> dict[int, bytes]:
    image.file_format = "PNG"
    if image.source != "TILED":
        image.pack()
        return {1001: bytes(image.packed_file.data)}
    # Blender 4.2 does not pack tiles that were never files.
    with tempfile.TemporaryDirectory(prefix="pgc_bake_") as folder:
        image.filepath_raw = str(Path(folder) / "tile.<UDIM>.png")
        image.save()
        return {tile.number: (Path(folder) / f"tile.{tile.number}.png").read_bytes() for tile in image.tiles}
