# SPDX-License-Identifier: Apache-2.0
"""An exception in every callback of Blender's: the job ends in one of its states, and the panel says one sentence."""

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
from probe_panel import Recorder
from probe_session import ADDON, Rig, disable, enable, materials
from probes import digest

MARK = "made on purpose"
IN_A_TURN = [
    "session.job_desk.JobDesk.tick",
    "local_server.reach.StarterWatch.look",
    "session.server_link.ServerLink.watch",
    "session.job_desk.JobDesk._take_events",
    "session.job_desk.JobDesk._perform",
    "session.job_desk.JobDesk._show",
    "session.server_link.ServerLink.list_jobs",
    "scene.painting.mask_brush.MaskBrush.follow",
    "scene.meshes.uv_watch.UvWatch.look",
    "session.job_desk.reduce_event",
    "session.job_desk.JobDesk._follow",
    "session.job_desk.follow_painting",
    "model.state.AppState.mode_is",
    "session.job_desk.jobs_in_blend.note",
    "session.job_desk.jobs_in_blend.note_all",
    "session.job_desk.rendering",
    "session.event_pump._keep_timings",
    "session.progress_icon.ProgressIcons.show",
    "session.previews.Previews.put",
    "session.previews.Previews.end",
    "session.previews.Previews.step",
    "session.previews.Previews.take_off_strangers",
    "session.previews.may_preview",
    "session.previews.begin_preview",
    "session.previews.update_preview",
    "session.previews.end_preview",
    "session.previews.find_object",
    "scene.live_preview.show_frame",
    "scene.live_preview.preview_material",
    "scene.live_preview.release",
    "session.delivery.Deliveries.step",
    "session.delivery.Deliveries.add",
    "session.delivery.find_object",
    "session.delivery.hindrance",
    "session.delivery.VersionBuilder",
    "session.delivery.VersionBuilder.add_map",
    "session.delivery.VersionBuilder.finish",
    "session.delivery.forget",
    "session.delivery._push_undo",
    "scene.versions.builder.build_material",
    "scene.versions.builder.new_packed_image",
    "scene.versions.builder.new_thumbnail",
    "scene.versions.builder.apply_version_index",
    "scene.versions.showing.show_layers",
    "scene.versions.showing.end_preview",
]
"""What a turn of the timer calls, from the outermost to the innermost, by module and name."""
WHERE_IT_FAILS = [
    "session.job_desk.jobs_in_blend.forget",
    "session.progress_icon.ProgressIcons.drop",
    "session.previews.Previews.end",
]
"""The same for a job that the server fails."""
EVENTS = ["JobAccepted", "JobStateChanged", "JobProgress", "PreviewFrame", "JobFinished", "JobFailed", "JobCancelled"]
HANDLERS = [
    ("load_post", "handlers._migrate_all"),
    ("load_post", "handlers.jobs_in_blend.collect"),
    ("load_post", "session.job_desk.JobDesk.adopt"),
    ("save_pre", "handlers._migrate_all"),
    ("save_pre", "handlers.pack_masks"),
    ("save_pre", "session.previews.Previews.take_off"),
    ("save_pre", "handlers.jobs_in_blend.note_all"),
    ("save_post", "model.state.AppState.live"),
    ("undo_post", "session.event_pump.existing_job_desk"),
    ("redo_post", "session.event_pump.existing_job_desk"),
]


@contextlib.contextmanager
def _raising(place: str) -> Iterator[list[int]]:
    """`place` raises as long as this lasts; the list grows with each call."""
    names = place.split(".")
    for count in range(len(names), 0, -1):
        try:
            owner: Any = importlib.import_module(".".join([ADDON, *names[:count]]))
        except ModuleNotFoundError:
            continue
        break
    for name in names[count:-1]:
        owner = getattr(owner, name)
    before = vars(owner)[names[-1]]
    calls: list[int] = []

    def fail(*_: Any, **__: Any) -> None:
        calls.append(1)
        raise KeyError(MARK)

    setattr(owner, names[-1], fail)
    try:
        yield calls
    finally:
        setattr(owner, names[-1], before)


def _said(rig: Rig) -> list[str]:
    """The sentences about defects that the panel shows now."""
    problems = [rig.state.problem, *(view.problem for view in rig.state.jobs.values())]
    return [problem.text for problem in problems if problem is not None and MARK in problem.text]


def in_a_turn() -> Any:
    """Each place raises in turn from the click to the end of a job, with a preview and an undo on the way."""
    found = {}
    for place, fails in [*((place, False) for place in IN_A_TURN), *((place, True) for place in WHERE_IT_FAILS)]:
        enable()
        rig = Rig()
        rig.obj.data.materials.append(bpy.data.materials.new("Mine"))
        with _raising(place) as calls:
            turns = _one_job(rig, fails)
            said = _said(rig)
        rig.tick()
        view = rig.state.newest()
        facts = {"calls": len(calls), "turns": len(turns), "kept": all(turns), "said": said, "ended": view.phase.value}
        found[f"{place}, failed" if fails else place] = facts | _afterwards(rig)
        disable()
    return found


def _one_job(rig: Rig, fails: bool) -> list[bool]:
    """Whether each turn gave Blender the seconds until the next one."""
    import numpy as np
    from probe_session import job_result, map_file

    from blender_addon.client.events import (
        JobAccepted,
        JobFailed,
        JobFinished,
        JobPreview,
        JobProgress,
        JobStateChanged,
    )
    from blender_addon.protocol.errors import ErrorCode, Retry, WireError
    from blender_addon.protocol.records import JobState

    view = rig.click()
    image = np.zeros((8, 8, 3), np.uint8)
    file, data = map_file()
    parts = [
        [JobAccepted("job-1", view.key, JobState.QUEUED, 0, False)],
        [JobStateChanged("job-1", view.key, JobState.RUNNING), JobProgress("job-1", 3, 10, 7.0)],
        [JobPreview("job-1", 1, 3, "base_color", 1001, image, 0)],
        [JobProgress("job-1", 9, 10, 1.0)],
        [JobFinished("job-1", view.key, job_result(file), {file: data}, b"{}")],
    ]
    if fails:
        parts[-1] = [JobFailed("job-1", view.key, WireError(ErrorCode.INTERNAL, Retry.CHANGED, "It went wrong."))]
    turns = []
    for events in parts:
        rig.fake.say(*events)
        rig.desk.undone = True
        turns += [isinstance(rig.pump.tick(), float) for _ in range(6)]
    return turns


def _afterwards(rig: Rig) -> dict[str, Any]:
    """With the cause gone: the panel draws, and another job goes well to its end."""
    layout = Recorder()
    bpy.types.PGC_PT_texture.draw(SimpleNamespace(layout=layout), bpy.context)
    drawn = MARK in " ".join(text for kind, text in layout.log if kind == "label")
    rig.state.problem = None
    view = rig.run("job-2")
    rig.preview(job="job-2")
    rig.finish(view)
    return {"drawn": drawn, "next": view.phase.value, "shown": materials(rig.obj)}


def in_an_event(events: list[str]) -> Any:
    """Understanding one kind of event raises: a job whose last event it was has failed, another goes on."""
    found = {}
    for name in events:
        enable()
        rig = Rig()
        rig.obj.data.materials.append(bpy.data.materials.new("Mine"))
        before = digest(rig.obj)
        from blender_addon.session import job_desk

        whole = job_desk.reduce_event

        def reduce(state: Any, event: Any, whole: Any = whole, name: str = name) -> Any:
            if type(event).__name__ == name:
                raise KeyError(MARK)
            return whole(state, event)

        job_desk.reduce_event = reduce
        try:
            view = rig.click()
            _events(rig, view, "JobFinished" if name not in ("JobFailed", "JobCancelled") else name)
        finally:
            job_desk.reduce_event = whole
        found[name] = {"phase": view.phase.value, "said": len(_said(rig)), "intact": digest(rig.obj) == before}
        found[name]["again"] = bpy.ops.pgc.generate.poll()
        disable()
    return found


def _events(rig: Rig, view: Any, last: str) -> None:
    from blender_addon.client.events import JobAccepted, JobProgress, JobStateChanged
    from blender_addon.protocol.records import JobState

    rig.fake.say(JobAccepted("job-1", view.key, JobState.QUEUED, 0, False))
    view.job = view.job or "job-1"
    rig.fake.say(JobStateChanged("job-1", view.key, JobState.RUNNING), JobProgress("job-1", 3, 10, 7.0))
    rig.tick()
    rig.preview()
    if last == "JobFailed":
        rig.fail(view, "INTERNAL")
    else:
        rig.finish(view, cancelled=last == "JobCancelled")


def in_a_handler(folder: str) -> Any:
    """Each handler raises where it works: Blender goes on, no preview gets into the file, and the panel says so."""
    found = {}
    path = str(Path(folder) / "scene.blend")
    for name, place in HANDLERS:
        enable()
        rig = Rig()
        rig.obj.data.materials.append(bpy.data.materials.new("Mine"))
        bpy.ops.wm.save_as_mainfile(filepath=path)
        view = rig.run()
        rig.preview()
        with _raising(place) as calls:
            for handler in list(getattr(bpy.app.handlers, name)):
                if handler.__module__.startswith(ADDON):
                    handler(bpy.context.scene, None)
        found[f"{name}: {place}"] = {
            "calls": len(calls),
            "said": len(_said(rig)),
            "preview off": "PGC Preview" not in materials(rig.obj),
            "survives": hasattr(handler, "_bpy_persistent"),
        }
        rig.tick()
        view = rig.state.newest()
        if view.live:
            rig.finish(view)
        found[f"{name}: {place}"]["ended"] = view.phase.value
        disable()
    return found


def in_operators() -> Any:
    """Every operator, panel, menu and list is guarded; those that are tried say one sentence and return."""
    enable()
    from blender_addon import registration
    from blender_addon.model import defects

    bare = []
    for cls in registration._CLASSES:
        for name in ("poll", "execute", "invoke", "modal", "draw", "draw_header_preset", "draw_item", "filter_items"):
            owner = next((base for base in cls.__mro__ if name in vars(base)), None)
            if owner is None or owner.__module__ in ("bpy_types", "_bpy_types", "builtins"):
                continue
            method = getattr(vars(owner)[name], "__func__", vars(owner)[name])
            if not hasattr(method, defects.GUARDED):
                bare.append(f"{cls.__name__}.{name}")
    handlers = [
        function
        for functions in vars(type(bpy.app.handlers))
        if isinstance(getattr(bpy.app.handlers, functions), list)
        for function in getattr(bpy.app.handlers, functions)
        if function.__module__.startswith(ADDON)
    ]
    bare += [f"{one.__module__}.{one.__name__}" for one in handlers if not hasattr(one, defects.GUARDED)]
    rig = Rig()
    found: dict[str, Any] = {"bare": bare, "handlers": len(handlers), "said": {}}
    for call, place in {
        "generate": "operators.generate.prepare_order",
        "unwrap": "operators.unwrap.event_pump.show_problem",
        "add_rig": "operators.rig.add_rig",
        "make_real": "operators.scene_fixes.make_real_mesh",
        "cancel": "session.job_desk.cancelled_by_artist",
        "new_keep_mask": "operators.keep_mask.new_mask",
    }.items():
        rig.state.problem = None
        if call == "cancel":
            rig.click()
        with _raising(place):
            found["said"][call] = _error_of(getattr(bpy.ops.pgc, call))
        found["said"][call].append(len(_said(rig)))
    with _raising("operators.generate.reason_against"):
        found["poll"] = [bpy.ops.pgc.generate.poll(), bpy.ops.pgc.generate.poll()]
    disable()
    return found


def _error_of(call: Any) -> list[Any]:
    try:
        result = call()
    except RuntimeError as error:
        return [str(error).removeprefix("Error: ").strip()]
    return [str(result)]


def in_drawing(places: list[str]) -> Any:
    """Each part of the panel raises: there is a sentence in its place, told of once, and no exception."""
    found = {}
    for place in places:
        enable()
        rig = Rig()
        rig.run()
        with _raising(place) as calls:
            texts = []
            for _ in range(3):
                layout = Recorder()
                bpy.types.PGC_PT_texture.draw(SimpleNamespace(layout=layout), bpy.context)
                texts.append(MARK in " ".join(text for kind, text in layout.log if kind == "label"))
        found[place] = {"calls": len(calls), "labels": texts, "defects": len(rig.state.defects)}
        disable()
    return found


def in_a_click(folder: str) -> Any:
    """The list of versions, the preferences' connection, the server's task: callbacks of properties and timers."""
    enable()
    rig = Rig()
    rig.obj.data.materials.append(bpy.data.materials.new("Mine"))
    rig.finish(rig.run())
    rig.finish(rig.run("job-2"))
    found: dict[str, Any] = {}
    with _raising("scene.versions.showing.apply_version_index") as calls:
        rig.obj.pgc.active_version = 0
    found["list"] = [len(calls), len(_said(rig))]
    rig.state.problem = None
    with _raising("session.job_desk.JobDesk.reconnect") as calls:
        bpy.context.preferences.addons[ADDON].preferences.connection = str(Path(folder) / "other.json")
    found["preferences"] = [len(calls), len(_said(rig))]
    rig.state.problem = None
    from blender_addon.local_server import tasks as server_tasks
    from blender_addon.session import uv_checks, uv_timer

    with _raising("session.uv_checks.UvChecks.look_while_idle") as calls:
        found["looking at UVs"] = [uv_timer._look(), len(calls), len(_said(rig))]
    uv_checks.checks().found[0] = None
    # No such thing has updates.
    uv_timer._changed(bpy.context.scene, None)
    found["changed"] = "AttributeError" in rig.state.problem.text
    from blender_addon.server_install.progress import Progress

    class Broken:
        progress = property(lambda _: (_ for _ in ()).throw(KeyError(MARK)))

        def start(self) -> None: ...
        def cancel(self) -> None: ...
        def join(self, seconds: float) -> bool:
            return True

    server_tasks.begin(Broken())
    found["task"] = [server_tasks.tick(), server_tasks.is_busy()]
    message = server_tasks.message()
    assert isinstance(message, Progress)
    found["task said"] = [message.state, MARK in message.detail]
    with _raising("session.previews.Previews.take_off"), _raising("session.progress_icon.ProgressIcons.close"):
        disable()
    found["left"] = [hasattr(bpy.types.Object, "pgc"), bpy.app.timers.is_registered(rig.pump.tick)]
    return found


def once() -> Any:
    """A defect in each of many turns is told of once; taken away, it does not come back."""
    enable()
    rig = Rig()
    rig.run()
    found: dict[str, Any] = {}
    with _raising("session.job_desk.follow_painting") as calls:
        rig.tick(50)
        found["said"], found["copy"] = len(_said(rig)), rig.state.problem.operator
        bpy.ops.pgc.dismiss()
        rig.tick(50)
        found |= {"again": len(_said(rig)), "calls": len(calls)}
    assert bpy.ops.pgc.copy_report(text="Traceback") == {"FINISHED"}
    disable()
    return found
