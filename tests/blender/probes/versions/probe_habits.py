# SPDX-License-Identifier: Apache-2.0
"""What artists do that is not in any manual: undo out of a mask, regenerate while it runs, a lamp among the selection.

Several in one process: starting Blender is what takes long.
"""

from typing import Any

import bpy
import numpy as np
from probe_keep_mask import _mask, _said
from probe_panel import _operators, _texts, draw
from probe_session import Rig, enable, job_result, map_file, materials
from probe_version_cases import ends_cleanly
from probes import _plane, _png, _ramp


@ends_cleanly
def canvas() -> Any:
    """The canvas while the mask is painted, after undo and redo, and when the mode is left in another way."""
    enable()
    from blender_addon.scene.painting.mask_display import is_painting

    rig = Rig()
    rig.finish(rig.run(), png=_png(_ramp(32)))
    obj, paint = rig.obj, bpy.context.scene.tool_settings.image_paint
    _mask(obj)
    paint.mode = "MATERIAL"
    bpy.ops.ed.undo_push(message="before")
    found: dict[str, Any] = {}

    def note(name: str) -> None:
        shown, tools = bpy.data.objects["Shown"], bpy.context.scene.tool_settings.image_paint
        material = shown.material_slots[0].material
        active = material.node_tree.nodes.active
        found[name] = [
            shown.mode,
            tools.mode,
            tools.canvas.name if tools.canvas else "",
            material.name.rpartition(".")[0] or material.name,
            active.image.name if material.name.startswith("PGC Mask") and active is not None else "",
            is_painting(shown),
        ]

    bpy.ops.pgc.paint_keep_mask()
    bpy.ops.ed.undo_push(message="Paint Mask")
    note("painting")
    bpy.ops.ed.undo_push(message="stroke")
    bpy.ops.pgc.paint_keep_mask()
    bpy.ops.ed.undo_push(message="Done Painting")
    note("done")
    # No turn of the timer in between: the next stroke may come before it.
    bpy.ops.ed.undo()
    note("undone")
    bpy.ops.ed.redo()
    note("redone")
    for _ in range(3):
        bpy.ops.ed.undo()
    note("undone to before")
    bpy.ops.ed.redo()
    note("painting again")
    tools = bpy.context.scene.tool_settings.image_paint
    tools.canvas = bpy.data.objects["Shown"].pgc.versions[0].maps["base_color"].image
    rig.tick()
    note("another canvas was chosen")
    bpy.ops.object.mode_set(mode="OBJECT")
    rig.tick()
    note("left by the mode menu")
    bpy.ops.object.mode_set(mode="TEXTURE_PAINT")
    rig.tick()
    note("ordinary painting")
    return found


@ends_cleanly
def clicks() -> Any:
    """Clicks at the wrong time, and what they leave."""
    from blender_addon.model.state import ServerState

    enable()
    rig = Rig()
    obj, settings = rig.obj, bpy.context.scene.pgc
    rig.finish(rig.run())
    rig.finish(rig.run("job-2"))
    settings.prompt, settings.steps, settings.target, settings.seed = "blue wood", 77, "slot", 5
    view = rig.run("job-3")
    settings.seed = 9
    before, rig.state.server.state = rig.state.server.state, ServerState.REFUSED
    found: dict[str, Any] = {"refused": _said(lambda: bpy.ops.pgc.version_regenerate(index=0))}
    rig.state.server.state = before
    found["untouched"] = [settings.prompt, settings.steps, settings.target, settings.seed]
    rig.preview(job="job-3")
    found["hindered"] = []
    for mode in ("TEXTURE_PAINT", "OBJECT"):
        bpy.ops.object.mode_set(mode=mode)
        found["hindered"].append("Leave Texture Paint to see the preview" in _texts(draw()))
    rig.tick()
    found["slot"] = "PGC" in _texts(draw()).replace("PGC Texture", "")
    rig.finish(view)
    found["after success"] = rig.state.problem is None
    image = _mask(obj)
    image.pixels.foreach_set(np.zeros(8 * 8 * 4, np.float32))
    settings.target = "object"
    view = rig.run("job-4")
    found["unpainted"] = "black all over" in _texts(draw())
    bpy.ops.pgc.stop_and_keep(key=view.key)
    found["stopping"] = [list(rig.fake.cancelled), "Stopping" in _texts(draw())]
    before = len(obj.pgc.versions)
    rig.finish(view, cancelled=True)
    found["kept"] = [len(obj.pgc.versions) - before, obj.pgc.active_version == before, view.phase.value]
    found["kept"].append(obj.pgc.versions[-1].partial)
    view = rig.run("job-5")
    shown = materials(obj)
    bpy.ops.pgc.cancel(key=view.key)
    found["cancelled"] = [bpy.ops.pgc.generate.poll(), "Coming as a Version" in _texts(draw())]
    bpy.ops.object.mode_set(mode="TEXTURE_PAINT")
    rig.finish(view, cancelled=True)
    bpy.ops.object.mode_set(mode="OBJECT")
    found["version of it"] = [len(obj.pgc.versions) - before, materials(obj) == shown, view.phase.value]
    bpy.ops.object.mode_set(mode="EDIT")
    obj.pgc.versions[0].target, obj.pgc.versions[0].faces = "selected_faces", ""
    found["in Edit Mode"] = "leave it" in _said(lambda: bpy.ops.pgc.version_regenerate(index=0))[0]
    bpy.ops.object.mode_set(mode="OBJECT")
    rig.tick()
    found["left"] = rig.state.problem is None
    return found


@ends_cleanly
def selection() -> Any:
    """Selected Objects with a lamp among them; menus without anything to show."""
    enable()
    rig = Rig()
    settings = bpy.context.scene.pgc
    lamp = bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", "POINT"))
    bpy.context.scene.collection.objects.link(lamp)
    other = _plane("Other")
    settings.target = "objects"
    for one in (rig.obj, other, lamp):
        one.select_set(True)
    bpy.context.view_layer.objects.active = lamp
    found: dict[str, Any] = {"lamp": bpy.ops.pgc.generate.poll()}
    bpy.ops.pgc.generate()
    found["sent"] = sorted(spec.name for _, spec, _ in rig.fake.submitted)
    found["running"] = bpy.ops.pgc.generate.poll()
    rig.obj.select_set(False)
    other.select_set(False)
    found["nothing"] = [bpy.ops.pgc.generate.poll(), "Select mesh objects first." in _texts(draw())]
    found["presets"] = _texts(draw("PGC_PT_presets"))
    rig.obj.select_set(True)
    bpy.context.view_layer.objects.active = rig.obj
    settings.target, settings.prompt = "object", "red bricks"
    rig.state.jobs.clear()
    known = [kind for kind, _ in draw()]
    settings.prompt = "red gnarly bricks"
    log = draw()
    found["same place"] = known.index("operator") == [kind for kind, _ in log].index("operator")
    found["unknown"] = next((text for kind, text in log if kind == "label" and "nknown" in text), "")
    return found


@ends_cleanly
def uvs() -> Any:
    """UVs that change while a job runs: what is said, and the texture moved to them."""
    enable()
    rig = Rig()
    obj = rig.obj
    layer = obj.data.uv_layers[0].uv
    before = np.empty(2 * len(layer), np.float32)
    layer.foreach_get("vector", before)
    view = rig.run()
    packed = bool(obj.pgc.job.pending[0].uvs)
    moved = np.ascontiguousarray(before.reshape(-1, 2)[:, ::-1]) * np.float32(0.5) + np.float32(0.25)
    layer.foreach_set("vector", moved.ravel())
    obj.data.update()
    bpy.context.view_layer.update()
    picture = _ramp(64)
    rig.finish(view, png=_png(picture))
    found: dict[str, Any] = {"noted": packed, "said": "UVs of Shown changed" in _texts(draw())}
    found["offered"] = [name for name in _operators(draw()) if name in ("pgc.transfer_uvs", "pgc.version_regenerate")]
    assert bpy.ops.pgc.transfer_uvs() == {"FINISHED"}
    rig.tick()
    names = [version.name for version in obj.pgc.versions]
    found["versions"] = [names, obj.pgc.active_version, obj.pgc.versions[1].prompt]
    found["still said"] = "UVs of Shown changed" in _texts(draw())
    found["then"] = [name for name in _operators(draw()) if name == "pgc.transfer_uvs"]
    image = obj.pgc.versions[1].maps["base_color"].image
    values = np.empty(len(image.pixels), np.float32)
    image.pixels.foreach_get(values)
    new = values.reshape(image.size[1], image.size[0], -1)[..., :3]
    old = picture[::-1].astype(np.float32) / 255.0
    errors = []
    for u in np.linspace(0.1, 0.9, 9):
        for v in np.linspace(0.1, 0.9, 9):
            there = new[int((u * 0.5 + 0.25) * 64), int((v * 0.5 + 0.25) * 64)]
            errors.append(float(np.abs(there - old[int(v * 64), int(u * 64)]).max()))
    found["error"] = float(np.median(errors))
    found["left behind"] = [mesh.name for mesh in bpy.data.meshes if mesh.users == 0]
    found["left behind"] += [one.name for one in bpy.data.scenes if one.name.startswith("PGC")]
    obj.pgc.active_version = 0
    layer = obj.data.uv_layers[0].uv
    layer.foreach_set("vector", before)
    obj.data.update()
    bpy.context.view_layer.update()
    rig.tick()
    found["put back"] = [name for name in _operators(draw()) if name == "pgc.transfer_uvs"]
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.mesh.subdivide()
    bpy.ops.object.mode_set(mode="OBJECT")
    rig.tick()
    found["other faces"] = _said(lambda: bpy.ops.pgc.transfer_uvs(index=0))
    return found


@ends_cleanly
def results() -> Any:
    """A result that an undo took away comes from the server again."""
    from blender_addon.client.events import JobFinished, JobList
    from blender_addon.protocol.records import JobInfo, JobState

    enable()
    rig = Rig()
    bpy.ops.ed.undo_push(message="before")
    view = rig.run()
    rig.finish(view, png=_png(_ramp(32)))
    ended = JobInfo("job-1", view.key, JobState.SUCCEEDED, created=1e9, name="Shown")
    other = JobInfo("job-0", "b" * 32, JobState.CANCELLED, created=9e8, name="Elsewhere")
    open_one = JobInfo("job-2", "c" * 32, JobState.RUNNING, created=2e9, name="Shown")
    rig.fake.say(JobList("r", (open_one, ended, other)))
    rig.tick()
    found: dict[str, Any] = {"asked": rig.fake.listed > 0, "menu": len(_operators(draw("PGC_MT_results")))}
    bpy.ops.ed.undo()
    rig.tick()
    obj = bpy.data.objects["Shown"]
    bpy.context.view_layer.objects.active = obj
    found["undone"] = len(obj.pgc.versions)
    bpy.ops.pgc.fetch_result(job="job-1", key=view.key)
    found["attached"] = list(rig.fake.attached)
    rig.finish(rig.state.jobs[view.key], png=_png(_ramp(32)))
    version = obj.pgc.versions[0]
    found["fetched"] = [len(obj.pgc.versions), version.prompt, version.job, obj.pgc.active_version]
    found["again"] = [list(bpy.ops.pgc.fetch_result(job="job-1", key=view.key)), len(obj.pgc.versions)]
    bpy.ops.pgc.fetch_result(job="job-0", key="b" * 32)
    file, data = map_file(_png(_ramp(16)))
    config = b'{"seed": 7, "resolved": {"prompt": {"text": "old moss", "negative": ""}}}'
    rig.fake.say(JobFinished("job-0", None, job_result(file), {file: data}, config))
    rig.tick()
    found["other"] = [len(obj.pgc.versions), obj.pgc.versions[1].prompt, obj.pgc.versions[1].seed]
    return found
