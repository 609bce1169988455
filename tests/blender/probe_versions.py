# SPDX-License-Identifier: Apache-2.0
"""Versions of an object in Blender: the same pixels after whatever an artist does with them."""

import atexit
import functools
import hashlib
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
from probe_session import disable, enable
from probes import AWKWARD, _cube, _plane, _png, _ramp, digest

LINEAR = {"orm": "linear", "normal": "linear", "roughness": "linear", "metallic": "linear", "occlusion": "linear"}


def ends_cleanly(probe: Callable[..., Any]) -> Callable[..., Any]:
    """Blender 4.2 dies at its exit where an add-on's timer is left."""

    @functools.wraps(probe)
    def run(**given: Any) -> Any:
        try:
            return probe(**given)
        finally:
            disable()

    return run


def _pixels(index: int, size: int = 32) -> np.ndarray:
    """uint8 [S, S, 3]: no two indices alike, not symmetric."""
    pixels = _ramp(size)
    pixels[..., 2] = (40 * index + np.arange(size)[:, None]) % 256
    return pixels


def _add(
    obj: bpy.types.Object, index: int, *, maps: tuple[str, ...] = ("base_color", "orm", "normal"), **where: Any
) -> int:
    """A version number `index`, put where `ExportOptions(**where)` says."""
    from blender_addon.scene.mesh_export import ExportOptions
    from blender_addon.scene.versions import VersionFacts, add_version

    images = {name: (_png(_pixels(index * 8 + row)), LINEAR.get(name, "srgb")) for row, name in enumerate(maps)}
    facts = VersionFacts(prompt=f"prompt {index}", negative="blurry", seed=100 + index, job=f"job{index}")
    return add_version(obj, maps=images, facts=facts, options=ExportOptions(**where))


def image_hash(image: bpy.types.Image) -> str:
    """Of the pixels as they are stored."""
    values = np.empty(image.size[0] * image.size[1] * image.channels, np.float32)
    image.pixels.foreach_get(values)
    return hashlib.sha256(
        np.round(values * 255).astype(np.uint8).tobytes() + repr(tuple(image.size)).encode()
    ).hexdigest()


def hashes(obj: bpy.types.Object) -> list[dict[str, str]]:
    """Of every map of every version."""
    return [{entry.name: image_hash(entry.image) for entry in version.maps} for version in obj.pgc.versions]


def expected(*indices: int, maps: tuple[str, ...] = ("base_color", "orm", "normal")) -> list[dict[str, str]]:
    """What `hashes` gives for versions that `_add` made, from the very numbers."""
    found = []
    for index in indices:
        digests = {}
        for row, name in enumerate(maps):
            pixels = _pixels(index * 8 + row)[::-1]
            rgba = np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], -1)
            digests[name] = hashlib.sha256(np.ascontiguousarray(rgba).tobytes() + repr((32, 32)).encode()).hexdigest()
        found.append(digests)
    return found


def shown(obj: bpy.types.Object) -> list[str]:
    """Hash of the base colour of each slot's material, or its name where it has none."""
    found = []
    for slot in obj.material_slots:
        tree = slot.material.node_tree if slot.material is not None else None
        nodes = [node for node in tree.nodes if node.bl_idname == "ShaderNodeTexImage"] if tree is not None else []
        colors = [node.image for node in nodes if node.label == "base_color"]
        found.append(image_hash(colors[0]) if colors else (slot.material.name if slot.material is not None else ""))
    return found


def scene_digest() -> str:
    """Everything that an artist did not ask to change: objects, selection, mode, names, materials, render settings."""
    scene = bpy.context.scene
    parts: list[object] = [digest(obj) for obj in bpy.data.objects if obj.type == "MESH"]
    parts += [sorted(obj.name for obj in bpy.context.selected_objects), str(bpy.context.mode)]
    parts.append(bpy.context.view_layer.objects.active.name if bpy.context.view_layer.objects.active else "")
    for owner in (scene.render, scene.view_settings, scene.render.image_settings):
        parts.append(
            [
                (item.identifier, str(getattr(owner, item.identifier)))
                for item in owner.bl_rna.properties
                if item.type in {"BOOLEAN", "INT", "FLOAT", "ENUM", "STRING"} and not getattr(item, "is_array", False)
            ]
        )
    parts.append((scene.frame_current, scene.camera.name if scene.camera else ""))
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _start(make: Callable[[], Any] = lambda: (_plane(), None)) -> bpy.types.Object:
    enable()
    obj = make()[0]
    bpy.context.view_layer.objects.active = obj
    bpy.context.view_layer.update()
    bpy.ops.ed.undo_push(message="start")
    return obj


@ends_cleanly
def undo_redo() -> Any:
    """Two versions, each an undo step; back to the start and forth again."""
    obj = _start()
    name, before = obj.name, scene_digest()
    _add(obj, 1)
    bpy.ops.ed.undo_push(message="one")
    _add(obj, 2)
    bpy.ops.ed.undo_push(message="two")
    full = [hashes(obj), shown(obj)]
    bpy.ops.ed.undo()
    obj = bpy.data.objects[name]
    one = [hashes(obj), shown(obj)]
    bpy.ops.ed.undo()
    obj = bpy.data.objects[name]
    none, start = len(obj.pgc.versions), scene_digest() == before
    bpy.ops.ed.redo()
    bpy.ops.ed.redo()
    obj = bpy.data.objects[name]
    again = [hashes(obj), shown(obj)]
    return {
        "full": full == [expected(1, 2), [expected(2)[0]["base_color"]]],
        "one": one == [expected(1), [expected(1)[0]["base_color"]]],
        "none": [none, start],
        "again": again == full,
    }


@ends_cleanly
def save_reload(folder: str) -> Any:
    """Versions that are not shown are saved too; without fake users; spaces and the thumbnail are kept."""
    obj = _start()
    name = obj.name
    for index in (1, 2, 3):
        _add(obj, index)
    bpy.ops.pgc.version_apply(index=0)
    path = str(Path(folder) / "versions.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.preferences.addon_enable(module="blender_addon")
    bpy.ops.wm.open_mainfile(filepath=path)
    obj = bpy.data.objects[name]
    version = obj.pgc.versions[1]
    image = version.thumbnail
    return {
        "same": hashes(obj) == expected(1, 2, 3),
        "shown": shown(obj) == [expected(1)[0]["base_color"]],
        "active": obj.pgc.active_version,
        "facts": [version.prompt, version.negative, version.seed, version.job, version.target, version.uv_map],
        "schema": obj.pgc.schema,
        "fake users": [
            data.name for kind in (bpy.data.images, bpy.data.materials) for data in kind if data.use_fake_user
        ],
        "users": sorted({entry.image.users for version in obj.pgc.versions for entry in version.maps}),
        "spaces": {entry.name: entry.image.colorspace_settings.name for entry in version.maps},
        "thumbnail": [list(image.size), bool(image.packed_files), image.colorspace_settings.name],
    }


@ends_cleanly
def append(folder: str) -> Any:
    """An object that another file appends brings its versions along, shown or not."""
    obj = _start()
    name = obj.name
    for index in (1, 2):
        _add(obj, index)
    path = str(Path(folder) / "library.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.preferences.addon_enable(module="blender_addon")
    with bpy.data.libraries.load(path, link=False) as (_, chosen):
        chosen.objects = [name]
    obj = chosen.objects[0]
    bpy.context.scene.collection.objects.link(obj)
    bpy.context.view_layer.objects.active = obj
    found = {"same": hashes(obj) == expected(1, 2), "local": all(image.library is None for image in bpy.data.images)}
    second = str(Path(folder) / "second.blend")
    bpy.ops.pgc.version_apply(index=0)
    bpy.ops.wm.save_as_mainfile(filepath=second)
    bpy.ops.wm.open_mainfile(filepath=second)
    obj = bpy.data.objects[name]
    found["saved"] = hashes(obj) == expected(1, 2) and shown(obj) == [expected(1)[0]["base_color"]]
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.preferences.addon_enable(module="blender_addon")
    with bpy.data.libraries.load(path, link=True) as (_, chosen):
        chosen.objects = [name]
    linked = chosen.objects[0]
    bpy.context.scene.collection.objects.link(linked)
    bpy.context.view_layer.objects.active = linked
    found["linked"] = hashes(linked) == expected(1, 2)
    found["linked poll"] = bpy.ops.pgc.version_apply.poll()
    found["linked refused"] = _error(lambda: _add(linked, 3))
    return found


@ends_cleanly
def duplicate() -> Any:
    """A copy shares the pictures; what is shown and removed on one does nothing to the other."""
    obj = _start()
    for index in (1, 2):
        _add(obj, index)
    obj.select_set(True)
    images = len(bpy.data.images)
    bpy.ops.object.duplicate(linked=False)
    copy = bpy.context.object
    found = {"new": copy != obj, "images": len(bpy.data.images) - images, "same": hashes(copy) == expected(1, 2)}
    bpy.ops.pgc.version_apply(index=0)
    found["apart"] = [shown(copy) == [expected(1)[0]["base_color"]], shown(obj) == [expected(2)[0]["base_color"]]]
    bpy.ops.pgc.version_remove(index=1)
    found["removed"] = [hashes(copy) == expected(1), hashes(obj) == expected(1, 2)]
    bpy.context.view_layer.objects.active = obj
    bpy.ops.pgc.restore()
    found["restored"] = [shown(obj), shown(copy) == [expected(1)[0]["base_color"]]]
    return found


@ends_cleanly
def shared_mesh() -> Any:
    """Objects with one mesh: a version on one of them; a linked copy of a textured one."""
    obj = _start(lambda: AWKWARD["shared mesh"]())
    twin = next(other for other in bpy.data.objects if other.type == "MESH" and other != obj)
    before, before_twin = digest(obj), digest(twin)
    _add(obj, 1)
    _add(obj, 2)
    found = {"twin": before_twin == digest(twin), "shown": shown(obj) == [expected(2)[0]["base_color"]] * 2}
    found["faces"] = _error(lambda: _add(obj, 3, target="selected_faces"))
    found["twin still"] = before_twin == digest(twin)
    bpy.ops.pgc.restore()
    found["same"] = before == digest(obj)
    bpy.ops.pgc.make_single_user()
    found["own mesh"] = [obj.data != twin.data, before_twin == digest(twin)]
    bpy.ops.pgc.version_apply(index=2)
    found["faces then"] = shown(obj)[-1] == expected(3)[0]["base_color"]
    # The other way about: first textured, then shared.
    lone = _start()
    lone.data.materials.append(bpy.data.materials.new("Own"))
    _add(lone, 1)
    copy = bpy.data.objects.new("Copy", lone.data)
    bpy.context.scene.collection.objects.link(copy)
    _add(lone, 2)
    found["copy keeps"] = [shown(copy) == [expected(1)[0]["base_color"]], shown(lone) == [expected(2)[0]["base_color"]]]
    bpy.ops.pgc.restore()
    found["copy then"] = [shown(copy) == [expected(1)[0]["base_color"]], shown(lone)]
    return found


@ends_cleanly
def targets() -> Any:
    """Faces and slots: only those change, layers lie over each other, all comes off again in any order."""
    obj = _start(lambda: AWKWARD["selected faces"]())
    before, names = digest(obj), [slot.material.name for slot in obj.material_slots]
    indices = [polygon.material_index for polygon in obj.data.polygons]
    chosen = [polygon.index for polygon in obj.data.polygons if polygon.select]
    _add(obj, 1, target="slot", slot=1)
    found: dict[str, Any] = {"slot": shown(obj) == [names[0], _color(1)]}
    _add(obj, 2, target="selected_faces")
    found["faces"] = shown(obj) == [names[0], _color(1), _color(2)]
    moved = [polygon.index for polygon in obj.data.polygons if polygon.material_index == 2]
    found["moved"] = moved == chosen
    for polygon in obj.data.polygons:
        polygon.select = polygon.index in (1, 5)
    _add(obj, 3, target="selected_faces")
    found["over"] = _by_face(obj) == _faces(names, {1: _color(3), 5: _color(3), 0: _color(2)}, indices)
    bpy.ops.pgc.version_remove(index=2)
    found["removed"] = _by_face(obj) == _faces(names, {0: _color(2), 1: _color(2)}, indices)
    bpy.ops.pgc.version_apply(index=0)
    found["slot again"] = obj.pgc.layers.split() == [obj.pgc.versions[1].key, obj.pgc.versions[0].key]
    _add(obj, 4)
    found["whole"] = set(_by_face(obj)) == {_color(4)}
    bpy.ops.pgc.version_compare()
    found["compare"] = _by_face(obj) == _faces(names, {0: _color(2), 1: _color(2)}, indices)
    for polygon in obj.data.polygons:
        polygon.select = polygon.index in chosen
    bpy.ops.pgc.restore()
    found["same"] = before == digest(obj)
    bpy.ops.pgc.version_apply(index=1)
    found["faces again"] = _by_face(obj) == _faces(names, {0: _color(2), 1: _color(2)}, indices, bare=True)
    bpy.ops.pgc.restore()
    found["same again"] = before == digest(obj)
    return found


def _color(index: int) -> str:
    return expected(index)[0]["base_color"]


def _by_face(obj: bpy.types.Object) -> list[str]:
    slots = shown(obj)
    return [slots[polygon.material_index] for polygon in obj.data.polygons]


def _faces(names: list[str], covered: dict[int, str], indices: list[int], *, bare: bool = False) -> list[str]:
    """What each face shows: version 1 on slot 1 unless `bare`, and the covered ones."""
    slots = [names[0], names[1] if bare else _color(1)]
    return [covered.get(face, slots[index]) for face, index in enumerate(indices)]


def _error(action: Callable[[], Any]) -> Any:
    """What a SceneError or an operator says, with the operator that mends it; None where nothing went wrong."""
    from blender_addon.scene.errors import SceneError

    try:
        action()
    except SceneError as error:
        return [error.text, error.fix]
    except RuntimeError as error:
        return [str(error), None]
    return None


@ends_cleanly
def artist_changes() -> Any:
    """What the artist puts over a version stays, and becomes what the next one covers."""
    obj = _start(lambda: AWKWARD["two slots"]())
    _add(obj, 1)
    mine = bpy.data.materials.new("Mine")
    obj.material_slots[1].material = mine
    _add(obj, 2, target="slot", slot=0)
    found = {"kept": shown(obj) == [_color(2), "Mine"]}
    bpy.ops.pgc.version_remove(index=1)
    found["below"] = shown(obj) == [_color(1), "Mine"]
    bpy.ops.pgc.version_apply(index=0)
    found["again"] = shown(obj) == [_color(1), _color(1)]
    bpy.ops.pgc.restore()
    found["original"] = shown(obj)
    _add(obj, 3, target="slot", slot=1)
    obj.data.materials.pop()
    found["gone slot"] = _error(lambda: bpy.ops.pgc.version_apply(index=1))
    bpy.data.materials.remove(obj.pgc.versions[0].material)
    bpy.ops.pgc.version_apply(index=0)
    found["rebuilt"] = shown(obj) == [_color(1)]
    bpy.data.materials.remove(obj.pgc.versions[1].material)
    for entry in obj.pgc.versions[1].maps:
        bpy.data.images.remove(entry.image)
    found["pictures gone"] = _error(lambda: bpy.ops.pgc.version_apply(index=1))
    return found


@ends_cleanly
def edited_mesh() -> Any:
    """Faces that a version was made for are gone: it says so, and the rest goes on working."""
    import bmesh

    obj = _start(lambda: AWKWARD["selected faces"]())
    names = [slot.material.name for slot in obj.material_slots]
    _add(obj, 1, target="selected_faces")
    bpy.ops.object.mode_set(mode="EDIT")
    found: dict[str, Any] = {"edit mode": _error(lambda: bpy.ops.pgc.restore())}
    _add(obj, 2)
    found["whole in edit mode"] = set(shown(obj)) == {_color(2)}
    mesh = bmesh.from_edit_mesh(obj.data)
    bmesh.ops.subdivide_edges(mesh, edges=mesh.edges[:], cuts=1, use_grid_fill=True)
    bmesh.update_edit_mesh(obj.data)
    bpy.ops.object.mode_set(mode="OBJECT")
    found["refused"] = _error(lambda: bpy.ops.pgc.version_apply(index=0))
    bpy.ops.pgc.restore()
    found["original"] = shown(obj) == names
    return found


@ends_cleanly
def compare_and_click() -> Any:
    """A/B between two versions and with the original; a click in the list; one undo step for many toggles."""
    obj = _start()
    obj.data.materials.append(bpy.data.materials.new("Own"))
    found: dict[str, Any] = {"poll before": bpy.ops.pgc.version_compare.poll()}
    _add(obj, 1)
    bpy.ops.pgc.version_compare()
    found["original"] = shown(obj)
    bpy.ops.pgc.version_compare()
    found["first"] = shown(obj) == [_color(1)]
    _add(obj, 2)
    toggles = []
    for _ in range(4):
        bpy.ops.pgc.version_compare()
        toggles.append(obj.pgc.active_version)
    found["toggles"] = toggles
    obj.pgc.active_version = 0
    found["click"] = shown(obj) == [_color(1)]
    bpy.ops.pgc.restore()
    found["none"] = [shown(obj), obj.pgc.active_version, bpy.ops.pgc.restore.poll()]
    obj.pgc.active_version = 1
    found["click again"] = shown(obj) == [_color(2)]
    bpy.ops.pgc.version_remove()
    found["removed active"] = [shown(obj), obj.pgc.active_version, hashes(obj) == expected(1)]
    bpy.ops.pgc.version_rename(index=0, name="Best so far")
    found["name"] = obj.pgc.versions[0].name
    found["nothing chosen"] = _error(lambda: bpy.ops.pgc.version_apply())
    return found


@ends_cleanly
def storage(folder: str) -> Any:
    """Purge, Move to Disk and back: sizes, bytes and pixels, undo, and files that are never overwritten."""
    from blender_addon.scene.storage import version_bytes

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
    from blender_addon.scene.mesh_export import ExportOptions
    from blender_addon.scene.storage import move_to_blend, move_to_disk
    from blender_addon.scene.versions import VersionBuilder, VersionFacts

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
        obj, options = make()
        bystander = _cube("Bystander")
        bystander.data.materials.append(bpy.data.materials.new("Bystander"))
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
        }
    )
    bpy.ops.pgc.version_reuse_prompt(index=0)
    found: dict[str, Any] = {"prompt": [settings.prompt, settings.negative, settings.steps]}
    settings.prompt = "other"
    settings.seed = 5
    bpy.ops.pgc.version_regenerate(index=0)
    _, spec, _ = rig.fake.submitted[-1]
    sent = spec.settings
    found["sent"] = [spec.prompt.text, sent.seed, sent.preset, sent.steps, sent.texture_size]
    found["again"] = _error(lambda: bpy.ops.pgc.version_regenerate(index=0))
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
    from blender_addon.scene.images import new_packed_image

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
    from blender_addon.scene.mesh_export import ExportOptions
    from blender_addon.scene.thumbnails import reduced
    from blender_addon.scene.versions import VersionFacts, add_version

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
        index = add_version(obj, maps=given, facts=facts, options=ExportOptions())
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
        "preview": thumbnail(64, _pixels(2, 256)),
        "small map": thumbnail(256, None),
        "big map": thumbnail(1024, None),
    }


def several(names: list[str], folder: str) -> Any:
    """Several probes in one Blender, which takes long to start: the answer of each, or where it failed."""
    found: dict[str, Any] = {}
    for name in names:
        probe = globals()[name]
        own = Path(folder) / name
        own.mkdir()
        given = {"folder": str(own)} if "folder" in inspect.signature(probe).parameters else {}
        try:
            found[name] = probe(**given)
        except Exception:  # noqa: BLE001 - the test of this probe shows it
            found[name] = {"failed": traceback.format_exc()}
    return found
