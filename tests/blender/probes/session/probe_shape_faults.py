# SPDX-License-Identifier: Apache-2.0
"""Refine Shape and New Object by Prompt where scenes, files and servers are not as one would wish."""

import json
import tempfile
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from probe_panel import draw
from probe_session import disable
from probe_shapes import _finish, _preview, _result, _rig, _run, _sent, _wires, _world
from probes import _cube, _plane


def _tetrahedron(**changes: Any) -> Any:
    from blender_addon.protocol.meshes import ResultMesh

    places = np.array([[0, 0, -0.5], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    faces = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]], np.int32)
    return ResultMesh(**{"positions": places, "faces": faces, **changes})


def _choose(obj: bpy.types.Object) -> None:
    bpy.context.view_layer.objects.active = obj
    obj.select_set(True)
    bpy.context.view_layer.update()


def _off(obj: bpy.types.Object, positions: Any) -> float:
    bpy.context.view_layer.update()
    return float(np.abs(_world(obj) - positions).max())


def placed() -> Any:
    """Parents that shear, transforms that are applied meanwhile, long names: size and place stay those of the world."""
    rig = _rig()
    parent = bpy.data.objects.new("Parent", None)
    bpy.context.scene.collection.objects.link(parent)
    parent.scale = (1.0, 3.0, 1.0)
    obj = _cube("Sheared")
    obj.parent, obj.rotation_euler = parent, (0.0, 0.0, 0.7)
    _choose(obj)
    view = _run(rig)
    _, arrays = _sent(rig)
    _preview(rig, arrays["positions"], arrays["faces"])
    found = {"sheared": [_off(_wires()[0], arrays["positions"])]}
    _finish(rig, view, _result(arrays))
    found["sheared"].append(_off(bpy.data.objects["Sheared Refined"], arrays["positions"] + 0.25))
    for axis, scale in (("scale", (4.0, 1.0, 1.0)), ("rotation", (-4.0, 1.0, 1.0))):
        obj = _cube(f"Applied {axis}")
        obj.scale, obj.rotation_euler = scale, (0.0, 0.0, 1.5707963)
        _choose(obj)
        view = _run(rig, axis)
        _, arrays = _sent(rig)
        bpy.ops.object.transform_apply(location=False, rotation=axis == "rotation", scale=True)
        _finish(rig, view, _result(arrays))
        made = bpy.data.objects[f"{obj.name} Refined"]
        found[axis] = [_off(made, arrays["positions"] + 0.25), _outward(made)]
        obj.select_set(False)
    obj = _cube("Flat")
    _choose(obj)
    view = _run(rig, "flat")
    _, arrays = _sent(rig)
    obj.scale, obj.data.vertices[0].co.x = (0.0, 1.0, 1.0), 3.0
    _finish(rig, view, _result(arrays))
    found["flat"] = view.phase.value
    obj = _cube("Ä" * 31)
    _choose(obj)
    names = {one.name for one in bpy.data.objects}
    for job in ("long-1", "long-2"):
        view = _run(rig, job)
        _finish(rig, view, _result(_sent(rig)[1]))
    found["steps"] = sorted(round(one.location.x, 3) for one in bpy.data.objects if one.name not in names)
    disable()
    return found


def _outward(obj: bpy.types.Object) -> bool:
    corners = _world(obj)[[list(polygon.vertices)[:3] for polygon in obj.data.polygons]]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return bool((np.einsum("ij,ij->i", normals, corners.mean(axis=1) - _world(obj).mean(axis=0)) > 0.0).all())


def linked() -> Any:
    """The active collection is another file's; colours of an older shape; what is sent of broken meshes."""
    rig = _rig()
    found: dict[str, Any] = {}
    library = bpy.data.collections.new("Library")
    library.objects.link(_plane("Of the library"))
    path = str(Path(tempfile.mkdtemp()) / "library.blend")
    bpy.data.libraries.write(path, {library})
    with bpy.data.libraries.load(path, link=True) as (_, chosen):
        chosen.collections = ["Library"]
    bpy.context.scene.collection.children.link(chosen.collections[0])
    layers = bpy.context.view_layer.layer_collection.children
    bpy.context.view_layer.active_layer_collection = next(one for one in layers if one.collection.library)
    view = _run(rig, "linked", operator="imagine")
    _finish(rig, view, _tetrahedron(corner_colors=np.full((4, 3, 3), 0.9, np.float32)))
    made = bpy.data.objects["red bricks"]
    found["linked"] = [view.phase.value, [one.name for one in made.users_collection]]
    found["stray"] = _stray(bpy.context.view_layer.active_layer_collection.collection)
    _choose(made)
    view = _run(rig, "again")
    _, arrays = _sent(rig)
    colors = np.full((4, 3, 3), 0.1, np.float32)
    _finish(rig, view, _tetrahedron(**{**arrays, "corner_uvs": None, "corner_colors": colors}))
    layers = bpy.data.objects["red bricks Refined"].data.color_attributes
    found["colors"] = {layer.name: round(layer.data[0].color[0], 3) for layer in layers}
    far = _cube("Far")
    for item, value in zip(far.data.uv_layers.active.uv, (1e20, float("nan"), 0.5), strict=False):
        item.vector = (value, 0.25)
    _choose(far)
    _run(rig, "far")
    found["uvs"] = float(np.abs(_sent(rig)[1]["corner_uvs"]).max())
    far.data.vertices[0].co.x = float("nan")
    far.data.update()
    bpy.context.view_layer.update()
    count = len(rig.fake.submitted)
    try:
        bpy.ops.pgc.refine_shape()
    except RuntimeError as error:
        found["nan"] = [str(error), len(rig.fake.submitted) - count]
    disable()
    return found


def _notes() -> list[str]:
    return [entry.job for scene in bpy.data.scenes for entry in scene.pgc.shape.pending]


def _stray(collection: bpy.types.Collection) -> Any:
    """A new object that no collection takes."""
    from blender_addon.scene.shapes.refined import _link

    made = bpy.data.objects.new("Stray", bpy.data.meshes.new("Stray"))
    try:
        _link(made, [bpy.context.scene.collection, collection])
    except RuntimeError:
        return ["Stray" in bpy.data.objects, "Stray" in bpy.data.meshes]
    return []


def closed(folder: str) -> Any:
    """A new object goes on while its file is saved and opened again, and is fetched anew by a Blender that has
    forgotten that it was asked for.
    """
    from blender_addon.model.recent_results import recent_results
    from blender_addon.protocol.records import JobInfo, JobState

    rig = _rig()
    path = str(Path(folder) / "scene.blend")
    bpy.context.scene.pgc.prompt = "a red vase"
    view = _run(rig, operator="imagine")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    found: dict[str, Any] = {"noted": _notes()}
    bpy.ops.wm.open_mainfile(filepath=path)
    (again,) = rig.state.jobs.values()
    found["opened"] = [again.key == view.key, again.of_no_object, list(rig.fake.attached), list(rig.fake.cancelled)]
    _finish(rig, again, _tetrahedron())
    found["came"] = [again.phase.value, "a red vase" in bpy.data.objects, _notes()]
    rig.state.jobs.clear()
    names = ("a red vase (new shape)", "Shown (new shape)")
    rig.state.server.jobs = tuple(JobInfo(f"far-{name}", name, JobState.SUCCEEDED, name=name) for name in names)
    found["recent"] = sorted(result.job for result in recent_results(rig.state, 2.0))
    bpy.context.scene.cursor.location = (1.0, 2.0, 3.0)
    for name in names:
        rig.desk.fetch(name, f"far-{name}", bpy.data.objects["Shown"])
        fetched = rig.state.jobs[name]
        _finish(rig, fetched, _tetrahedron())
        found[name] = [fetched.phase.value, fetched.note]
    unsaved = _run(rig, "job-9", operator="imagine")
    bpy.ops.wm.open_mainfile(filepath=path)
    found["reverted"] = [unsaved.key in rig.state.jobs, rig.fake.cancelled]
    disable()
    return found


def told() -> Any:
    """Each failure is told beside the other's, with the button that asks for the same again."""
    from blender_addon.client.events import JobFailed
    from blender_addon.protocol.errors import ErrorCode, Retry, WireError

    rig = _rig()
    painted = rig.run("painted")
    imagined = _run(rig, "imagined", operator="imagine")
    rig.fail(painted, "RES.DISK")
    found: dict[str, Any] = {"one": _failures()}
    rig.fail(imagined, "RES.DISK")
    found["both"] = [_failures(), imagined.problem.operator]
    rig.run("painted again")
    found["other"] = _failures()
    view = _run(rig, "old")
    error = WireError(ErrorCode("INPUT.INVALID"), Retry.CHANGED, "Got 'shape'; expected base_color.", field="maps[0]")
    rig.fake.say(JobFailed("old", view.key, error))
    rig.tick()
    found["old server"] = [view.problem.text, view.problem.operator]
    disable()
    return found


def _failures() -> int:
    return sum("cannot store" in text for kind, text in draw() if kind == "label")


def regenerated(folder: str) -> Any:
    """A version of before there were LoRA rows is made again without the panel's."""
    rig = _rig()
    settings = bpy.context.scene.pgc
    settings.model = "sd15"
    rig.finish(rig.run())
    (version,) = rig.obj.pgc.versions
    version.settings = json.dumps(
        {name: value for name, value in json.loads(version.settings).items() if not name.startswith("lora")}
    )
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path = Path(folder) / "style.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    settings.lora_1 = str(path)
    sent: list[Any] = []
    for start in (bpy.ops.pgc.generate, lambda: bpy.ops.pgc.version_regenerate(index=0)):
        start()
        sent.append([lora.name for lora in rig.fake.submitted[-1][1].guidance.loras])
    sent.append(settings.model)
    disable()
    return sent
