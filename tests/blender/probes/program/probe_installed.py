# SPDX-License-Identifier: Apache-2.0
"""Inside Blender: the built zip, installed as Blender does it. The calls of one test share Blender's settings."""

import importlib
import shutil
import sys
import threading
import time
import tomllib
from pathlib import Path
from typing import Any

import bpy

NAME = "bl_ext.user_default.pgc_texture"


def _module(name: str) -> Any:
    return importlib.import_module(f"{NAME}.{name}")


def _repository() -> int:
    repositories = bpy.context.preferences.extensions.repos
    return next(at for at, one in enumerate(repositories) if one.module == "user_default")


def install(path: str) -> Any:
    """Install the zip from the disk and enable it, as Preferences > Get Extensions > Install from Disk does."""
    _repository()
    bpy.ops.extensions.package_install_files(filepath=path, repo="user_default", enable_on_install=True)
    bpy.ops.wm.save_userpref()
    return {"enabled": NAME in bpy.context.preferences.addons, "version": bpy.app.version_string}


def from_repository(url: str, folder: str, later: str) -> Any:
    """Add a repository by its address and install from it, as Preferences > Get Extensions does; then there is a later
    version, which Check for Updates finds and Update All takes.
    """
    preferences = bpy.context.preferences
    preferences.system.use_online_access = True
    preferences.extensions.repos.new(name="Studio", module="studio", remote_url=url)
    bpy.ops.extensions.repo_sync(repo_index=_studio())
    bpy.ops.extensions.package_install(repo_index=_studio(), pkg_id="pgc_texture", enable_on_install=True)
    versions = [_version_in_studio()]
    for path in Path(later).iterdir():
        shutil.copyfile(path, Path(folder) / path.name)
    bpy.ops.extensions.repo_sync(repo_index=_studio())
    bpy.ops.extensions.package_upgrade_all()
    versions.append(_version_in_studio())
    return {"enabled": "bl_ext.studio.pgc_texture" in preferences.addons, "versions": versions}


def _studio() -> int:
    return next(at for at, one in enumerate(bpy.context.preferences.extensions.repos) if one.module == "studio")


def _version_in_studio() -> str:
    repository = bpy.context.preferences.extensions.repos[_studio()]
    text = (Path(repository.directory) / "pgc_texture" / "blender_manifest.toml").read_text("utf-8")
    return tomllib.loads(text)["version"]


def start() -> None:
    """What Blender does when it starts: the extension as the settings say, an empty scene."""
    if not bpy.app.binary_path:
        # bpy as a module starts with factory settings, and reading the saved ones crashes 4.2.0.
        bpy.ops.preferences.addon_enable(module=NAME)
    assert NAME in bpy.context.preferences.addons, "Blender did not keep that the extension is on"
    assert NAME in sys.modules, "Blender did not start the extension"
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)


def _cube(name: str) -> bpy.types.Object:
    bpy.ops.mesh.primitive_cube_add()
    obj = bpy.context.object
    obj.name = name
    obj.data.materials.append(bpy.data.materials.new(f"{name} before"))
    return obj


def _drive(limit: float) -> list[str]:
    """Handle the client's events, as the timer does that never fires in the background; the states that were seen."""
    pump, state = _module("session.event_pump"), bpy.context.window_manager.pgc
    end, seen = time.monotonic() + limit, [state.state]
    while state.state not in {"done", "failed"} and time.monotonic() < end:
        pump.tick()
        if seen[-1] != state.state:
            seen.append(state.state)
        time.sleep(0.02)
    return seen


def _pictures(material: bpy.types.Material | None) -> list[dict[str, Any]]:
    """The images that a material shows, with how much their pixels differ among themselves."""
    if material is None or material.node_tree is None:
        return []
    images = {node.image for node in material.node_tree.nodes if node.bl_idname == "ShaderNodeTexImage" and node.image}
    found = []
    for image in sorted(images, key=lambda image: image.name):
        values = list(image.pixels)
        found.append(
            {
                "size": list(image.size),
                "packed": image.packed_file is not None,
                "color_space": image.colorspace_settings.name,
                "spread": max(values[0::4]) - min(values[0::4]),
            }
        )
    return found


def generate(connection: str, blend: str, limit: float = 150.0) -> Any:
    """Texture one of two cubes through the operators; save the file."""
    start()
    bpy.context.preferences.addons[NAME].preferences.connection = connection
    bystander, obj = _cube("Bystander"), _cube("Shown")
    obj.select_set(True)
    bpy.context.view_layer.objects.active = obj
    bpy.context.view_layer.update()
    settings, state = bpy.context.scene.pgc, bpy.context.window_manager.pgc
    without_prompt = bpy.ops.pgc.generate.poll()
    settings.prompt, settings.steps, settings.texture_size, settings.warm_start = "red bricks", 4, "256", "off"
    assert bpy.ops.pgc.generate() == {"FINISHED"}
    seen = _drive(limit)
    bpy.ops.wm.save_as_mainfile(filepath=blend)
    zmq, msgpack = sys.modules["zmq"], sys.modules["msgpack"]
    return {
        "states": seen,
        "message": state.message,
        "without_prompt": without_prompt,
        "pictures": _pictures(obj.material_slots[0].material),
        "bystander": [slot.material.name for slot in bystander.material_slots],
        "versions": len(obj.pgc.versions),
        "wheels": [str(zmq.__file__), str(msgpack.__file__)],
    }


def reopen(blend: str) -> Any:
    """The saved file in another Blender: are the pictures there?"""
    start()
    bpy.ops.wm.open_mainfile(filepath=blend)
    obj = bpy.data.objects["Shown"]
    return {"pictures": _pictures(obj.material_slots[0].material), "versions": len(obj.pgc.versions)}


def _ours() -> dict[str, list[str]]:
    """What of the extension is alive in this Blender."""
    types = [name for name in dir(bpy.types) if name.startswith(("PGC_", "pgc_"))]
    groups = [
        f"{kind.__name__}.pgc"
        for kind in (bpy.types.Scene, bpy.types.Object, bpy.types.WindowManager)
        if "pgc" in kind.bl_rna.properties
    ]
    handlers = [
        f"{name}: {handler.__module__}.{handler.__name__}"
        for name in dir(bpy.app.handlers)
        if isinstance(getattr(bpy.app.handlers, name), list)
        for handler in getattr(bpy.app.handlers, name)
        if getattr(handler, "__module__", "").startswith(NAME)
    ]
    operators = [f"pgc.{name}" for name in dir(bpy.ops.pgc)]
    threads = [one.name for one in threading.enumerate() if one is not threading.main_thread()]
    return {"types": types, "groups": groups, "handlers": handlers, "operators": operators, "threads": threads}


def disable_and_uninstall() -> Any:
    """Enable, disable, enable, disable: nothing stays; then Blender removes the files."""
    start()
    there = _ours()
    tick = _module("session.event_pump").tick
    folder = Path(str(sys.modules[NAME].__file__)).parent
    bpy.ops.preferences.addon_disable(module=NAME)
    bpy.ops.preferences.addon_enable(module=NAME)
    timer = bpy.app.timers.is_registered(_module("session.event_pump").tick)
    bpy.ops.preferences.addon_disable(module=NAME)
    gone = _ours()
    left = bpy.app.timers.is_registered(tick) or bpy.app.timers.is_registered(_module("session.event_pump").tick)
    bpy.ops.extensions.package_uninstall(repo_index=_repository(), pkg_id="pgc_texture")
    return {
        "there": there,
        "gone": gone,
        "timer": timer,
        "timer_left": left,
        "folder_left": folder.exists(),
        "known": NAME in bpy.context.preferences.addons,
    }


def run_from_link(source: str) -> Any:
    """The repository's own folder, linked into Blender's extensions: enable it as a developer does."""
    folder = Path(bpy.utils.user_resource("EXTENSIONS", path="user_default", create=True))
    link = folder / "pgc_texture"
    if not link.exists():
        link.symlink_to(source, target_is_directory=True)
    bpy.ops.extensions.repo_refresh_all()
    bpy.ops.preferences.addon_enable(module=NAME)
    answer = {"enabled": NAME in bpy.context.preferences.addons, "poll": bpy.ops.pgc.generate.poll()}
    bpy.ops.preferences.addon_disable(module=NAME)
    answer["gone"] = _ours()["types"]
    link.unlink()
    return answer
