# SPDX-License-Identifier: Apache-2.0
"""New Object by Image with a client that only plays back: what is sent of a picture, and what comes of it."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from probe_panel import draw
from probe_session import ADDON, disable, enable
from probe_shape_faults import _tetrahedron
from probe_shapes import _artists, _finish, _preview, _rig, _run, _wires
from probes import _plane, digest


def _seeing(state: str = "installed") -> Any:
    """A rig whose server has the model that sees, or lacks it."""
    from blender_addon.protocol.records import ModelInfo

    rig = _rig()
    rig.hello = replace(rig.hello, models=(*rig.hello.models, ModelInfo("zero123", state)))
    rig.fake.say(rig.hello)
    rig.tick()
    return rig


def _chosen(path: str) -> Any:
    """The settings, with a picture from the disk."""
    wish = bpy.context.scene.pgc.shape
    wish.picture = bpy.data.images.load(path)
    return wish


def _sent(rig: Any) -> tuple[Any, bytes]:
    _, spec, arrays = rig.fake.submitted[-1]
    return spec, arrays[spec.shape.picture.file.sha256].tobytes()


def _said() -> str:
    try:
        bpy.ops.pgc.imagine_picture()
    except RuntimeError as error:
        return str(error)
    return ""


def made(photograph: str) -> Any:
    """From a file on the disk to an object on the cursor; with nothing selected; fetched again, cancelled."""
    from blender_addon.model.recent_results import recent_results
    from blender_addon.protocol.records import JobInfo, JobState

    rig = _seeing()
    other = _artists()
    before = digest(other)
    bpy.context.scene.pgc.prompt = ""
    found: dict[str, Any] = {"no picture": bpy.ops.pgc.imagine_picture.poll()}
    wish = _chosen(photograph)
    wish.elevation = 0.5
    bpy.context.scene.cursor.location = (1.0, 2.0, 3.0)
    bpy.context.view_layer.objects.active = None
    view = _run(rig, operator="imagine_picture")
    spec, data = _sent(rig)
    picture = spec.shape.picture
    found["sent"] = [len(spec.meshes), spec.shape.geometry, spec.guidance.model, spec.prompt.text, spec.name]
    found["picture"] = [picture.width, picture.height, picture.name, picture.elevation]
    found["as it lies on the disk"] = data == Path(photograph).read_bytes()
    mesh = replace(_tetrahedron(), corner_colors=np.full((4, 3, 3), 0.5, np.float32))
    _preview(rig, mesh.positions, mesh.faces)
    (wire,) = _wires()
    found["wire"] = [round(value, 4) for value in wire.location]
    _finish(rig, view, mesh)
    new = bpy.data.objects["mug"]
    found["made"] = [view.phase.value, view.note, len(_wires()), [round(value, 4) for value in new.location]]
    found["material"] = len(new.data.materials)
    found["same"] = before == digest(other)
    name = "mug (new shape)"
    rig.state.server.jobs = (JobInfo("job-1", view.key, JobState.SUCCEEDED, name=name),)
    rig.state.server.jobs += (JobInfo("job-0", "b" * 32, JobState.SUCCEEDED, name="Elsewhere"),)
    found["recent"] = [result.is_shape for result in recent_results(rig.state, 2.0)]
    found["drawn"] = [text for kind, text in draw("PGC_MT_results") if kind == "operator"]
    assert bpy.ops.pgc.fetch_result(job="job-1", key=view.key) == {"FINISHED"}
    _finish(rig, rig.state.jobs[view.key], mesh)
    found["again"] = "mug.001" in bpy.data.objects
    rig.state.jobs.clear()
    assert bpy.ops.pgc.fetch_result(job="job-1", key=view.key) == {"FINISHED"}
    _finish(rig, rig.state.jobs[view.key], mesh)
    found["forgotten"] = "mug.002" in bpy.data.objects
    try:
        bpy.ops.pgc.fetch_result(job="job-0", key="b" * 32)
    except RuntimeError as error:
        found["a texture"] = str(error)
    view = _run(rig, "job-2", operator="imagine_picture")
    _preview(rig, mesh.positions, mesh.faces, "job-2")
    bpy.ops.pgc.cancel(key=view.key)
    found["cancelled"] = [view.phase.value, len(_wires())]
    view = _run(rig, "job-3", operator="imagine_picture")
    rig.fail(view, "RES.DISK")
    found["failed"] = [view.problem.operator, rig.state.newest() is view]
    found["still"] = before == digest(other)
    disable()
    return found


def pictures(photograph: str) -> Any:
    """Which bytes travel of packed, painted, made, deep and foreign pictures, and what cannot travel."""
    from blender_addon.protocol.specs.picture import picture_header
    from blender_addon.scene.errors import SceneError
    from blender_addon.scene.pictures.picture_files import picture_file

    _seeing()
    image = bpy.data.images.load(photograph)
    stored = Path(photograph).read_bytes()
    image.pack()
    found: dict[str, Any] = {"packed": picture_file(image).data.tobytes() == stored}
    values = np.tile(np.array([1.0, 0.5, 0.0, 1.0], np.float32), (image.size[0] * image.size[1], 1))
    values[: image.size[0]] = 0.0
    image.pixels.foreach_set(values.reshape(-1))
    painted = picture_file(image)
    found["painted"] = [painted.header.kind, painted.header.width, painted.header.height, painted.name]
    again = Path(photograph).with_name("again.png")
    again.write_bytes(painted.data.tobytes())
    read = bpy.data.images.load(str(again))
    pixels = np.empty(len(values) * 4, np.float32)
    read.pixels.foreach_get(pixels)
    found["its pixels"] = float(np.abs(pixels - values.reshape(-1)).max())
    drawn = bpy.data.images.new("Made", 12, 8)
    drawn.filepath_raw, drawn.file_format = str(Path(photograph).with_name("made.tga")), "TARGA"
    found["made"] = picture_file(drawn).header.kind
    drawn.save()
    found["foreign"] = picture_file(bpy.data.images.load(drawn.filepath_raw)).header.kind
    found["header"] = picture_header(lambda start, end: painted.data[start:end].tobytes()) == painted.header
    large = bpy.data.images.new("Large", 8200, 1)
    for name, one in (("large", large), ("gone", bpy.data.images.load(photograph, check_existing=False))):
        if name == "gone":
            one.filepath_raw = "/nowhere/mug.png"
            one.source = "MOVIE"
        try:
            picture_file(one)
        except SceneError as error:
            found[name] = error.text
    disable()
    return found


def choices(photograph: str) -> Any:
    """What the start and the one who judges change; what cannot be is said at the click, and nothing is sent."""
    rig = _seeing("missing")
    obj = _artists()
    wish = _chosen(photograph)
    found: dict[str, Any] = {"missing": [_said(), rig.state.problem.operator, rig.state.problem.options]}
    log = draw()
    found["drawn"] = [text for kind, text in log if kind == "operator" and "imagine" in text]
    found["offered"] = ("operator", "pgc.copy_model_command") in log
    wish.viewer = "prompt"
    wish.start = "offsets"
    view = _run(rig, operator="imagine_picture")
    spec, _ = _sent(rig)
    found["sent"] = [len(spec.meshes), spec.shape.geometry, spec.guidance.model, spec.prompt.text]
    found["of"] = [view.object_name, view.of_no_object]
    _finish(rig, view, _tetrahedron())
    found["beside"] = [view.note, "Blockout Refined" in bpy.data.objects]
    bpy.context.view_layer.objects.active = None
    found["no mesh"] = bpy.ops.pgc.imagine_picture.poll()
    bpy.context.view_layer.objects.active, wish.start = obj, "volume"
    bpy.context.scene.pgc.prompt = ""
    found["no prompt"] = bpy.ops.pgc.imagine_picture.poll()
    count = len(rig.fake.submitted)
    wish.viewer = "zero123"
    wish.picture = bpy.data.images.new("Large", 8200, 1)
    found["large"] = [_said(), " ".join(text for kind, text in draw() if kind == "label")]
    limits = rig.hello.limits
    rig.fake.say(replace(rig.hello, models=(), limits=replace(limits, job_memory=1000)))
    rig.tick()
    wish.picture = bpy.data.images.load(photograph)
    found["memory"] = _said()
    found["nothing more"] = len(rig.fake.submitted) == count
    disable()
    return found


def on_a_server(connection: str, picture: str, steps: int = 1, seconds: float = 240.0, save: str = "") -> Any:
    """From the click to the object, with a true server and a checkpoint of the true format.

    Args:
        seconds: for all waits together. save: a .blend file for eyes.
    """
    end = time.monotonic() + seconds
    enable()
    bpy.context.preferences.addons[ADDON].preferences.connection = connection
    from blender_addon.session import event_pump

    others = [_artists(), _plane("Floor")]
    before = [digest(one) for one in others]
    wish = _chosen(picture)
    wish.steps = steps
    bpy.context.view_layer.objects.active = None
    desk = event_pump.job_desk()
    desk.connect()
    state = desk.state

    def until(check: Any) -> bool:
        while not check() and time.monotonic() < end:
            event_pump.tick()
            time.sleep(0.02)
        return bool(check())

    found: dict[str, Any] = {"there": until(lambda: state.server.ready)}
    assert bpy.ops.pgc.imagine_picture() == {"FINISHED"}
    view = state.newest()
    found["shown"] = until(lambda: len(_wires()) == 1 or not view.live)
    found["ended"] = until(lambda: not view.live)
    found["told"] = [view.phase.value, view.problem.text if view.problem else view.note, len(_wires())]
    made = bpy.data.objects.get(Path(picture).stem)
    if made is not None:
        (material,) = made.data.materials
        sides = np.array(made.dimensions)
        found["mesh"] = [len(made.data.polygons), len(made.data.color_attributes), material.name]
        found["upright"] = float(sides[2] / sides[0])
    found["same"] = before == [digest(one) for one in others]
    if save:
        bpy.ops.wm.save_as_mainfile(filepath=save)
    disable()
    return found
