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
        facts: dict[str, Any] = {"said": said, "fix": problem.operator if problem else ""}
        _click(facts["fix"])
        if _said(bpy.ops.pgc.generate):
            _click(rig.state.problem.operator)
            assert bpy.ops.pgc.generate() == {"FINISHED"}
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


def far_away(in_vertices: bool) -> Any:
    """A wall at UTM coordinates and the same at the origin: arrays and cameras as a server gets them."""
    sent = {}
    for place in ((0, 0, 0), (500_000, 5_400_000, 32)):
        enable()
        rig = Rig()
        bpy.ops.mesh.primitive_grid_add(x_subdivisions=8, y_subdivisions=4, size=16)
        wall = rig.obj = bpy.context.object
        wall.rotation_euler = (1.5707963, 0, 0)
        bpy.ops.object.transform_apply(rotation=True)
        target = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
        bpy.context.scene.collection.objects.link(target)
        target.location, target.rotation_euler = (place[0] + 4, place[1] - 32, place[2] + 8), (1.4, 0.0, 0.1)
        if in_vertices:
            for vertex in wall.data.vertices:
                vertex.co = [value + offset for value, offset in zip(vertex.co, place, strict=True)]
        else:
            wall.location = place
        bpy.context.view_layer.update()
        bpy.context.scene.pgc.cameras = "scene"
        view = rig.click()
        _, spec, arrays = rig.fake.submitted[-1]
        mesh, camera = spec.meshes[0], spec.cameras.cameras[0]
        positions = arrays[mesh.positions.sha256]
        _run(rig, view)
        sent[place] = {
            "positions": positions,
            "clip": _clip(camera, positions),
            "uvs": arrays[mesh.corner_uvs.sha256],
            "end": view.phase.value,
            "shown": sorted(_shown(wall)),
        }
        disable()
    near, far = sent.values()
    return {
        "positions": float(np.abs(near["positions"] - far["positions"]).max()),
        "clip": float(np.abs(near["clip"] - far["clip"]).max()),
        "uvs": bool((near["uvs"] == far["uvs"]).all()),
        "largest": float(np.abs(far["positions"]).max()),
        "end": [near["end"], far["end"]],
        "shown": far["shown"],
    }


def _clip(camera: Any, positions: np.ndarray) -> np.ndarray:
    """Where the server's float32 matrices put the vertices, [V, 2]."""
    matrix = np.float32(camera.projection).reshape(4, 4) @ np.float32(camera.world_to_camera).reshape(4, 4)
    clip = np.c_[positions, np.ones(len(positions), np.float32)] @ matrix.T
    return clip[:, :2] / clip[:, 3:]


def far_rig() -> Any:
    """A rig around an object far away has all of it in view."""
    enable()
    rig = Rig()
    bpy.ops.mesh.primitive_cube_add(size=8, location=(500_000, 5_400_000, 0))
    bpy.ops.pgc.add_rig(count=6)
    bpy.context.view_layer.update()
    bpy.ops.pgc.generate()
    _, spec, arrays = rig.fake.submitted[-1]
    positions = arrays[spec.meshes[0].positions.sha256]
    found = {"widest": max(float(np.abs(_clip(camera, positions)).max()) for camera in spec.cameras.cameras)}
    found["middle"] = max(float(np.abs(_clip(camera, positions).mean(axis=0)).max()) for camera in spec.cameras.cameras)
    disable()
    return found


def flat_camera() -> Any:
    """A camera of scale zero among those of the scene."""
    enable()
    rig = Rig()
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    camera.scale = (0, 1, 1)
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.view_layer.update()
    bpy.context.scene.pgc.cameras = "scene"
    found = {"said": _said(bpy.ops.pgc.generate), "sent": len(rig.fake.submitted)}
    disable()
    return found


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
