# SPDX-License-Identifier: GPL-3.0-or-later
"""New UV Map by xatlas, with a server that only plays back: what is sent, and what comes of the answer."""

from typing import Any

import bpy
import numpy as np
from probe_session import Rig, disable, enable
from probe_uvs import LAYOUTS, _box, _uvs

JOB = "job-uv"


def _rig(*, able: bool = True, connected: bool = True) -> Rig:
    from dataclasses import replace

    for left in list(bpy.data.objects):
        bpy.data.objects.remove(left)
    rig = Rig(connected=False)
    if connected:
        maps = ("base_color", "corner_uvs") if able else ("base_color",)
        rig.fake.say(replace(rig.hello, maps=maps))
        rig.tick()
    return rig


def _said(operator: Any) -> list[str]:
    try:
        return sorted(operator())
    except RuntimeError as error:
        return [str(error).removeprefix("Error: ").strip()]


def _sent(rig: Rig) -> tuple[Any, dict[str, np.ndarray]]:
    _, spec, arrays = rig.fake.submitted[-1]
    return spec, {name: arrays[ref.sha256] for name, ref in spec.meshes[0].arrays().items()}


def _own(polygon: np.ndarray, position: np.ndarray, count: int) -> np.ndarray:
    """Where a corner lies: each polygon in a cell of its own, its corners on a circle by their number in the mesh."""
    side = int(np.ceil(np.sqrt(count)))
    angle = position * 2.4
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=-1) * 0.4 + 0.5
    cell = np.stack([polygon % side, polygon // side], axis=-1)
    return ((cell + circle) / side).astype(np.float32)


def _answer(rig: Rig, *, data: bytes | None = None, name: str = "corner_uvs") -> Any:
    """The server's UVs for what was sent last, and the ticks that put them onto the mesh."""
    from blender_addon.client.events import JobAccepted, JobFinished, JobProgress, JobStateChanged
    from blender_addon.protocol.arrays import DType
    from blender_addon.protocol.records import JobResult, JobState, MapFile

    view = rig.state.newest()
    _, arrays = _sent(rig)
    faces, polygon = arrays["faces"], arrays["polygon_index"]
    uvs = _own(np.repeat(polygon[:, None], 3, axis=1), faces, int(polygon.max()) + 1)
    data = uvs.tobytes() if data is None else data
    file = MapFile(name, 1001, 3, len(faces), 2, DType.F32, "linear", "raw", "ab" * 32, len(data))
    job = view.job or f"job-{view.key}"
    rig.fake.say(JobAccepted(job, view.key, JobState.QUEUED, 0, False))
    rig.fake.say(JobStateChanged(job, view.key, JobState.RUNNING), JobProgress(job, 30, 100))
    rig.fake.say(JobFinished(job, view.key, JobResult((file,), "cd" * 32, 1.0), {file: data}, b"{}"))
    rig.tick()
    return view


def _expected(obj: bpy.types.Object) -> np.ndarray:
    mesh = obj.data
    vertices = np.empty(len(mesh.loops), np.int32)
    mesh.loops.foreach_get("vertex_index", vertices)
    sizes = [polygon.loop_total for polygon in mesh.polygons]
    return _own(np.repeat(np.arange(len(sizes)), sizes), vertices, len(sizes))


def _n_gons(name: str) -> bpy.types.Object:
    """A cylinder with two caps of eleven corners, none of whose UVs are any good."""
    bpy.ops.mesh.primitive_cylinder_add(vertices=11, end_fill_type="NGON")
    obj = bpy.context.object
    obj.name = name
    uvs = np.zeros(len(obj.data.loops) * 2, np.float32)
    obj.data.uv_layers[0].uv.foreach_set("vector", uvs + np.float32(0.5))
    return obj


def lands() -> Any:
    """For each layout: what is sent, the new map, and undo and redo."""
    enable()
    found: dict[str, Any] = {}
    for layout in [None, *(name for name in LAYOUTS if name != "good"), "n-gons"]:
        rig = _rig()
        obj = _n_gons("Drum") if layout == "n-gons" else _box(str(layout), layout)
        if layout == "n-gons":
            obj.scale = (1.0, 2.0, -1.0)
            bpy.context.view_layer.update()
        before = _uvs(obj, "UVMap") if layout else None
        bpy.ops.ed.undo_push(message="before")
        row: dict[str, Any] = {"clicked": _said(bpy.ops.pgc.unwrap_on_server)}
        spec, arrays = _sent(rig)
        row["spec"] = [list(spec.maps), spec.name, sorted(arrays), len(obj.data.loop_triangles)]
        row["extent"] = np.ptp(arrays["positions"], axis=0).round(3).tolist()
        row["layers meanwhile"] = [layer.name for layer in obj.data.uv_layers]
        row["noted"] = len(obj.pgc.job.pending)
        view = _answer(rig)
        row["phase"], row["note"] = view.phase.value, view.note
        row["layers"] = [layer.name for layer in obj.data.uv_layers]
        row["active"] = obj.data.uv_layers.active.name
        row["own kept"] = before is None or np.array_equal(_uvs(obj, "UVMap"), before)
        new = _uvs(obj, "PGC")
        row["by loop"] = bool(np.array_equal(new, _expected(obj)))
        row["others kept"] = layout == "partial" and np.array_equal(new[8:], before[8:])
        row["filled"] = layout == "partial" and bool((np.ptp(new[:8], axis=0) > 0.01).all())
        name = obj.name
        bpy.ops.ed.undo()
        row["undone"] = [layer.name for layer in bpy.data.objects[name].data.uv_layers]
        bpy.ops.ed.redo()
        row["redone"] = [layer.name for layer in bpy.data.objects[name].data.uv_layers]
        row["timings"] = len(rig.state.seconds_per_step)
        found[str(layout)] = row
    disable()
    return found


def _move(obj: bpy.types.Object) -> None:
    obj.data.vertices[3].co.x += 0.25
    obj.data.update()


def _subdivide(obj: bpy.types.Object) -> None:
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.mesh.subdivide()
    bpy.ops.object.mode_set(mode="OBJECT")


def _turn_face(obj: bpy.types.Object) -> None:
    obj.data.polygons[0].flip()
    obj.data.update()


def _own_uvs(obj: bpy.types.Object) -> None:
    obj.data.uv_layers[0].uv[9].vector = (0.77, 0.1)


def _no_uvs(obj: bpy.types.Object) -> None:
    obj.data.uv_layers.remove(obj.data.uv_layers[0])


def _gone(obj: bpy.types.Object) -> None:
    bpy.data.objects.remove(obj)


def _renamed(obj: bpy.types.Object) -> None:
    obj.name = "Another Name"
    obj.hide_set(True)
    obj.location.x = 9


CHANGES = {
    "moved": _move,
    "subdivided": _subdivide,
    "a face turned over": _turn_face,
    "its UVs changed": _own_uvs,
    "its UV map removed": _no_uvs,
    "gone": _gone,
    "renamed, hidden and moved": _renamed,
}


def changed() -> Any:
    """What was changed while the UVs were made."""
    enable()
    found = {}
    for name, change in CHANGES.items():
        rig = _rig()
        obj = _box("Crate", "partial")
        bpy.ops.pgc.unwrap_on_server()
        mesh = obj.data
        change(obj)
        view = _answer(rig)
        problem = view.problem
        found[name] = {
            "phase": view.phase.value,
            "text": problem.text if problem else "",
            "fix": problem.operator if problem else "",
            "layers": [layer.name for layer in mesh.uv_layers],
        }
    disable()
    return found


def refusals() -> Any:
    """What is said before anything is sent, and of a server's refusal."""
    from blender_addon.client.events import JobFailed
    from blender_addon.protocol.errors import ErrorCode, Retry, WireError

    enable()
    found: dict[str, Any] = {}
    rig = _rig(able=False)
    _box("Crate", "tiling")
    found["lacks xatlas"] = [_said(bpy.ops.pgc.unwrap_on_server), rig.state.problem.operator, len(rig.fake.submitted)]
    rig = _rig()
    obj = _box("Crate", "tiling")
    bpy.ops.object.mode_set(mode="EDIT")
    found["edit mode"] = bpy.ops.pgc.unwrap_on_server.poll()
    bpy.ops.object.mode_set(mode="OBJECT")
    obj.data.clear_geometry()
    found["no faces"] = _said(bpy.ops.pgc.unwrap_on_server)
    for number, (code, field, text) in enumerate(
        [
            ("INPUT.INVALID", "maps", "The server cannot make UVs, since xatlas is not installed there."),
            ("INPUT.INVALID", None, "Crate: none of its triangles has an area."),
            ("BUSY", None, "busy"),
            ("INTERNAL", None, "Something went wrong."),
        ]
    ):
        rig = _rig()
        _box("Crate", "tiling")
        bpy.ops.pgc.unwrap_on_server()
        view = rig.state.newest()
        rig.fake.say(JobFailed(None, view.key, WireError(ErrorCode(code), Retry.CHANGED, text, field=field)))
        rig.tick()
        found[f"refused {number}"] = [view.phase.value, view.problem.text, view.problem.operator, view.problem.label]
    for name, data, kind in (("short", b"1234", "corner_uvs"), ("nan", None, "corner_uvs"), ("other", None, "normal")):
        rig = _rig()
        obj = _box("Crate", "tiling")
        bpy.ops.pgc.unwrap_on_server()
        filled = np.full(12 * 6, np.nan, "<f4").tobytes() if name == "nan" else data
        view = _answer(rig, data=filled, name=kind)
        found[name] = [view.phase.value, view.problem.text, len(obj.data.uv_layers)]
    rig = _rig()
    obj = _box("Crate", "tiling")
    while len(obj.data.uv_layers) < 8:
        obj.data.uv_layers.new(name="more")
    bpy.ops.pgc.unwrap_on_server()
    view = _answer(rig)
    found["full"] = [view.phase.value, view.problem.text, len(obj.data.uv_layers)]
    disable()
    return found


def _takes(view: Any) -> list[Any]:
    """What is said of the time, by triangles and phase."""
    from dataclasses import replace

    from blender_addon.model.state import Phase
    from blender_addon.ui.progress import effort_text

    said = [view.unwrap.triangles]
    for triangles in (12, 9_000, 49_284, 400_000):
        said.append(effort_text(replace(view, unwrap=replace(view.unwrap, triangles=triangles))))
    large = replace(view, unwrap=replace(view.unwrap, triangles=49_284))
    phases = (Phase.UPLOADING, Phase.QUEUED, Phase.RUNNING, Phase.RECEIVING, Phase.HELD)
    said.append([bool(effort_text(replace(large, phase=phase))) for phase in phases])
    said.append(effort_text(replace(large, unwrap=None)))
    return said


def meanwhile() -> Any:
    """Progress, Cancel, modes in which the UVs wait, and what is not told of a job for UVs."""
    import time
    from importlib import import_module

    from blender_addon.client.events import JobAccepted, JobProgress, JobStateChanged
    from blender_addon.model.recent_results import recent_results
    from blender_addon.model.state import ServerState
    from blender_addon.protocol.records import JobInfo, JobState

    enable()
    module = import_module("blender_addon.ui.progress")
    progress, waiting = module.progress_text, module.waiting_text
    found: dict[str, Any] = {}
    rig = _rig()
    obj = _box("Crate", "tiling")
    bpy.ops.pgc.unwrap_on_server()
    view = rig.state.newest()
    found["sending"] = progress(view, ServerState.READY)
    found["takes"] = _takes(view)
    found["waits for"] = [waiting(view)]
    rig.fake.say(JobAccepted(JOB, view.key, JobState.QUEUED, 2, False))
    rig.tick()
    found["queued"] = progress(view, ServerState.READY)
    found["waits for"].append(waiting(view))
    rig.fake.say(JobStateChanged(JOB, view.key, JobState.RUNNING), JobProgress(JOB, 40, 100))
    rig.tick()
    found["waits for"].append(waiting(view))
    found["running"] = [progress(view, ServerState.READY), view.progress, view.stoppable]
    found["away"] = progress(view, ServerState.CONNECTING)
    found["generate meanwhile"] = bpy.ops.pgc.generate.poll()
    found["again meanwhile"] = bpy.ops.pgc.unwrap_on_server.poll()
    bpy.ops.pgc.cancel(key=view.key)
    found["cancelled"] = [view.phase.value, view.note, list(rig.fake.cancelled)]
    found["generate after it"] = bpy.ops.pgc.generate.poll()
    view = _answer(rig)
    found["late"] = [view.phase.value, len(obj.data.uv_layers)]
    bpy.ops.pgc.unwrap_on_server()
    bpy.ops.object.mode_set(mode="EDIT")
    view = _answer(rig)
    found["in edit mode"] = [view.phase.value, view.note, len(obj.data.uv_layers)]
    bpy.ops.object.mode_set(mode="OBJECT")
    rig.tick()
    found["left"] = [view.phase.value, [layer.name for layer in obj.data.uv_layers]]
    infos = [JobInfo(f"j{index}", f"{index}" * 32, JobState.SUCCEEDED, created=time.time(), name=name)
             for index, name in enumerate(("Crate", "Crate (new UV map)"))]  # fmt: skip
    rig.state.server.jobs = tuple(infos)
    found["recent"] = [result.job for result in recent_results(rig.state, time.time())]
    disable()
    return found
