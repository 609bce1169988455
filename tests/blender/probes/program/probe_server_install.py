# SPDX-License-Identifier: Apache-2.0
"""Inside Blender: Install Server from a folder of wheels, what the preferences draw meanwhile, stop, log, remove."""

import time
from typing import Any

import bpy

NAME = "blender_addon"


def _enable() -> Any:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    assert bpy.ops.preferences.addon_enable(module=NAME) == {"FINISHED"}
    return bpy.context.preferences.addons[NAME].preferences


class Layout:
    """Stands in for UILayout: keeps what is drawn, and checks that it can be."""

    def __init__(self, drawn: list[str] | None = None) -> None:
        self.drawn: list[str] = [] if drawn is None else drawn

    def label(self, *, text: str = "", icon: str = "NONE", translate: bool = True) -> None:
        self._icon(icon)
        self.drawn.append(text)

    def progress(self, *, factor: float, text: str) -> None:
        assert 0.0 <= factor <= 1.0
        self.drawn.append(f"[{text}]")

    def operator(self, name: str, *, text: str = "", icon: str = "NONE") -> None:
        self._icon(icon)
        group, _, own = name.partition(".")
        assert own in dir(getattr(bpy.ops, group)), name
        self.drawn.append(name)

    def prop(self, owner: Any, name: str, *, text: str = "", icon: str = "NONE") -> None:
        assert name in owner.bl_rna.properties, name
        self.drawn.append(f"{name}")

    @staticmethod
    def _icon(icon: str) -> None:
        assert icon in bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items, icon

    def _part(self, **_options: Any) -> "Layout":
        return Layout(self.drawn)

    row = column = box = _part


def _drawn() -> list[str]:
    from blender_addon.ui.server_preferences import draw_server

    layout = Layout()
    draw_server(layout, bpy.context)
    return layout.drawn


def _finish(limit: float) -> str:
    from blender_addon.local_server import tasks as server_tasks

    end = time.monotonic() + limit
    while server_tasks.tick() is not None:
        assert time.monotonic() < end, "the task does not end"
        time.sleep(0.05)
    last = server_tasks.message()
    return f"{last.state}: {last.detail}"


def install_and_remove(folder: str, wheels: str, connection: str) -> Any:
    """Everything in one Blender, as an artist would do it."""
    preferences = _enable()
    preferences.connection = connection
    preferences.install.folder, preferences.install.wheels = folder, wheels
    from blender_addon.local_server import tasks as server_tasks
    from blender_addon.local_server.program import server_python

    answer: dict[str, Any] = {"absent": _drawn(), "python_before": server_python()}
    assert not bpy.ops.pgc.remove_server.poll()
    assert bpy.ops.pgc.install_server() == {"FINISHED"}
    answer["timer"] = bpy.app.timers.is_registered(server_tasks.tick)
    answer["running"] = _drawn()
    answer["twice"] = bpy.ops.pgc.install_server.poll()
    answer["installed"] = _finish(150.0)
    answer["there"] = _drawn()
    answer["python"] = server_python()
    assert bpy.ops.pgc.stop_server() == {"FINISHED"}
    answer["stopped"] = _finish(60.0)
    assert bpy.ops.pgc.remove_server() == {"FINISHED"}
    answer["removed"] = _finish(60.0)
    answer["again"] = _drawn()
    bpy.ops.preferences.addon_disable(module=NAME)
    answer["timer_left"] = bpy.app.timers.is_registered(server_tasks.tick)
    return answer


def refusals(folder: str) -> Any:
    """What the operators say when they cannot."""
    preferences = _enable()
    preferences.install.folder = folder
    preferences.connection = f"{folder}/none/connection.json"
    said = {}
    for name, mend in (("online", None), ("wheels", lambda: setattr(preferences.install, "wheels", f"{folder}/none"))):
        if mend is not None:
            mend()
        said[name] = _error(bpy.ops.pgc.install_server)
    preferences.python = f"{folder}/no-python"
    said["stop"] = _error(bpy.ops.pgc.stop_server)
    said["log"] = _error(bpy.ops.pgc.open_server_log)
    assert bpy.ops.pgc.copy_install_command() == {"FINISHED"}
    from blender_addon.local_server.program import model_command

    said["model"] = model_command("sdxl")
    said["online_access"] = bpy.app.online_access
    bpy.ops.preferences.addon_disable(module=NAME)
    return said


def _error(operator: Any) -> str:
    try:
        operator()
    except RuntimeError as error:
        return str(error)
    return ""


def disable_in_the_middle(folder: str, wheels: str) -> Any:
    """The extension is disabled while it installs: the thread ends, and nothing is left in the folder."""
    import threading

    preferences = _enable()
    preferences.install.folder, preferences.install.wheels = folder, wheels
    assert bpy.ops.pgc.install_server() == {"FINISHED"}
    bpy.ops.preferences.addon_disable(module=NAME)
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pgc-")]
