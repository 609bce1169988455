# SPDX-License-Identifier: Apache-2.0
"""Files, objects and renders while a job goes on."""

from pathlib import Path
from typing import Any

import bpy
from probe_session import Rig, disable, enable, materials
from probes import digest


def _open_again(path: str) -> None:
    bpy.ops.wm.open_mainfile(filepath=path)


def save_and_reopen(folder: str) -> Any:
    """Saved in the middle of a job, closed, opened: the job is found by its id, and its result applied."""
    path = str(Path(folder) / "scene.blend")
    enable()
    rig = Rig()
    rig.obj.data.materials.append(bpy.data.materials.new("Mine"))
    view = rig.run("job-77")
    rig.preview(job="job-77")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    found: dict[str, Any] = {"saved": list(rig.desk.saved) == [view.key], "after save": materials(rig.obj)}
    rig.preview((0, 9, 0), job="job-77")
    found["preview again"] = materials(rig.obj)
    disable()
    # A new Blender: nothing is known but the file.
    enable()
    rig = Rig()
    _open_again(path)
    view = rig.state.newest()
    obj = bpy.data.objects["Shown"]
    found |= {
        "in file": materials(obj),
        "attached": rig.fake.attached,
        "phase": view.phase.value,
        "prompt": view.request.prompt,
        "pictures in file": [image.name for image in bpy.data.images],
    }
    rig.preview(job="job-77")
    found["preview"] = materials(obj)
    rig.finish(view)
    found |= {"end": view.phase.value, "final": materials(obj), "pending": len(obj.pgc.job.pending)}
    disable()
    return found


def reopened_before_accepted(folder: str, known: bool) -> Any:
    """Saved before the server had taken the job: it is found by its key, or given up with a sentence."""
    from blender_addon.client.events import Connected
    from blender_addon.protocol.records import JobInfo, JobState

    path = str(Path(folder) / "scene.blend")
    enable()
    rig = Rig()
    key = rig.click().key
    bpy.ops.wm.save_as_mainfile(filepath=path)
    disable()
    enable()
    rig = Rig(connected=False)
    _open_again(path)
    jobs = (JobInfo("job-9", key, JobState.RUNNING),) if known else ()
    rig.fake.say(Connected("pgc-server/1", "e" * 32, (), ("cpu",), jobs))
    rig.tick()
    view = rig.state.newest()
    found = {
        "phase": view.phase.value,
        "attached": rig.fake.attached,
        "text": view.problem.text if view.problem else "",
        "pending": [entry.job for entry in bpy.data.objects["Shown"].pgc.job.pending],
    }
    disable()
    return found


def new_file(folder: str, saved: bool) -> Any:
    """File > New in the middle of a job: a job that a saved file knows goes on, another one ends on the server."""
    enable()
    rig = Rig()
    view = rig.run()
    rig.preview()
    if saved:
        bpy.ops.wm.save_as_mainfile(filepath=str(Path(folder) / "scene.blend"))
    bpy.ops.wm.read_homefile(use_empty=True)
    rig.preview()
    rig.finish(view)
    found = {
        "jobs": len(rig.state.jobs),
        "told": rig.fake.cancelled,
        "detached": rig.fake.detached,
        "images": len(bpy.data.images),
        "state": bpy.context.window_manager.pgc.state,
    }
    disable()
    return found


def deleted_and_back() -> Any:
    """The object is deleted: the result waits. Undo brings it back, or another object takes it."""
    enable()
    rig = Rig()
    bpy.ops.ed.undo_push(message="Start")
    view = rig.run()
    rig.preview()
    bpy.ops.ed.undo_push(message="Before")
    bpy.data.objects.remove(bpy.data.objects["Shown"])
    bpy.ops.ed.undo_push(message="Delete")
    rig.tick()
    rig.finish(view)
    found: dict[str, Any] = {"held": [view.phase.value, view.note]}
    bpy.ops.ed.undo()
    rig.tick()
    obj = bpy.data.objects["Shown"]
    found["back"] = [view.phase.value, materials(obj)]
    disable()
    enable()
    rig = Rig()
    view = rig.run()
    bpy.data.objects.remove(rig.obj)
    rig.finish(view)
    bpy.ops.mesh.primitive_plane_add()
    other = bpy.context.object
    bpy.ops.pgc.apply_to_active(key=view.key)
    rig.tick()
    found["other"] = [view.phase.value, len(materials(other))]
    disable()
    enable()
    rig = Rig()
    view = rig.run()
    bpy.data.objects.remove(rig.obj)
    rig.finish(view)
    bpy.ops.pgc.cancel(key=view.key)
    rig.tick()
    found["discarded"] = [view.phase.value, rig.fake.cancelled, len(view.files)]
    disable()
    return found


def renamed_and_duplicated() -> Any:
    """A new name changes nothing; a duplicate loses the preview, and gets no texture."""
    enable()
    rig = Rig()
    rig.obj.data.materials.append(bpy.data.materials.new("Mine"))
    view = rig.run()
    rig.preview()
    rig.obj.name = "Other Name"
    twin = rig.obj.copy()
    twin.data = rig.obj.data.copy()
    bpy.context.scene.collection.objects.link(twin)
    found: dict[str, Any] = {"twin before": materials(twin)}
    rig.preview((0, 9, 0))
    rig.finish(view)
    found |= {
        "final": materials(rig.obj),
        "twin": materials(twin),
        "pending": [len(obj.pgc.job.pending) for obj in (rig.obj, twin)],
        "keys": [obj.pgc.job.preview.key for obj in (rig.obj, twin)],
        "left": [material.name for material in bpy.data.materials if "Preview" in material.name and material.users],
    }
    disable()
    return found


def while_rendering() -> Any:
    """During F12 nothing of the scene changes; what came is applied after it."""
    from blender_addon.session import job_desk as desk_module

    enable()
    rig = Rig()
    rig.obj.data.materials.append(bpy.data.materials.new("Mine"))
    view = rig.run()
    rig.preview()
    desk_module.rendering = lambda: True
    before = digest(rig.obj)
    pixels = rig.obj.pgc.job.preview.material.node_tree.nodes["pgc base_color"].image.pixels[0]
    rig.preview((0, 255, 0))
    same = pixels == rig.obj.pgc.job.preview.material.node_tree.nodes["pgc base_color"].image.pixels[0]
    rig.finish(view)
    found = {"untouched": before == digest(rig.obj) and same, "phase": view.phase.value}
    desk_module.rendering = lambda: False
    rig.tick()
    found |= {"after": materials(rig.obj), "end": view.phase.value}
    disable()
    return found


def render_for_real(folder: str) -> Any:
    """Cycles renders while a job is under way: the picture is made, the job ends well."""
    enable()
    rig = Rig()
    view = rig.run()
    rig.preview()
    scene = bpy.context.scene
    scene.camera = bpy.data.objects.new("C", bpy.data.cameras.new("C"))
    scene.collection.objects.link(scene.camera)
    scene.camera.location.z = 4
    scene.render.engine, scene.render.resolution_x, scene.render.resolution_y = "CYCLES", 32, 32
    scene.cycles.samples = 1
    scene.render.filepath = str(Path(folder) / "out.png")
    bpy.ops.render.render(write_still=True)
    scene.frame_set(5)
    rig.preview((0, 1, 0))
    rig.finish(view)
    found = {"picture": Path(scene.render.filepath).exists(), "end": view.phase.value, "frame": scene.frame_current}
    disable()
    return found


def autosaved(folder: str) -> Any:
    """A file that was written without the save handlers, with the preview on: opening it mends it."""
    path = str(Path(folder) / "auto.blend")
    enable()
    rig = Rig()
    rig.obj.data.materials.append(bpy.data.materials.new("Mine"))
    rig.run()
    rig.preview()
    from blender_addon import handlers

    handlers.unregister()
    bpy.ops.wm.save_as_mainfile(filepath=path, copy=True)
    handlers.register()
    disable()
    enable()
    rig = Rig()
    _open_again(path)
    obj = bpy.data.objects["Shown"]
    found = {"mended": materials(obj), "key": obj.pgc.job.preview.key, "attached": rig.fake.attached}
    disable()
    enable()
    # The same without a session, as in a render on a farm.
    _open_again(path)
    from blender_addon.session import event_pump

    obj = bpy.data.objects["Shown"]
    found |= {"alone": materials(obj), "session": event_pump.existing_job_desk() is not None}
    disable()
    return found


def several_objects() -> Any:
    """Selected Objects: a job each, in one style; each gets its own texture."""
    from probes import _plane

    from blender_addon.client.events import JobAccepted
    from blender_addon.protocol.records import JobState

    enable()
    rig = Rig()
    second = _plane("Second")
    for obj in (rig.obj, second):
        obj.select_set(True)
    settings = bpy.context.scene.pgc
    settings.target, settings.seed = "objects", 11
    rig.click()
    views = list(rig.state.jobs.values())
    found: dict[str, Any] = {
        "objects": [view.object_name for view in views],
        "seeds": [spec.settings.seed for _, spec, _ in rig.fake.submitted],
        "next": settings.seed,
    }
    for index, view in enumerate(views):
        rig.fake.say(JobAccepted(f"job-{index}", view.key, JobState.QUEUED, index, False))
    rig.tick()
    for view in views:
        rig.finish(view)
    found["materials"] = [materials(obj) for obj in (rig.obj, second)]
    disable()
    return found


def settings_of_an_old_file(folder: str) -> Any:
    """A file of before the schema number is brought up to date; one of a later version is left alone."""
    from blender_addon.model import migrations

    path = str(Path(folder) / "old.blend")
    enable()
    scene = bpy.context.scene
    scene.pgc.schema, scene.pgc.prompt = 0, "kept"
    scene.pgc.steps = 100_000
    bpy.ops.wm.save_as_mainfile(filepath=path)
    found: dict[str, Any] = {"saved": scene.pgc.schema}
    scene.pgc.schema = migrations.SCHEMA + 5
    bpy.ops.wm.save_as_mainfile(filepath=path)
    _open_again(path)
    found |= {"later": bpy.context.scene.pgc.schema - migrations.SCHEMA, "prompt": bpy.context.scene.pgc.prompt}
    bpy.ops.wm.read_homefile(use_empty=True)
    found["new"] = bpy.context.scene.pgc.schema
    disable()
    return found


def nothing_left() -> Any:
    """After unregister with a job and a preview under way: no class, property, handler, timer, thread or picture."""
    import threading

    def names() -> set[str]:
        return {name for name in dir(bpy.types) if "PGC" in name.upper()}

    def handlers() -> list[str]:
        kinds = {name: getattr(bpy.app.handlers, name) for name in dir(bpy.app.handlers)}
        lists = {name: kind for name, kind in kinds.items() if isinstance(kind, list)}
        return [f"{name} {function.__module__}" for name, kind in lists.items() for function in kind]

    bpy.ops.wm.read_factory_settings(use_empty=True)
    before = (names(), handlers(), threading.active_count())
    enable()
    rig = Rig()
    rig.obj.data.materials.append(bpy.data.materials.new("Mine"))
    rig.run()
    rig.preview()
    from blender_addon.session import event_pump

    there = (names(), handlers())
    disable()
    return {
        "there": len(there[0]) > 10 and there[1] != before[1],
        "classes": sorted(names() - before[0]),
        "handlers": sorted(set(handlers()) - set(before[1])),
        "threads": threading.active_count() - before[2],
        "timer": bpy.app.timers.is_registered(event_pump.tick),
        "properties": [hasattr(kind, "pgc") for kind in (bpy.types.Scene, bpy.types.Object, bpy.types.WindowManager)],
        "materials": materials(rig.obj),
        "images": len(bpy.data.images),
        "closed": rig.fake.closed,
    }
