# SPDX-License-Identifier: Apache-2.0
"""What is exported of scenes as artists have them, what is said instead, and what the offered clicks make."""

import json
from typing import Any

import bpy
import numpy as np
from probe_scene_cases import CASES, scatter
from probe_session import Rig, disable, enable, materials
from probes import _export, digest

from blender_addon.scene.errors import SceneError

_COUNTS = ("objects", "meshes", "scenes", "node_groups", "collections")


def _contents() -> list[int]:
    return [len(getattr(bpy.data, name)) for name in _COUNTS]


def exports() -> Any:
    """Every case: numbers of what is exported, or the sentence; and whether the scene is as before."""
    found = {}
    for name, make in CASES.items():
        bpy.ops.wm.read_factory_settings(use_empty=True)
        obj = make()
        bpy.context.view_layer.update()
        before = (_stable(obj), _contents(), obj.mode, bpy.context.scene.name)
        try:
            facts = _facts(_export(obj))
        except SceneError as error:
            facts = {"said": error.text, "fix": error.fix}
        found[name] = facts | {"same": before == (_stable(obj), _contents(), obj.mode, bpy.context.scene.name)}
    return found


def _stable(obj: bpy.types.Object) -> str:
    """Equal for equal objects; numbers that are none are not equal to themselves, so as text."""
    return digest(obj) if obj.mode == "OBJECT" else obj.name


def _facts(mesh: Any) -> dict[str, Any]:
    corners = mesh.positions[mesh.faces].astype(np.float64)
    geometric = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return {
        "triangles": len(mesh.faces),
        "vertices": len(mesh.positions),
        "uv map": mesh.uv_map,
        "low": np.round(mesh.positions.min(axis=0).astype(float), 3).tolist(),
        "high": np.round(mesh.positions.max(axis=0).astype(float), 3).tolist(),
        "textured": len(mesh.faces) if mesh.textured is None else int(mesh.textured.sum()),
        "facing": bool(((geometric * mesh.corner_normals[:, 0]).sum(axis=1) >= 0).all()),
        "notes": list(mesh.notes),
    }


def offered_clicks(cases: list[str]) -> Any:
    """Generate, the click that is offered, Generate again to the end: what is shown then, and what became of it."""
    found = {}
    for name in cases:
        enable()
        rig = Rig()
        obj = CASES[name]()
        bpy.context.view_layer.objects.active = obj
        stack = [(modifier.name, modifier.show_viewport) for modifier in obj.modifiers]
        said = _said(bpy.ops.pgc.generate)
        problem = rig.state.problem
        facts: dict[str, Any] = {"said": said, "fix": problem.operator if problem else "", "clicks": []}
        _click(facts["fix"])
        while not rig.fake.submitted and len(facts["clicks"]) < 3:
            _said(bpy.ops.pgc.generate)
            if rig.state.problem is not None:
                # Of UVs that cannot carry a texture, the panel offers a new map beside the sentence.
                facts["clicks"].append(rig.state.problem.operator or "pgc.unwrap")
                _click(facts["clicks"][-1])
        rig.obj = bpy.context.object
        sent = rig.fake.submitted[-1][1].meshes[0]
        view = rig.state.newest()
        _run(rig, view)
        facts |= {
            "triangles": sent.faces.shape[0],
            "end": view.phase.value,
            "shown": sorted(_shown(rig.obj)),
            "kept": [(modifier.name, modifier.show_viewport) for modifier in obj.modifiers] == stack,
            "hidden": obj.hide_get() if rig.obj != obj else None,
        }
        found[name] = facts
        disable()
    return found


def _run(rig: Rig, view: Any) -> None:
    from blender_addon.client.events import JobAccepted
    from blender_addon.protocol.records import JobState

    rig.fake.say(JobAccepted("job-1", view.key, JobState.QUEUED, 0, False))
    rig.finish(view)


def _click(operator: str) -> None:
    group, name = operator.split(".")
    assert getattr(getattr(bpy.ops, group), name)() == {"FINISHED"}


def _said(call: Any) -> str:
    try:
        call()
    except RuntimeError as error:
        return str(error).removeprefix("Error: ").strip()
    return ""


def _shown(obj: bpy.types.Object) -> set[str]:
    """Names of the materials on faces, as evaluated."""
    bpy.context.view_layer.update()
    evaluated = obj.evaluated_get(bpy.context.evaluated_depsgraph_get())
    used = {polygon.material_index for polygon in evaluated.data.polygons}
    slots = evaluated.material_slots
    names = [slots[min(index, len(slots) - 1)].material for index in used]
    return {material.name.split(".")[0] if material else "" for material in names}


def no_meshes() -> Any:
    """Text, curves, metaballs and collection instances: what the panel says, and what its button makes."""
    from types import SimpleNamespace

    from probe_panel import Recorder

    found = {}
    for name, make in {"text": _text, "metaball": _ball, "instance": _instance, "lamp": _lamp}.items():
        enable()
        rig = Rig()
        obj = bpy.context.view_layer.objects.active = make()
        layout = Recorder()
        bpy.types.PGC_PT_texture.draw(SimpleNamespace(layout=layout), bpy.context)
        button = ("operator", "pgc.make_real") in layout.log
        facts: dict[str, Any] = {"reason": _said(bpy.ops.pgc.generate), "button": button}
        if facts["button"]:
            bpy.ops.pgc.make_real()
            made = bpy.context.object
            facts |= {"type": made.type, "faces": len(made.data.polygons), "kept": obj.name in bpy.data.objects}
            facts["place"] = [round(value, 3) for value in made.matrix_world.translation]
        facts["problem"] = rig.state.problem is not None
        found[name] = facts
        disable()
    return found


def _text() -> bpy.types.Object:
    bpy.ops.object.text_add(location=(3, 0, 0))
    return bpy.context.object


def _ball() -> bpy.types.Object:
    bpy.ops.object.metaball_add(location=(3, 0, 0))
    return bpy.context.object


def _lamp() -> bpy.types.Object:
    bpy.ops.object.light_add()
    return bpy.context.object


def _instance() -> bpy.types.Object:
    obj = CASES["viewport level"]()
    collection = bpy.data.collections.new("Source")
    collection.objects.link(obj)
    bpy.context.scene.collection.objects.unlink(obj)
    empty = bpy.data.objects.new("Instance", None)
    empty.instance_type, empty.instance_collection, empty.location = "COLLECTION", collection, (3, 0, 0)
    bpy.context.scene.collection.objects.link(empty)
    bpy.context.view_layer.update()
    return empty


def two_scenes(folder: str) -> Any:
    """A job of one scene, delivered while another scene is shown; then in a file that nobody may write to."""
    import os
    from pathlib import Path

    enable()
    rig = Rig()
    rig.obj.data.materials.append(bpy.data.materials.new("Mine"))
    path = Path(folder) / "scene.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    os.chmod(path, 0o444)
    view = rig.run()
    other = bpy.data.scenes.new("Other")
    if bpy.context.window is not None:
        bpy.context.window.scene = other
    rig.preview()
    rig.finish(view)
    found = {"end": view.phase.value, "shown": materials(rig.obj), "packed": _packed(rig.obj)}
    disable()
    return found


def _packed(obj: bpy.types.Object) -> bool:
    return all(entry.image.packed_file is not None for entry in obj.pgc.versions[-1].maps)


def partly_foreign() -> Any:
    """A Boolean's faces keep their material: the note, and what is sent."""
    enable()
    rig = Rig()
    rig.obj = bpy.context.view_layer.objects.active = CASES["Boolean's material"]()
    view = rig.click()
    _, spec, arrays = rig.fake.submitted[-1]
    found = {"note": view.note, "textured": int(arrays[spec.meshes[0].textured.sha256].sum())}
    _run(rig, view)
    found["shown"] = sorted(_shown(rig.obj))
    disable()
    return found


def unwrap_refused(folder: str) -> Any:
    """What cannot be unwrapped as it is: a linked mesh, a hidden object, one with as many UV maps as Blender takes."""
    from pathlib import Path

    from probe_overrides import _link, _write_library
    from probes import _plane

    path = str(Path(folder) / "library.blend")
    _write_library(path, slots=1)
    rig, _ = _link(path)
    bpy.ops.pgc.make_override()
    found = {"linked": [_said(bpy.ops.pgc.unwrap), rig.state.problem.operator]}
    obj = bpy.context.view_layer.objects.active = _plane("Hidden", uv=False)
    obj.hide_set(True)
    found["hidden"] = [_said(bpy.ops.pgc.unwrap), len(obj.data.uv_layers)]
    obj.hide_set(False)
    while obj.data.uv_layers.new() is not None:
        pass
    found["full"] = [_said(bpy.ops.pgc.unwrap), len(obj.data.uv_layers)]
    disable()
    return found


def undone(name: str = "nodes: instances and a base") -> Any:
    """Make Real Mesh is one undo step, after which all is as before."""
    enable()
    Rig()
    obj = bpy.context.view_layer.objects.active = scatter(base=True)
    bpy.ops.ed.undo_push(message="before")
    before = json.dumps([_contents(), digest(obj), obj.hide_get(), obj.hide_render])
    bpy.ops.pgc.make_real()
    changed = _contents()
    # Called by a script, an operator pushes no step of its own.
    bpy.ops.ed.undo_push(message="Make Real Mesh")
    bpy.ops.ed.undo()
    obj = bpy.data.objects["Ground"]
    found = {"same": json.dumps([_contents(), digest(obj), obj.hide_get(), obj.hide_render]) == before}
    found["changed"] = changed != json.loads(before)[0]
    disable()
    return found
