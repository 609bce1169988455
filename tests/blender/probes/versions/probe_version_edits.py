# SPDX-License-Identifier: Apache-2.0
"""Versions in Blender: undo, files, duplicates, targets and what artists change by hand."""

from pathlib import Path
from typing import Any

import bpy
from probe_awkward import AWKWARD
from probe_version_cases import (
    _add,
    _by_face,
    _color,
    _error,
    _faces,
    _start,
    ends_cleanly,
    expected,
    hashes,
    scene_digest,
    shown,
)
from probes import digest


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
