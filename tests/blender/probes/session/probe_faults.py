# SPDX-License-Identifier: Apache-2.0
"""Faults of the server as the panel shows them, from a fake event stream and from a server that is really gone."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import bpy
from probe_session import Rig, disable, enable, materials
from probes import _plane, digest


def _facts(rig: Rig, view: Any, before: str) -> dict[str, Any]:
    window = bpy.context.window_manager.pgc
    server = rig.state.server.problem
    problem = view.problem or rig.state.problem or server
    return {
        "state": window.state,
        "text": problem.text if problem else "",
        "fix": problem.operator if problem else "",
        "live": view.live,
        "intact": digest(rig.obj) == before,
        "again": bpy.ops.pgc.generate.poll(),
        "cancel": bpy.ops.pgc.cancel.poll(),
    }


def failed_jobs(codes: list[str]) -> Any:
    """A job under way with its preview on the mesh fails by each code."""
    found = {}
    for code in codes:
        enable()
        rig = Rig()
        rig.obj.data.materials.append(bpy.data.materials.new("Mine"))
        before = digest(rig.obj)
        view = rig.run()
        rig.preview()
        shown = materials(rig.obj)
        rig.fail(view, code)
        used = sum(image.users for image in bpy.data.images)
        found[code] = _facts(rig, view, before) | {"shown": shown, "pictures": used}
        disable()
    return found


def lost_connection() -> Any:
    """The server dies in the middle of a job and comes back: nothing is lost; it may also never come back."""
    from blender_addon.client.events import Connected, Disconnected, JobProgress

    found: dict[str, Any] = {}
    enable()
    rig = Rig()
    before = digest(rig.obj)
    view = rig.run()
    rig.preview()
    rig.fake.say(Disconnected("The server closed the connection.", 0.2))
    rig.tick()
    found["lost"] = _facts(rig, view, before) | {"server": rig.state.server.state.value}
    rig.fake.say(Disconnected("No server answers.", 0.2, absent=True))
    rig.tick()
    found["absent"] = _facts(rig, view, before) | {"server": rig.state.server.state.value}
    rig.fake.say(Connected("pgc-server/1", "f" * 32, (), ("cpu",), (), again=True), JobProgress("job-1", 5, 10))
    rig.tick()
    found["back"] = {"problem": rig.state.server.problem is None, "step": view.step, "live": view.live}
    rig.fake.say(Disconnected("The server closed the connection.", 0.2))
    rig.tick()
    assert bpy.ops.pgc.cancel() == {"FINISHED"}
    rig.tick()
    found["cancelled"] = _facts(rig, view, before) | {"told": rig.fake.cancelled}
    disable()
    return found


def refused(code: str) -> Any:
    """The server will not talk to us."""
    from blender_addon.client.events import Refused
    from blender_addon.protocol.errors import ErrorCode, Retry, WireError

    enable()
    rig = Rig(connected=False)
    view = rig.click()
    before = digest(rig.obj)
    rig.fake.say(Refused(WireError(ErrorCode(code), Retry.CHANGED, "The server does not know this client's key.")))
    rig.tick()
    found = _facts(rig, view, before)
    bpy.ops.pgc.cancel()
    rig.tick()
    found["after"] = view.live
    disable()
    return found


def broken_client() -> Any:
    """The client's thread has ended: Reconnect makes a new one that follows the job."""
    from blender_addon.client.events import ClientFailed

    enable()
    rig = Rig()
    bpy.context.preferences.addons["blender_addon"].preferences.connection = "/nonexistent/connection.json"
    rig.desk.link.client = rig.fake
    view = rig.run()
    before = digest(rig.obj)
    rig.fake.say(ClientFailed("Traceback\nKeyError: 'x'"))
    rig.fake.alive = False
    rig.tick()
    found = _facts(rig, view, before)
    bpy.ops.pgc.reconnect()
    client = rig.desk.link.client
    found |= {"new": client is not rig.fake and client.alive, "closed": rig.fake.closed, "live": view.live}
    disable()
    found["thread"] = client.alive
    return found


def scene_problems() -> Any:
    """What the artist's own scene is missing, with its button."""
    enable()
    rig = Rig()
    found = {}
    bare = _plane("Bare", uv=False)
    for name, setup in {
        "no uv": lambda: setattr(bpy.context.view_layer.objects, "active", bare),
        "no camera": lambda: setattr(bpy.context.scene.pgc, "cameras", "scene"),
        "no rig": lambda: setattr(bpy.context.scene.pgc, "cameras", "rig"),
    }.items():
        bpy.context.view_layer.objects.active = rig.obj
        setup()
        try:
            bpy.ops.pgc.generate()
            found[name] = ["accepted", "", False]
        except RuntimeError as error:
            problem = rig.state.problem
            found[name] = [problem.text, problem.operator, problem.text in str(error)]
    found["sent"] = len(rig.fake.submitted)
    disable()
    return found


def fixes() -> Any:
    """Each fixing button does what it says."""
    enable()
    rig = Rig()
    settings, found = bpy.context.scene.pgc, {}
    settings.texture_size, settings.lock_seed = "1024", True
    view = rig.run()
    rig.fail(view, "RES.OOM")
    bpy.ops.pgc.smaller_texture()
    found["smaller"] = [settings.texture_size, len(rig.fake.submitted), rig.state.problem is None, view.problem is None]
    view = rig.state.newest()
    settings.maps = {"base_color", "roughness"}
    rig.fail(view, "INPUT.INVALID")
    bpy.ops.pgc.base_color_only()
    found["maps"] = [sorted(settings.maps), list(rig.fake.submitted[-1][1].maps)]
    rig.fail(rig.state.newest(), "MODEL.MISSING")
    settings.model = "sdxl"
    bpy.ops.pgc.use_model(model="pocket")
    found["model"] = [settings.model, rig.state.newest().problem is None]
    settings.cameras = "scene"
    bpy.ops.pgc.use_all_around()
    found["cameras"] = settings.cameras
    bare = _plane("Bare", uv=False)
    bpy.context.view_layer.objects.active = bare
    bpy.ops.pgc.unwrap()
    found["unwrap"] = [layer.name for layer in bare.data.uv_layers]
    rig.fail(rig.state.newest(), "INTERNAL")
    bpy.ops.pgc.dismiss(key=rig.state.newest().key)
    found["dismissed"] = bpy.context.window_manager.pgc.state
    disable()
    return found


def offline() -> Any:
    """A server on another computer is not reached without leave; one on this computer is."""
    enable()
    rig = Rig()
    path = Path(bpy.app.tempdir) / "connection.json"
    fields = {"ctl_port": 5, "bulk_port": 6} | dict.fromkeys(
        ("server_public", "client_public", "client_secret"), "k" * 40
    )
    found = {}
    for host in ("203.0.113.7", "127.0.0.1"):
        path.write_text(json.dumps({"host": host, **fields}))
        path.chmod(0o600)
        bpy.context.preferences.system.use_online_access = False
        bpy.context.preferences.addons["blender_addon"].preferences.connection = str(path)
        problem = rig.state.server.problem
        found[host] = [
            rig.desk.link.client is not None,
            problem.operator if problem else "",
            problem.text if problem else "",
        ]
    path.write_text(json.dumps({"host": "203.0.113.7", **fields}))
    bpy.context.preferences.addons["blender_addon"].preferences.connection = str(path)
    bpy.ops.pgc.allow_online()
    found["allowed"] = rig.desk.link.client is not None
    disable()
    return found


def real_server(connection: str, seconds: float) -> Any:
    """A real server is killed in the middle of a job, and started again by Start Server: the job goes on.

    Args:
        seconds: for all waits together. The product promises none of them; they are long on a busy machine only.
    """
    end = time.monotonic() + seconds
    enable()
    preferences = bpy.context.preferences.addons["blender_addon"].preferences
    preferences.connection = connection
    preferences.python = json.loads(Path(connection).with_name("python.json").read_text())
    from blender_addon.operators.server import start_server
    from blender_addon.session import event_pump

    # Behind all the tests that run beside this one a server would hardly move.
    start_server._BEHIND_BLENDER = {}
    obj = _plane("Shown")
    bpy.context.view_layer.objects.active = obj
    settings, window = bpy.context.scene.pgc, bpy.context.window_manager.pgc
    settings.prompt, settings.steps, settings.texture_size, settings.warm_start = "red bricks", 12, "256", "off"
    bpy.ops.pgc.generate()
    state = event_pump.current_state()
    view = state.newest()

    def until(check: Any) -> bool:
        while not check() and time.monotonic() < end:
            event_pump.tick()
            time.sleep(0.02)
        return bool(check())

    found: dict[str, Any] = {"ran": until(lambda: view.step >= 2)}
    before = view.step
    os.kill(json.loads(Path(connection).read_text())["pid"], signal.SIGKILL)
    found["noticed"] = until(lambda: state.server.problem is not None)
    found["text"], found["live"] = state.server.problem.text, view.live
    found["absent"] = until(lambda: state.server.state.value == "absent")
    found["fix"] = state.server.problem.operator
    bpy.ops.pgc.start_server()
    found["starting"] = state.server.state.value
    found["back"] = until(lambda: state.server.ready)
    found["done"] = until(lambda: not view.live)
    found |= {"state": window.state, "message": window.message, "steps": [before, view.step], "slots": materials(obj)}
    pid = json.loads(Path(connection).read_text())["pid"]
    disable()
    os.kill(pid, signal.SIGTERM)
    return found


def no_server(connection: str) -> Any:
    """No server and none installed: the click is kept, the panel says what to do."""
    enable()
    bpy.context.preferences.addons["blender_addon"].preferences.connection = connection
    from blender_addon.session import event_pump

    obj = _plane("Shown")
    bpy.context.view_layer.objects.active = obj
    before = digest(obj)
    bpy.context.scene.pgc.prompt = "red bricks"
    bpy.ops.pgc.generate()
    state = event_pump.current_state()
    end = time.monotonic() + 60
    while state.server.problem is None and time.monotonic() < end:
        event_pump.tick()
        time.sleep(0.02)
    view = state.newest()
    found = {"text": state.server.problem.text, "fix": state.server.problem.operator, "live": view.live}
    bpy.ops.pgc.cancel()
    event_pump.tick()
    found |= {"after": view.live, "intact": digest(obj) == before, "again": bpy.ops.pgc.generate.poll()}
    disable()
    return found
