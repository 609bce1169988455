# SPDX-License-Identifier: Apache-2.0
"""Versions of an object in Blender: the same pixels after whatever an artist does with them."""

import atexit
import inspect
import json
import os
import struct
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from probe_awkward import AWKWARD
from probe_session import enable
from probe_version_cases import _add, _error, _pixels, _start, ends_cleanly, expected, hashes, scene_digest
from probe_version_edits import (
    append,
    artist_changes,
    compare_and_click,
    duplicate,
    edited_mesh,
    save_reload,
    shared_mesh,
    targets,
    undo_redo,
)
from probes import _cube, _png, add_version

EDITS = (
    undo_redo,
    save_reload,
    append,
    duplicate,
    shared_mesh,
    targets,
    artist_changes,
    edited_mesh,
    compare_and_click,
)


@ends_cleanly
def storage(folder: str) -> Any:
    """Purge, Move to Disk and back: sizes, bytes and pixels, undo, and files that are never overwritten."""
    from blender_addon.scene.versions.storage import version_bytes

    obj = _start()
    for index in (1, 2, 3):
        _add(obj, index)
    path = Path(folder) / "sizes.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    sizes = [version_bytes(version) for version in obj.pgc.versions]
    packed = sum(file.packed_file.size for image in bpy.data.images for file in image.packed_files)
    found: dict[str, Any] = {"sum": sum(sizes) == packed}
    files = Path(folder) / "textures" / obj.name
    first = f"{obj.name}_prompt_2_base_color.png"
    bytes_before = {
        entry.name: bytes(entry.image.packed_files[0].packed_file.data) for entry in obj.pgc.versions[1].maps
    }
    files.mkdir(parents=True)
    (files / first).write_bytes(b"mine")
    bpy.ops.pgc.version_move_to_disk(index=1)
    written = sorted(item.name for item in files.iterdir())
    found["files"] = written
    found["stranger"] = (files / first).read_bytes() == b"mine"
    found["bytes"] = sorted(bytes_before.values()) == sorted(
        item.read_bytes() for item in files.iterdir() if item.name != first
    )
    found["moved"] = [hashes(obj) == expected(1, 2, 3), version_bytes(obj.pgc.versions[1]) < sizes[1]]
    found["relative"] = all(entry.image.filepath.startswith("//") for entry in obj.pgc.versions[1].maps)
    bpy.ops.wm.save_mainfile()
    bpy.ops.wm.open_mainfile(filepath=str(path))
    obj = bpy.data.objects[0]
    bpy.context.view_layer.objects.active = obj
    found["reloaded"] = hashes(obj) == expected(1, 2, 3)
    hidden = files / "base_color.hidden"
    base = Path(bpy.path.abspath(obj.pgc.versions[1].maps["base_color"].image.filepath))
    base.rename(hidden)
    found["missing"] = _error(lambda: bpy.ops.pgc.version_move_to_blend(index=1))
    hidden.rename(base)
    bpy.ops.pgc.version_move_to_blend(index=1)
    found["back"] = [hashes(obj) == expected(1, 2, 3), version_bytes(obj.pgc.versions[1]) == sizes[1]]
    bpy.ops.ed.undo_push(message="before purge")
    bpy.ops.pgc.versions_purge()
    bpy.ops.ed.undo_push(message="purged")
    found["purged"] = [hashes(obj) == expected(3), len(bpy.data.images), len(bpy.data.materials)]
    bpy.ops.ed.undo()
    obj = bpy.data.objects[0]
    found["unpurged"] = hashes(obj) == expected(1, 2, 3)
    return found


@ends_cleanly
def unwritable(folder: str) -> Any:
    """A folder that cannot be: said, and nothing lost."""
    obj = _start()
    _add(obj, 1)
    found = {"unsaved": _error(lambda: bpy.ops.pgc.version_move_to_disk(index=0))}
    file = Path(folder) / "file"
    file.write_bytes(b"")
    found["refused"] = _error(lambda: bpy.ops.pgc.version_move_to_disk(index=0, directory=str(file / "below")))
    found["same"] = hashes(obj) == expected(1) and all(entry.image.packed_files for entry in obj.pgc.versions[0].maps)
    return found


@ends_cleanly
def udim(folder: str) -> Any:
    """Tiles of one map are one image; saved, on the disk and back."""
    from blender_addon.scene.meshes.export import ExportOptions
    from blender_addon.scene.versions.builder import VersionBuilder, VersionFacts
    from blender_addon.scene.versions.storage import move_to_blend, move_to_disk

    obj = _start()
    name = obj.name
    builder = VersionBuilder(obj, VersionFacts(prompt="tiles"), ExportOptions())
    given = {1001: _png(_pixels(1)), 1002: _png(_pixels(2)), 1011: _png(_pixels(3))}
    for tile, png in given.items():
        builder.add_map("base_color", png, "srgb", tile)
    builder.finish(obj)

    def packed() -> Any:
        image = bpy.data.objects[name].pgc.versions[0].maps["base_color"].image
        return {file.tile_number: bytes(file.packed_file.data) for file in image.packed_files} == given, [
            tile.number for tile in image.tiles
        ]

    found: dict[str, Any] = {"made": packed(), "images": len(bpy.data.images)}
    path = str(Path(folder) / "tiles.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    found["saved"] = packed()
    version = bpy.data.objects[name].pgc.versions[0]
    files = move_to_disk(version, Path(folder) / "tiles")
    found["files"] = [item.read_bytes() for item in files] == list(given.values())
    found["path"] = version.maps["base_color"].image.filepath.endswith(".<UDIM>.png")
    move_to_blend(version)
    found["back"] = packed()
    return found


@ends_cleanly
def gltf(folder: str) -> Any:
    """What glTF gets: one texture of occlusion, roughness and metallic, for given maps."""
    # Pip's bpy 4.2 dies at its exit after its own glTF exporter has run, with or without this add-on.
    atexit.register(os._exit, 0)
    found = {}
    cases = {"orm": ("base_color", "orm", "normal"), "apart": ("base_color", "roughness", "metallic", "normal")}
    for case, maps in cases.items():
        obj = _start()
        _add(obj, 1, maps=maps)
        bpy.ops.preferences.addon_enable(module="io_scene_gltf2")
        path = Path(folder) / f"{case}.glb"
        bpy.ops.export_scene.gltf(filepath=str(path), export_format="GLB", export_image_format="AUTO")
        data = path.read_bytes()
        length = struct.unpack("<I", data[12:16])[0]
        document = json.loads(data[20 : 20 + length])
        material = document["materials"][0]
        shading = material["pbrMetallicRoughness"]
        blob = data[28 + length :]

        def image(texture: dict[str, int], document: Any = document, blob: bytes = blob) -> bytes:
            view = document["bufferViews"][
                document["images"][document["textures"][texture["index"]]["source"]]["bufferView"]
            ]
            return blob[view.get("byteOffset", 0) : view.get("byteOffset", 0) + view["byteLength"]]

        found[case] = {
            "images": len(document["images"]),
            "textures": len(document["textures"]),
            "occlusion": material.get("occlusionTexture", {}).get("index"),
            "roughness": shading["metallicRoughnessTexture"]["index"],
            "factors": [shading.get("metallicFactor", 1), shading.get("roughnessFactor", 1)],
            "base bytes": image(shading["baseColorTexture"]) == _png(_pixels(8)),
            "orm bytes": image(shading["metallicRoughnessTexture"]) == _png(_pixels(9)),
            "normal": "normalTexture" in material,
        }
    return found


@ends_cleanly
def promises() -> Any:
    """Over the awkward scenes: three versions, clicks, compare, remove, purge; then the original. What has changed?"""
    results: dict[str, Any] = {}
    for name, make in AWKWARD.items():
        enable()
        # First: Blender 5.2 crashes where a cube is added while another object is in Sculpt Mode.
        bystander = _cube("Bystander")
        bystander.data.materials.append(bpy.data.materials.new("Bystander"))
        obj, options = make()
        if not obj.hide_get():
            bpy.context.view_layer.objects.active = obj
        bpy.context.view_layer.update()
        before, materials = scene_digest(), {item.name for item in bpy.data.materials}
        where = {"target": options.target, "slot": options.slot, "uv_map": options.uv_map}
        try:
            for index in (1, 2, 3):
                _add(obj, index, **where)
            with bpy.context.temp_override(object=obj):
                bpy.ops.pgc.version_apply(index=0)
                bpy.ops.pgc.version_compare()
                bpy.ops.pgc.version_remove(index=1)
                bpy.ops.pgc.versions_purge()
                bpy.ops.pgc.restore()
        except Exception as error:  # noqa: BLE001 - the answer names it
            results[name] = {"error": str(error), "same": before == scene_digest()}
            continue
        results[name] = {
            "same": before == scene_digest(),
            "materials": {item.name for item in bpy.data.materials} - materials <= {obj.pgc.versions[0].material.name},
            "versions": len(obj.pgc.versions),
        }
    return results


@ends_cleanly
def reuse() -> Any:
    """Reuse Prompt and Regenerate: what is sent, and that selection and slot are as before."""
    from probe_session import Rig

    enable()
    rig = Rig()
    obj = rig.obj
    settings = bpy.context.scene.pgc
    _add(obj, 1)
    obj.pgc.versions[0].settings = json.dumps(
        {
            "preset": "draft",
            "steps": 7,
            "texture_size": "1024",
            "target": "object",
            "cameras": "gone",
            "maps": ["base_color"],
            "separate_slots": True,
        }
    )
    bpy.ops.pgc.version_reuse_prompt(index=0)
    found: dict[str, Any] = {"prompt": [settings.prompt, settings.negative, settings.steps]}
    settings.prompt = "other"
    settings.seed = 5
    bpy.ops.pgc.version_regenerate(index=0)
    _, spec, _ = rig.fake.submitted[-1]
    sent = spec.settings
    found["sent"] = [spec.prompt.text, sent.seed, sent.preset, sent.steps, sent.texture_size, sent.separate_slots]
    settings.variations = 3
    bpy.ops.pgc.version_regenerate(index=0)
    found["again"] = len(rig.fake.submitted)
    bpy.ops.pgc.version_regenerate(index=0, new_seed=True, variations=4)
    found["four"] = [spec.settings.seed for _, spec, _ in rig.fake.submitted[-4:]]
    shown = bpy.context.object.pgc
    bpy.ops.pgc.version_regenerate(index=0, strength=0.25)
    _, spec, _ = rig.fake.submitted[-1]
    found["refined"] = [spec.settings.seed, round(spec.settings.strength, 3), len(spec.initial_texture)]
    found["shown"] = shown.active_version
    settings.seed, seeds = 5, []
    for same in (True, False):
        bpy.ops.pgc.next_seed(same=same)
        seeds.append(settings.seed)
    found["next"] = seeds
    bpy.ops.pgc.version_regenerate(index=0)
    found["anew"] = rig.fake.submitted[-1][1].settings.strength
    cube = _cube()
    for polygon in cube.data.polygons:
        polygon.select = polygon.index in (2, 3)
    _add(cube, 2, target="selected_faces")
    for polygon in cube.data.polygons:
        polygon.select = polygon.index == 5
    settings.seed = 77
    bpy.ops.pgc.version_regenerate(index=0, new_seed=True)
    _, spec, arrays = rig.fake.submitted[-1]
    mask = arrays[spec.meshes[0].textured.sha256]
    polygons = arrays[spec.meshes[0].polygon_index.sha256]
    found["faces"] = sorted({int(index) for index in polygons[mask.astype(bool)]})
    found["selected"] = [polygon.index for polygon in cube.data.polygons if polygon.select]
    found["new seed"] = spec.settings.seed
    settings.target, settings.texture_size, settings.seed, settings.prompt = "object", "256", 0, "else"
    bpy.ops.pgc.same_style(source=obj.name)
    picture = obj.pgc.versions[0].maps["base_color"].image
    found["style"] = [settings.prompt, settings.steps, settings.seed, settings.texture_size, settings.target]
    found["style"] += [settings.reference == picture, settings.reference_scale > 0.0]
    try:
        bpy.ops.pgc.same_style(source="Nobody")
    except RuntimeError as error:
        found["no style"] = str(error)
    bpy.context.view_layer.objects.active = obj
    before = settings.prompt, settings.steps, settings.seed
    found["damaged"] = []
    for damaged in ("no json", "[1]", '{"steps": "many"}', '{"model": 5}', '{"maps": ["nothing"]}'):
        obj.pgc.versions[0].settings = damaged
        told = [_error(lambda: bpy.ops.pgc.same_style(source=obj.name))]
        told.append(_error(lambda: bpy.ops.pgc.version_regenerate(index=0)))
        found["damaged"].append([told[0][0], told[1][0], (settings.prompt, settings.steps, settings.seed) == before])
    return found


def _links(material: bpy.types.Material) -> list[list[str]]:
    """What is linked to what, without names."""
    ends = [(link.from_node, link.from_socket, link.to_node, link.to_socket) for link in material.node_tree.links]
    return sorted([a.bl_idname, b.identifier, c.bl_idname, d.identifier] for a, b, c, d in ends)


@ends_cleanly
def wear() -> Any:
    """A layer over a version: its nodes, its strength, and that nothing of it stays."""
    obj = _start()
    _add(obj, 1)
    _add(obj, 2, maps=("base_color",))
    version, before = obj.pgc.versions[0], hashes(obj)
    links, count = _links(version.material), len(bpy.data.images)
    obj.pgc.keep_mask = bpy.data.images.new("mine", 8, 8, is_data=True)
    bpy.ops.pgc.wear_add(index=0, source=1, place="MASK")
    bpy.ops.pgc.wear_add(index=0, source=1, place="UP")
    found: dict[str, Any] = {"first": [[layer.name, layer.strength, len(layer.maps)] for layer in version.wear]}
    nodes = version.material.node_tree.nodes
    strengths = [node for node in nodes if node.bl_idname == "ShaderNodeMath"]
    mixes = [node for node in nodes if node.bl_idname == "ShaderNodeMix"]
    found["mixed"] = [len(strengths), len(mixes), version.wear[0].mask != obj.pgc.keep_mask]
    version.wear[0].strength, version.wear[1].hidden = 0.25, True
    found["strengths"] = sorted(node.inputs[1].default_value for node in strengths)
    bpy.data.materials.remove(version.material)
    bpy.ops.pgc.restore()
    obj.pgc.active_version = 0
    found["rebuilt"] = sum(node.bl_idname == "ShaderNodeMix" for node in version.material.node_tree.nodes)
    for layer in (1, 0):
        bpy.ops.pgc.wear_remove(index=0, layer=layer)
    found["same"] = [_links(version.material) == links, hashes(obj) == before]
    found["images"] = len(bpy.data.images) - count
    refused = []
    for given in ({"source": 0}, {"source": 1, "place": "CREVICES"}, {"source": 9}):
        try:
            bpy.ops.pgc.wear_add(index=0, **given)
        except RuntimeError as error:
            refused.append(str(error))
    found["refused"] = refused
    return found


@ends_cleanly
def color_config() -> Any:
    """Under an OCIO configuration whose names are none of Blender's."""
    obj = _start()
    _add(obj, 1)
    version = obj.pgc.versions[0]
    return {
        entry.name: [entry.image.colorspace_settings.name, entry.image.colorspace_settings.is_data]
        for entry in version.maps
    }


@ends_cleanly
def damaged() -> Any:
    """Bytes that are no picture: refused, nothing left behind."""
    from blender_addon.scene.pictures.images import new_packed_image

    obj = _start()
    images = len(bpy.data.images)
    good = _png(_pixels(1))
    found = [
        _error(lambda bad=bad: new_packed_image("map", bad, "srgb")) for bad in (b"", b"GIF89a", good[:-4], good[:20])
    ]
    later = _start()
    later.pgc.schema = 99
    return {
        "refused": found,
        "left": len(bpy.data.images) - images,
        "newer": _error(lambda: _add(later, 1)),
        "obj": obj is not None,
    }


@ends_cleanly
def thumbnails() -> Any:
    """Small pictures: of the preview that was given, of a small map, and of no big map."""
    from blender_addon.scene.meshes.export import ExportOptions
    from blender_addon.scene.pictures.thumbnails import reduced
    from blender_addon.scene.versions.builder import VersionFacts

    obj = _start()
    generator = np.random.default_rng(0)
    worst = 0.0
    for shape in ((300, 200, 3), (128, 128, 4), (1, 500, 3), (129, 64, 1)):
        pixels = generator.integers(0, 256, shape).astype(np.uint8)
        small = reduced(pixels)
        step = -(-max(shape[:2]) // 128)
        for row, column in np.ndindex(small.shape[:2]):
            block = pixels[row * step : (row + 1) * step, column * step : (column + 1) * step, :3]
            worst = max(worst, float(np.abs(small[row, column] - block.mean(axis=(0, 1))).max()))

    def thumbnail(side: int, preview: np.ndarray | None) -> Any:
        facts = VersionFacts(prompt="p", thumbnail=preview)
        given = {"base_color": (_png(_pixels(1, side)), "srgb")}
        index = add_version(obj, given, facts, ExportOptions())
        image = obj.pgc.versions[index].thumbnail
        if image is None:
            return None
        values = np.empty(image.size[0] * image.size[1] * image.channels, np.float32)
        image.pixels.foreach_get(values)
        seen = values.reshape(image.size[1], image.size[0], -1)[::-1, :, :3] * 255
        wanted = reduced(_pixels(1, side) if preview is None else preview)
        return [list(image.size), float(np.abs(seen - wanted).max())]

    return {
        "worst": worst,
        "preview": _in_edit_mode(lambda: thumbnail(64, _pixels(2, 256))),
        "small map": thumbnail(256, None),
        "big map": thumbnail(1024, None),
    }


def _in_edit_mode(action: Callable[[], Any]) -> Any:
    """There the mesh's own data are not to be read, so that the object is not drawn."""
    bpy.ops.object.mode_set(mode="EDIT")
    found = action()
    bpy.ops.object.mode_set(mode="OBJECT")
    return found


def several(names: list[str], folder: str) -> Any:
    """Several probes in one Blender, which takes long to start: the answer of each, or where it failed."""
    found: dict[str, Any] = {}
    edits = {probe.__name__: probe for probe in EDITS}
    for name in names:
        probe = edits.get(name) or globals()[name]
        own = Path(folder) / name
        own.mkdir()
        given = {"folder": str(own)} if "folder" in inspect.signature(probe).parameters else {}
        try:
            found[name] = probe(**given)
        except Exception:  # noqa: BLE001 - the test of this probe shows it
            found[name] = {"failed": traceback.format_exc()}
    return found
