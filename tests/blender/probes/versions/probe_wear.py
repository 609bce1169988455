# SPDX-License-Identifier: Apache-2.0
"""Layers of wear that meet what artists do with objects, materials and files."""

from pathlib import Path
from typing import Any

import bpy
import numpy as np
from probe_session import enable
from probe_version_cases import _add, _error, _start, ends_cleanly
from probes import _cube


def _worn(place: str = "HEIGHT") -> bpy.types.Object:
    """A cube with two versions, the second laid over the first where it is high."""
    obj = _start(lambda: (_cube(), None))
    _add(obj, 1)
    _add(obj, 2)
    obj.pgc.active_version = 0
    if place:
        bpy.ops.pgc.wear_add(index=0, source=1, place=place)
    return obj


def _mixes(version: bpy.types.PropertyGroup) -> list[int]:
    """How many layers a version has in its list, and in its material."""
    nodes = version.material.node_tree.nodes if version.material is not None else ()
    return [len(version.wear), len({node["pgc_wear"] for node in nodes if "pgc_wear" in node})]


def _mean(image: bpy.types.Image) -> float:
    values = np.empty(image.size[0] * image.size[1] * image.channels, np.float32)
    image.pixels.foreach_get(values)
    return round(float(values.reshape(-1, image.channels)[:, 0].mean()), 3)


@ends_cleanly
def strokes() -> Any:
    """A mask whose strokes no save has stored; one whose file is gone; none at all."""
    from blender_addon.scene.versions.storage import version_bytes

    obj = _worn("")
    mask = bpy.data.images.new("mine", 8, 8, is_data=True)
    values = np.ones((8, 8, 4), np.float32)
    values[4:, :, :3] = 0.0
    mask.pixels.foreach_set(values.ravel())
    obj.pgc.keep_mask = mask
    before = version_bytes(obj.pgc.versions[0])
    bpy.ops.pgc.wear_add(index=0, source=1, place="MASK")
    laid = obj.pgc.versions[0].wear[0].mask
    found: dict[str, Any] = {"mean": _mean(laid)}
    found["bytes"] = [version_bytes(obj.pgc.versions[0]) - before, laid.packed_files[0].packed_file.size]
    gone = bpy.data.images.new("gone", 8, 8)
    gone.source, gone.filepath = "FILE", "//none.png"
    obj.pgc.keep_mask = gone
    found["gone"] = _error(lambda: bpy.ops.pgc.wear_add(index=0, source=1, place="MASK"))
    found["layers"] = _mixes(obj.pgc.versions[0])
    return found


@ends_cleanly
def copies() -> Any:
    """Two objects that share a version: its layers are the same on both."""
    obj = _worn()
    copy = obj.copy()
    bpy.context.collection.objects.link(copy)
    one, other = obj.pgc.versions[0], copy.pgc.versions[0]
    found: dict[str, Any] = {"shared": one.material == other.material}
    other.wear[0].strength, other.wear[0].hidden = 0.25, True
    found["followed"] = [one.wear[0].strength, one.wear[0].hidden]
    bpy.context.view_layer.objects.active = copy
    bpy.ops.pgc.wear_add(index=0, source=1, place="UP")
    found["added"] = [_mixes(version) for version in (obj.pgc.versions[0], copy.pgc.versions[0])]
    bpy.ops.pgc.wear_remove(index=0, layer=0)
    found["removed"] = [_mixes(version) for version in (obj.pgc.versions[0], copy.pgc.versions[0])]
    found["left"] = obj.pgc.versions[0].wear[0].name
    return found


@ends_cleanly
def nothing_stays() -> Any:
    """The source is removed, then the layer: no picture of either is left."""
    before = len(bpy.data.images)
    obj = _worn()
    bpy.ops.pgc.version_remove(index=1)
    found: dict[str, Any] = {"layers": _mixes(obj.pgc.versions[0])}
    bpy.ops.pgc.wear_remove(index=0, layer=0)
    found["orphans"] = [image.name for image in bpy.data.images if not image.users]
    bpy.ops.pgc.version_remove(index=0)
    return found | {"images": len(bpy.data.images) - before}


@ends_cleanly
def no_shader() -> Any:
    """The artist took the shader out of a version's material."""
    obj = _worn()
    version = obj.pgc.versions[0]
    nodes = version.material.node_tree.nodes
    nodes.remove(next(node for node in nodes if node.bl_idname == "ShaderNodeBsdfPrincipled"))
    found: dict[str, Any] = {"add": _error(lambda: bpy.ops.pgc.wear_add(index=0, source=1, place="UP"))}
    found["layers"] = len(version.wear)
    version.wear[0].strength = 0.5
    found["remove"] = _error(lambda: bpy.ops.pgc.wear_remove(index=0, layer=0))
    found["after"] = len(version.wear)
    return found


@ends_cleanly
def nowhere() -> Any:
    """A level plane has no height; a version of several tiles has no one place for a mask."""
    obj = _start()
    _add(obj, 1)
    _add(obj, 2)
    found: dict[str, Any] = {"flat": _error(lambda: bpy.ops.pgc.wear_add(index=0, source=1, place="HEIGHT"))}
    picture = obj.pgc.versions[0].maps["base_color"].image
    picture.source = "TILED"
    picture.tiles.new(1002)
    found["tiles"] = _error(lambda: bpy.ops.pgc.wear_add(index=0, source=1, place="UP"))
    obj = _worn()
    version = obj.pgc.versions[0]
    bpy.data.images.remove(version.wear[0].mask)
    version.wear[0].strength = 0.5
    factor = next(node for node in version.material.node_tree.nodes if "pgc_wear_strength" in node).inputs[0]
    found["no mask"] = [factor.is_linked, factor.default_value]
    obj.data.uv_layers[0].name = "Other"
    found["renamed"] = _error(lambda: bpy.ops.pgc.wear_add(index=0, source=1, place="UP"))
    obj.data.uv_layers.remove(obj.data.uv_layers[0])
    found["no UVs"] = _error(lambda: bpy.ops.pgc.wear_add(index=0, source=1, place="UP"))
    return found | {"layers": [len(version.wear)]}


@ends_cleanly
def started_from() -> Any:
    """What a run starts from is the pictures, without the layers over them, which it says."""
    from blender_addon.scene.painting.keep_mask import start_texture

    obj = _worn()
    layer = obj.data.uv_layers[0]
    uvs = np.empty(len(obj.data.loops) * 2, np.float32)
    layer.uv.foreach_get("vector", uvs)
    notes = [start_texture(obj, layer.name, uvs.reshape(-1, 2)).notes]
    obj.pgc.versions[0].wear[0].hidden = True
    return {"notes": [*notes, start_texture(obj, layer.name, uvs.reshape(-1, 2)).notes]}


@ends_cleanly
def undone() -> Any:
    """A layer comes back with its mask."""
    obj = _worn("")
    bpy.ops.ed.undo_push(message="none")
    bpy.ops.pgc.wear_add(index=0, source=1, place="HEIGHT")
    bpy.ops.ed.undo_push(message="one")
    mean = _mean(obj.pgc.versions[0].wear[0].mask)
    bpy.ops.pgc.wear_remove(index=0, layer=0)
    bpy.ops.ed.undo_push(message="removed")
    bpy.ops.ed.undo()
    version = bpy.data.objects[0].pgc.versions[0]
    found: dict[str, Any] = {"undone": _mixes(version), "mask": [mean > 0.0, _mean(version.wear[0].mask) == mean]}
    bpy.ops.ed.undo()
    found["before"] = _mixes(bpy.data.objects[0].pgc.versions[0])
    bpy.ops.ed.redo()
    version = bpy.data.objects[0].pgc.versions[0]
    return found | {"redone": _mixes(version), "again": _mean(version.wear[0].mask) == mean}


@ends_cleanly
def painted() -> Any:
    """Strokes on a version with a layer: both that come of it have the layer."""
    from blender_addon.scene.painting.painted_versions import keep_painted

    obj = _worn()
    obj.pgc.versions[0].wear[0].strength = 0.5
    image = obj.pgc.versions[0].maps["base_color"].image
    image.pixels[0] = 0.5
    image.update()
    new = obj.pgc.versions[keep_painted(obj, 0)]
    return {"layers": [_mixes(obj.pgc.versions[0]), _mixes(new)], "strength": new.wear[0].strength}


@ends_cleanly
def library(folder: str) -> Any:
    """A version that is kept in another file: what changed its material would not be saved."""
    path = str(Path(folder) / "library.blend")
    _worn().name = "Linked"
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    enable()
    with bpy.data.libraries.load(path, link=True) as (_, wanted):
        wanted.objects = ["Linked"]
    bpy.context.collection.objects.link(wanted.objects[0])
    obj = wanted.objects[0].override_create(remap_local_usages=True)
    obj.override_library.is_system_override = False
    bpy.context.view_layer.objects.active = obj
    found: dict[str, Any] = {"add": _error(lambda: bpy.ops.pgc.wear_add(index=0, source=1, place="UP"))}
    found["remove"] = _error(lambda: bpy.ops.pgc.wear_remove(index=0, layer=0))
    found["layers"] = _mixes(obj.pgc.versions[0])
    strengths = [node for node in obj.pgc.versions[0].material.node_tree.nodes if "pgc_wear_strength" in node]
    obj.pgc.versions[0].wear[0].strength = 0.25
    return found | {"strength": strengths[0].inputs[1].default_value}


def several(folder: str) -> Any:
    """All of them in one Blender."""
    probes = (strokes, copies, nothing_stays, no_shader, nowhere, started_from, undone, painted)
    found: dict[str, Any] = {}
    for probe in probes:
        found[probe.__name__] = probe()
        bpy.ops.wm.read_factory_settings(use_empty=True)
    return found | {"library": library(folder=folder)}
