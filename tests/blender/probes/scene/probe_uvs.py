# SPDX-License-Identifier: Apache-2.0
"""UVs that cannot carry a texture: what the panel says, what its buttons do, and that drawing measures nothing."""

from typing import Any

import bpy
import numpy as np
from probe_panel import Recorder
from probe_session import ADDON, Rig, disable, enable

FULL = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float64)


def _sixth(number: int) -> np.ndarray:
    return FULL * (0.3, 0.45) + np.array((0.01 + number % 3 / 3, 0.01 + number // 3 / 2))


LAYOUTS = {
    "good": _sixth,
    "tiling": lambda number: FULL * (3, 1),
    "partial": lambda number: _sixth(number) * (number > 1),
    "point": lambda number: FULL * 0,
}


def _box(name: str, layout: str | None) -> bpy.types.Object:
    bpy.ops.mesh.primitive_cube_add()
    obj = bpy.context.object
    obj.name = name
    if layout is None:
        obj.data.uv_layers.remove(obj.data.uv_layers[0])
        obj.data.update()
        return obj
    uvs = np.concatenate([LAYOUTS[layout](number) for number in range(6)]).astype(np.float32)
    obj.data.uv_layers[0].uv.foreach_set("vector", uvs.reshape(-1))
    return obj


def _generate() -> list[str]:
    """What a click gives; scripts get errors as exceptions."""
    try:
        return sorted(bpy.ops.pgc.generate())
    except RuntimeError as error:
        return ["CANCELLED"] if str(error).startswith("Error:") else [str(error)]


def _drawn() -> list[str]:
    """Texts and operators of the box."""
    from importlib import import_module

    draw = import_module(f"{ADDON}.ui.uvs").draw_uv_check
    layout = Recorder()
    draw(layout, bpy.context)
    return [text for kind, text in layout.log if kind in ("label", "operator")]


def _uvs(obj: bpy.types.Object, name: str) -> np.ndarray:
    values = np.empty(len(obj.data.loops) * 2, np.float32)
    obj.data.uv_layers[name].uv.foreach_get("vector", values)
    return values.reshape(-1, 2)


def _measure(obj: bpy.types.Object) -> dict[str, Any]:
    from importlib import import_module

    reading, measure = import_module(f"{ADDON}.scene.meshes.uv_reading"), import_module(f"{ADDON}.uv_measure")
    arrays = reading.read_uv_arrays(obj.data, obj.data.uv_layers.active.name)
    found, _ = measure.measure_uvs(arrays.positions, arrays.faces, arrays.corner_uvs, arrays.without)
    verdict = measure.judge_uvs(found).verdict.value
    return {"verdict": verdict, "shared": found.shared, "without": found.faces_without, "median": found.density_median}


def offers() -> Any:
    """Before and after New UV Map, for each layout."""
    enable()
    found = {}
    rig = Rig()
    for name in [None, *LAYOUTS]:
        obj = _box(str(name), name)
        before = [] if name is None else _uvs(obj, "UVMap")
        row: dict[str, Any] = {"clicked": _generate(), "drawn": _drawn()}
        row["problem"] = rig.state.problem.text if rig.state.problem else ""
        if name != "good":
            bpy.ops.pgc.unwrap()
            row |= _measure(obj)
            row["maps"] = [layer.name for layer in obj.data.uv_layers]
            row["active"] = obj.data.uv_layers.active.name
            row["own kept"] = name is None or np.array_equal(_uvs(obj, "UVMap"), before)
            row["others kept"] = name == "partial" and np.array_equal(_uvs(obj, "PGC")[8:], before[8:])
            row["mode"] = obj.mode
            row["after"] = _drawn()
            row["again"] = _generate()
        found[str(name)] = row
    found["sent"] = len(rig.fake.submitted)
    disable()
    return found


def _as_override(obj: bpy.types.Object, folder: str) -> bpy.types.Object:
    """The same object as a library override that has a mesh of its own."""
    name, path = obj.name, f"{folder}/library.blend"
    bpy.data.libraries.write(path, {obj})
    bpy.data.objects.remove(obj)
    with bpy.data.libraries.load(path, link=True) as (_, wanted):
        wanted.objects = [name]
    linked = wanted.objects[0]
    bpy.context.scene.collection.objects.link(linked)
    own = linked.override_create(remap_local_usages=True)
    bpy.context.view_layer.objects.active = own
    own.select_set(True)
    own.data = own.data.copy()
    return own


def unusual_objects() -> Any:
    """New UV Map of objects that cannot enter Edit Mode, or that are selected beside others."""
    import tempfile

    enable()
    found = {}
    rig = Rig()
    other = _box("Other", "tiling")
    uvs = _uvs(other, "UVMap")
    for name in ("plain", "several", "hidden", "viewport", "override", "shape keys", "shared mesh", "parts selected"):
        for layout in ("tiling", "partial"):
            bpy.ops.object.select_all(action="DESELECT")
            obj = _box("Crate", layout)
            if name == "override":
                obj = _as_override(obj, tempfile.mkdtemp())
            elif name == "shape keys":
                obj.shape_key_add()
                obj.shape_key_add().data[0].co.x += 1.0
            elif name == "shared mesh":
                bpy.context.scene.collection.objects.link(bpy.data.objects.new("Twin", obj.data))
            elif name == "parts selected":
                obj.data.polygons.foreach_set("select", [True, False] * 3)
                obj.data.polygons.foreach_set("hide", [False] * 5 + [True])
            other.select_set(name == "several")
            if name == "hidden":
                obj.hide_set(True)
            obj.hide_viewport = name == "viewport"
            before = [bool(face.select) for face in obj.data.polygons], [o.select_get() for o in bpy.data.objects]
            try:
                answer = sorted(bpy.ops.pgc.unwrap())
            except RuntimeError as error:
                answer = [str(error)]
            after = [bool(face.select) for face in obj.data.polygons], [o.select_get() for o in bpy.data.objects]
            same = before == after and bpy.context.view_layer.objects.active == obj and obj.mode == "OBJECT"
            row = {"answer": answer, "same": same, "other": bool(np.array_equal(_uvs(other, "UVMap"), uvs))}
            row |= _measure(obj) | {"maps": [layer.name for layer in obj.data.uv_layers]}
            row["moved"] = float(obj.data.shape_keys.key_blocks[1].data[0].co.x) if name == "shape keys" else 0.0
            found[f"{name}, {layout}"] = row
            bpy.data.objects.remove(obj)
    found["left"] = sorted(obj.name for obj in bpy.data.objects if obj.name.startswith("PGC"))
    found["problem"] = rig.state.problem.text if rig.state.problem else ""
    disable()
    return found


def anyway() -> Any:
    """Texture Anyway sends the artist's UVs, and is remembered; a mesh that changed is looked at again."""
    from importlib import import_module

    enable()
    rig = Rig()
    obj = _box("Tiles", "tiling")
    found: dict[str, Any] = {"before": _generate()}
    found["anyway"] = sorted(bpy.ops.pgc.texture_anyway())
    found["sent"] = len(rig.fake.submitted)
    found["drawn"] = _drawn()
    checks = import_module(f"{ADDON}.session.uv_checks").checks()
    found["known"] = obj.session_uid in checks.found
    obj.data.vertices[0].co.x += 0.1
    obj.data.update()
    bpy.context.view_layer.update()
    found["forgotten"] = obj.session_uid not in checks.found
    found["idle"] = [checks.look_while_idle(obj), checks.look_while_idle(obj)]
    module = import_module(f"{ADDON}.session.uv_checks")
    module._WHILE_IDLE = 3
    checks.forget(obj)
    found["big"] = checks.look_while_idle(obj)
    _box("Slots", "tiling")
    disable()
    found["after the end"] = len(checks.found)
    return found


def slots() -> Any:
    """Slots that use the same texels for images of their own: one slot can be textured, the whole cannot."""
    enable()
    rig = Rig()
    obj = _box("Slots", "good")
    uvs = np.concatenate([FULL * 0.9 if number > 3 else FULL * (0.4, 0.4) + _sixth(number) * 0 for number in range(6)])
    uvs[:16] = np.concatenate([FULL * 0.45 + np.array((number % 2, number // 2)) * 0.5 for number in range(4)])
    uvs[16:] = np.concatenate([FULL * (0.4, 0.9), FULL * (0.4, 0.9) + np.array((0.5, 0))])
    obj.data.uv_layers[0].uv.foreach_set("vector", uvs.astype(np.float32).reshape(-1))
    for name in ("Body", "Ends"):
        obj.data.materials.append(bpy.data.materials.new(name))
    obj.data.polygons.foreach_set("material_index", [0, 0, 0, 0, 1, 1])
    found = {"whole": _generate()}
    settings = bpy.context.scene.pgc
    settings.target = "slot"
    for slot in (0, 1):
        obj.active_material_index = slot
        found[f"slot {slot}"] = [_generate(), _drawn()]
        bpy.ops.pgc.cancel(key=rig.state.newest().key)
    settings.target = "object"
    found["copies"] = [_copies(rig, words) for words in ("", "brass brass", "brass steel", "brass")]
    disable()
    return found


def _copies(rig: Rig, words: str) -> list[Any]:
    """What is said of two boxes on the same texels, whose slots have these materials."""
    first = _box("Copies", "good")
    second = _box("Copy", "good")
    second.location.x = 5.0
    first.select_set(True)
    bpy.context.view_layer.objects.active = first
    bpy.ops.object.join()
    for word in words.split():
        first.data.materials.append(bpy.data.materials.get(word) or bpy.data.materials.new(word))
    first.data.polygons.foreach_set("material_index", [0] * 6 + [1] * 6)
    clicked = _generate()
    if clicked == ["FINISHED"]:
        bpy.ops.pgc.cancel(key=rig.state.newest().key)
    return [clicked, _drawn()[:1]]


def picture() -> Any:
    """The image of the texel density, made twice."""
    enable()
    Rig()
    _box("Tiles", "tiling")
    sizes = []
    for _ in range(2):
        bpy.ops.pgc.show_texel_density()
        sizes.append(len([image for image in bpy.data.images if image.name.startswith("PGC Texel Density")]))
    pixels = np.empty(1024 * 1024 * 4, np.float32)
    bpy.data.images["PGC Texel Density"].pixels.foreach_get(pixels)
    disable()
    return {"sizes": sizes, "red": float(np.median(pixels.reshape(-1, 4)[:, 0])), "least": float(pixels.min())}
