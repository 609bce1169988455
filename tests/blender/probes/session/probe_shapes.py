# SPDX-License-Identifier: Apache-2.0
"""Refine Shape with a client that only plays back: what is sent, what stands beside the object, and what stays."""

from dataclasses import replace
from typing import Any

import bpy
import numpy as np
from probe_panel import Recorder, draw
from probe_session import Rig, disable, enable
from probes import _cube, _plane, digest

_MAPS = ("base_color", "corner_uvs", "shape")


def _rig() -> Any:
    enable()
    rig = Rig()
    rig.hello = replace(rig.hello, maps=_MAPS)
    rig.fake.say(rig.hello)
    rig.tick()
    return rig


def _artists(mirrored: bool = False) -> bpy.types.Object:
    """A cube of quads with UVs, two slots, a group, a modifier, turned and scaled as artists do."""
    obj = _cube("Blockout")
    for name in ("A", "B"):
        obj.data.materials.append(bpy.data.materials.new(name))
    obj.data.polygons[2].material_index = 1
    obj.vertex_groups.new(name="Top").add([0, 1], 0.5, "ADD")
    obj.modifiers.new("Subdivision", "SUBSURF").levels = 1
    obj.location, obj.rotation_euler = (3.0, -2.0, 100.0), (0.3, 0.5, 1.0)
    obj.scale = (-1.0 if mirrored else 1.0, 2.0, 0.5)
    bpy.context.view_layer.objects.active = obj
    bpy.context.view_layer.update()
    return obj


def _sent(rig: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """The newest job, and its mesh's arrays."""
    _, spec, arrays = rig.fake.submitted[-1]
    return spec, {name: arrays[ref.sha256] for name, ref in spec.meshes[0].arrays().items()}


def _run(rig: Any, job: str = "job-1", *, operator: str = "refine_shape") -> Any:
    from blender_addon.client.events import JobAccepted, JobProgress, JobStateChanged
    from blender_addon.protocol.records import JobState

    assert getattr(bpy.ops.pgc, operator)() == {"FINISHED"}
    view = rig.state.newest()
    rig.fake.say(JobAccepted(job, view.key, JobState.QUEUED, 0, False))
    rig.fake.say(JobStateChanged(job, view.key, JobState.RUNNING), JobProgress(job, 3, 10, 7.0))
    rig.tick()
    return view


def _preview(rig: Any, positions: Any, faces: Any, job: str = "job-1") -> None:
    from blender_addon.client.events import JobShapePreview
    from blender_addon.protocol.meshes import PreviewMesh

    rig.fake.say(JobShapePreview(job, 1, 3, PreviewMesh(positions=positions, faces=faces), 0))
    rig.tick()


def _finish(rig: Any, view: Any, result: Any, *, cancelled: bool = False) -> None:
    from blender_addon.client.events import JobCancelled, JobFinished
    from blender_addon.protocol.arrays import DType
    from blender_addon.protocol.records import JobResult, MapFile

    files = {}
    for name, array in result.arrays().items():
        height, width, channels = array.shape
        dtype = DType.I32 if array.dtype.kind == "i" else DType.F32
        told = MapFile(name, 1001, width, height, channels, dtype, "linear", "raw", "0" * 64, array.nbytes)
        files[told] = array.tobytes()
    kind = JobCancelled if cancelled else JobFinished
    rig.fake.say(kind(view.job, view.key, JobResult(tuple(files), "1" * 64, 5.0), files, b"{}"))
    rig.tick()


def _result(arrays: dict[str, np.ndarray], **changes: Any) -> Any:
    from blender_addon.protocol.meshes import ResultMesh

    fields = {
        "positions": arrays["positions"] + np.float32(0.25),
        "faces": arrays["faces"],
        "corner_uvs": arrays["corner_uvs"],
        "corner_colors": np.full((len(arrays["faces"]), 3, 3), 0.5, np.float32),
        "material_index": arrays["material_index"],
    }
    return ResultMesh(**{**fields, **changes})


def _wires() -> list[bpy.types.Object]:
    return [obj for obj in bpy.data.objects if obj.name.startswith("PGC Shape Preview")]


def _world(obj: bpy.types.Object, mesh: Any = None) -> np.ndarray:
    """Vertices from the object's origin, in the world's axes."""
    places = np.array([tuple(vertex.co) for vertex in (mesh or obj.data).vertices], np.float64)
    return places @ np.array(obj.matrix_world, np.float64)[:3, :3].T


def _names() -> Any:
    return [sorted(item.name for item in items) for items in (bpy.data.objects, bpy.data.meshes, bpy.data.materials)]


def kept(mirrored: bool) -> Any:
    """Moved vertices: the new object has all that hung on the old one's."""
    rig = _rig()
    obj, other = _artists(mirrored), _plane("Other")
    before, known = [digest(one) for one in (obj, other, rig.obj)], _names()
    settings = bpy.context.scene.pgc
    settings.seed, settings.negative, settings.shape.steps, settings.shape.strength = 41, "plastic", 77, 2.0
    view = _run(rig)
    spec, arrays = _sent(rig)
    evaluated = obj.evaluated_get(bpy.context.evaluated_depsgraph_get())
    shown = _world(obj, evaluated.data)
    corners = arrays["positions"][arrays["faces"]].astype(np.float64)
    volume = np.einsum("ij,ij->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6.0
    found: dict[str, Any] = {
        "sent": [spec.prompt.text, spec.prompt.negative, spec.settings.seed, spec.settings.steps, list(spec.maps)],
        "rate": spec.shape.learning_rate,
        "as shown": float(np.abs(shown - arrays["positions"]).max()),
        "outward": bool(volume > 0.0),
        "seed after": settings.seed,
    }
    _preview(rig, arrays["positions"], arrays["faces"])
    (wire,) = _wires()
    _preview(rig, arrays["positions"] * np.float32(1.5), arrays["faces"])
    found["wire"] = [
        wire == _wires()[0], wire.display_type, wire.hide_render, wire.hide_select,
        float(np.abs(_world(wire) - 1.5 * shown).max()), float(wire.location.x - obj.location.x) > 1.0,
    ]  # fmt: skip
    found["while it runs"] = before == [digest(one) for one in (obj, other, rig.obj)]
    bpy.context.view_layer.objects.active = other
    _finish(rig, view, _result(arrays))
    made = bpy.data.objects["Blockout Refined"]
    found["phase"], found["note"], found["wires"] = view.phase.value, view.note, len(_wires())
    found["moved"] = float(np.abs(_world(made) - (shown + 0.25)).max())
    found["beside"] = [
        float(made.location.x - obj.location.x) > 1.0,
        [round(made.location[axis] - obj.location[axis], 5) for axis in (1, 2)],
        bool(np.allclose(np.array(made.matrix_world)[:3, :3], np.array(obj.matrix_world)[:3, :3], atol=1e-6)),
    ]
    found["quads"] = {len(polygon.vertices) for polygon in made.data.polygons} == {4}
    found["uvs"] = [layer.name for layer in made.data.uv_layers]
    found["slots of faces"] = len({polygon.material_index for polygon in made.data.polygons})
    found["materials"] = [material.name for material in made.data.materials]
    found["group"] = len({group.group for vertex in made.data.vertices for group in vertex.groups})
    found["colors"] = [layer.name for layer in made.data.color_attributes]
    found["modifiers"] = len(made.modifiers)
    found["own"] = [made.data != obj.data, made.data.users, len(made.pgc.versions)]
    found["same"] = before == [digest(one) for one in (obj, other, rig.obj)]
    found["active"] = bpy.context.view_layer.objects.active.name
    now = _names()
    found["new"] = [sorted(set(there) - set(then)) for there, then in zip(now, known, strict=True)]
    again = _again(rig, obj)
    found["second"] = again
    found["still"] = before == [digest(one) for one in (obj, other, rig.obj)]
    disable()
    return found


def _again(rig: Any, obj: bpy.types.Object) -> Any:
    """A second new shape, of an object that was changed meanwhile: its own triangles, beside the first."""
    bpy.context.view_layer.objects.active = obj
    view = _run(rig, "job-2")
    _, arrays = _sent(rig)
    half = slice(0, len(arrays["faces"]) // 2)
    less = {name: arrays[name][half] for name in ("faces", "corner_uvs", "material_index")}
    _finish(rig, view, _result(arrays, corner_colors=None, **less))
    first, second = bpy.data.objects["Blockout Refined"], bpy.data.objects["Blockout Refined.001"]
    places = _world(second)
    return [
        {len(polygon.vertices) for polygon in second.data.polygons} == {3},
        len(second.data.polygons) == half.stop,
        len(second.data.uv_layers),
        float(np.abs(places - (arrays["positions"] + 0.25)).max()) < 1e-5,
        round((second.location.x - obj.location.x) / (first.location.x - obj.location.x), 3),
        [material.name for material in second.data.materials],
    ]


def ends() -> Any:
    """Cancel, a failure, Stop and Keep, a damaged result, a save and an undo while it runs."""
    rig = _rig()
    obj = _artists()
    before = digest(obj)
    found: dict[str, Any] = {}
    view = _run(rig)
    _, arrays = _sent(rig)
    _preview(rig, arrays["positions"], arrays["faces"])
    known = len(_wires())
    rig.desk.previews.take_off()
    found["save"] = [known, len(_wires()), len([mesh for mesh in bpy.data.meshes if "Preview" in mesh.name])]
    _preview(rig, arrays["positions"], arrays["faces"])
    bpy.ops.pgc.cancel(key=view.key)
    found["cancel"] = [view.phase.value, len(_wires()), list(rig.fake.cancelled)]
    _finish(rig, view, _result(arrays), cancelled=True)
    found["nothing of it"] = [name for name in _names()[0] if "Refined" in name]
    view = _run(rig, "job-2")
    _preview(rig, arrays["positions"], arrays["faces"], "job-2")
    rig.fail(view, "RES.OOM")
    found["failed"] = [view.phase.value, len(_wires()), view.problem.operator]
    view = _run(rig, "job-3")
    found["stoppable"] = view.stoppable
    bpy.ops.pgc.stop_and_keep(key=view.key)
    _finish(rig, view, _result(arrays), cancelled=True)
    found["kept"] = [view.phase.value, "Blockout Refined" in bpy.data.objects, view.note]
    view = _run(rig, "job-4")
    _finish(rig, view, _result(arrays, faces=arrays["faces"] + np.int32(1000)))
    found["damaged"] = [view.phase.value, view.problem.text]
    view = _run(rig, "job-5")
    bpy.ops.object.mode_set(mode="EDIT")
    _finish(rig, view, _result(arrays))
    found["held"] = [view.phase.value, view.note]
    bpy.ops.object.mode_set(mode="OBJECT")
    rig.tick()
    found["then"] = [view.phase.value, "Blockout Refined.001" in bpy.data.objects]
    found["same"] = before == digest(obj)
    disable()
    return found


def undone() -> Any:
    """A result is one step of undo, and what an undo brings back of a run goes."""
    rig = _rig()
    obj = _artists()
    bpy.ops.ed.undo_push(message="start")
    view = _run(rig)
    _, arrays = _sent(rig)
    _preview(rig, arrays["positions"], arrays["faces"])
    # The artist does something meanwhile: the wireframe is in that step.
    obj.location.z += 1.0
    bpy.ops.ed.undo_push(message="moved")
    before = digest(obj)
    _finish(rig, view, _result(arrays))
    found: dict[str, Any] = {"made": "Blockout Refined" in bpy.data.objects}
    bpy.ops.ed.undo()
    rig.desk.undone = True
    rig.tick()
    obj = bpy.data.objects["Blockout"]
    found["undone"] = ["Blockout Refined" in bpy.data.objects, len(_wires()), before == digest(obj)]
    bpy.ops.ed.redo()
    rig.desk.undone = True
    rig.tick()
    found["redone"] = ["Blockout Refined" in bpy.data.objects, len(_wires())]
    disable()
    return found


def reopened() -> Any:
    """A job is noted in its object, so that a file that is opened again finds it."""
    from blender_addon.session import jobs_in_blend

    rig = _rig()
    obj = _artists()
    view = _run(rig)
    _, arrays = _sent(rig)
    (again,) = jobs_in_blend.collect()
    rig.desk.adopt([again])
    from blender_addon.client.events import JobStateChanged
    from blender_addon.protocol.records import JobState

    rig.fake.say(JobStateChanged("job-1", again.key, JobState.RUNNING))
    rig.tick()
    _finish(rig, again, _result(arrays))
    found = [again.reshapes, again.key == view.key, again.phase.value, "Blockout Refined" in bpy.data.objects]
    found.append(len(obj.pgc.job.pending))
    disable()
    return found


def imagined() -> Any:
    """A new object from the prompt alone, on the 3D cursor."""
    from blender_addon.protocol.meshes import ResultMesh

    rig = _rig()
    other = _artists()
    before = digest(other)
    bpy.context.scene.pgc.prompt = "a red vase"
    bpy.context.scene.cursor.location = (1.0, 2.0, 3.0)
    bpy.context.view_layer.objects.active = None
    view = _run(rig, operator="imagine")
    _, spec, arrays = rig.fake.submitted[-1]
    found: dict[str, Any] = {"sent": [len(spec.meshes), spec.shape.geometry, spec.prompt.text, len(arrays), spec.name]}
    places = np.array([[0, 0, -0.5], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    faces = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]], np.int32)
    _preview(rig, places, faces)
    (wire,) = _wires()
    found["wire"] = [round(value, 4) for value in wire.location]
    found["drawn"] = [text for kind, text in draw() if kind == "progress"]
    _finish(rig, view, ResultMesh(positions=places, faces=faces, corner_colors=np.full((4, 3, 3), 0.5, np.float32)))
    made = bpy.data.objects["a red vase"]
    found["made"] = [view.phase.value, view.note, len(_wires()), [round(value, 4) for value in made.location]]
    (material,) = made.data.materials
    (link,) = [one for one in material.node_tree.links if one.to_socket.name == "Base Color"]
    found["color"] = link.from_node.attribute_name == made.data.color_attributes[0].name
    found["same"] = before == digest(other)
    view = _run(rig, "job-2", operator="imagine")
    _preview(rig, places, faces, "job-2")
    bpy.ops.pgc.cancel(key=view.key)
    found["cancelled"] = [view.phase.value, len(_wires())]
    bpy.context.view_layer.objects.active = other
    view = _run(rig, "job-3", operator="imagine")
    rig.fail(view, "RES.DISK")
    found["told"] = " ".join(text for kind, text in draw() if kind == "label")
    bpy.context.scene.pgc.prompt = ""
    found["no prompt"] = bpy.ops.pgc.imagine.poll()
    disable()
    return found


class _Closed(Recorder):
    """As the panel is at first."""

    def panel(self, idname: str, **given: Any) -> Any:
        self.log.append(("panel", f"{idname} {given}"))
        return self, None if given.get("default_closed") else self


def _drawn() -> Any:
    """The subpanel closed, and open."""
    from blender_addon.session import event_pump
    from blender_addon.ui.shape import draw_shape

    found = []
    for recorder in (_Closed(), Recorder()):
        draw_shape(recorder, bpy.context, event_pump.current_state())
        found.append([f"{kind} {text}" for kind, text in recorder.log])
    return found


def refused() -> Any:
    """What cannot be is said at the click; nothing is sent."""
    rig = _rig()
    obj = _artists()
    shape, settings = bpy.context.scene.pgc.shape, bpy.context.scene.pgc
    found: dict[str, Any] = {}

    def said() -> str:
        try:
            bpy.ops.pgc.refine_shape()
        except RuntimeError as error:
            return str(error)
        return ""

    shape.loss = "normal"
    found["normals"] = said()
    settings.model, shape.loss, shape.hold = "flux", "rgb", True
    found["hold"] = said()
    settings.model, shape.hold = "pocket", False
    obj.scale = (1.0, 0.0, 1.0)
    bpy.context.view_layer.update()
    found["flat"] = said()
    obj.scale = (1.0, 1.0, 1.0)
    rig.fake.say(replace(rig.hello, maps=("base_color", "corner_uvs")))
    rig.tick()
    found["old server"] = [said(), rig.state.problem.operator]
    settings.prompt = ""
    found["prompt"] = bpy.ops.pgc.refine_shape.poll()
    found["drawn"] = _drawn()
    shape.geometry, shape.loss = "dmtet", "both"
    found["drawn, grid"] = _drawn()
    found["sent"] = len(rig.fake.submitted)
    disable()
    return found
