# SPDX-License-Identifier: Apache-2.0
"""Objects of a library file: linked, overridden, with textures of their own there."""

from pathlib import Path
from typing import Any

import bpy
from probe_session import Rig, disable, enable, materials
from probes import _cube, _png, _ramp, add_version

Object = bpy.types.Object


def _write_library(path: str, *, slots: int, version: bool = False) -> None:
    """A file with one cube; `version`: it has a texture there, and a job went on when it was saved."""
    enable()
    obj = _cube("Crate")
    for index in range(slots):
        obj.data.materials.append(bpy.data.materials.new(f"Lib{index}"))
    if version:
        from blender_addon.scene.meshes.export import ExportOptions
        from blender_addon.scene.versions.builder import VersionFacts

        maps = {"base_color": (_png(_ramp(16)), "srgb")}
        add_version(obj, maps, VersionFacts(prompt="Lib"), ExportOptions())
        obj.pgc.job.pending.add().key = "of the library"
    bpy.ops.wm.save_as_mainfile(filepath=path)
    disable()


def _link(path: str) -> tuple[Rig, Object]:
    enable()
    rig = Rig()
    with bpy.data.libraries.load(path, link=True) as (_, wanted):
        wanted.objects = ["Crate"]
    linked = wanted.objects[0]
    bpy.context.scene.collection.objects.link(linked)
    bpy.context.view_layer.objects.active = linked
    return rig, linked


def _override() -> Object:
    """Found anew: undo and loading make references worthless."""
    return next(obj for obj in bpy.data.objects if obj.override_library)


def _overridden(folder: str, **library: Any) -> Rig:
    """A file that overrides the library's cube by the button that the panel offers."""
    path = str(Path(folder) / "library.blend")
    _write_library(path, **library)
    rig, _ = _link(path)
    assert bpy.ops.pgc.make_override() == {"FINISHED"}
    rig.obj = bpy.context.object
    return rig


def _said(call: Any) -> list[str]:
    """What a click that is refused says, and the operator that is offered."""
    from blender_addon.session import event_pump

    try:
        call()
    except RuntimeError as error:
        problem = event_pump.current_state().problem
        return [str(error).strip(), problem.operator if problem and problem.text in str(error) else ""]
    return ["", ""]


def linked(folder: str) -> Any:
    """A linked object: the sentence, its button, and what the button makes."""
    path = str(Path(folder) / "library.blend")
    _write_library(path, slots=1)
    rig, obj = _link(path)
    found: dict[str, Any] = {"said": _said(bpy.ops.pgc.generate), "sent": len(rig.fake.submitted)}
    bpy.ops.pgc.make_override()
    found["made"] = [
        bpy.context.object.override_library is not None,
        rig.state.problem is None,
        obj.library is not None,
    ]
    bpy.context.object.override_library.is_system_override = True
    found["system"] = _said(bpy.ops.pgc.generate)
    bpy.ops.pgc.make_override()
    found["may edit"] = _said(bpy.ops.pgc.generate) == ["", ""]
    disable()
    return found


def not_overridable() -> Any:
    """Properties of objects that an override could not set, or whose items it could not add to."""
    from blender_addon.properties import jobs as job_properties
    from blender_addon.properties import versions as version_properties

    found = []
    for cls in (*job_properties.CLASSES, *version_properties.CLASSES):
        for name, made in cls.__annotations__.items():
            wanted = {"LIBRARY_OVERRIDABLE"}
            if made.function is bpy.props.CollectionProperty:
                wanted.add("USE_INSERTION")
            if set(made.keywords.get("override", ())) != wanted:
                found.append(f"{cls.__name__}.{name}")
    return found


def linked_scene(folder: str) -> Any:
    """A scene that is linked as a whole: nothing in it can change, and Blender overrides nothing in it."""
    path = str(Path(folder) / "library.blend")
    _write_library(path, slots=1)
    enable()
    rig = Rig()
    with bpy.data.libraries.load(path, link=True) as (names, wanted):
        wanted.scenes = names.scenes
    bpy.context.window.scene = wanted.scenes[0]
    wanted.scenes[0].pgc.prompt = "red bricks"
    bpy.context.view_layer.objects.active = wanted.scenes[0].objects[0]
    found = {"said": _said(bpy.ops.pgc.generate), "override": _said(bpy.ops.pgc.make_override)}
    found["sent"] = len(rig.fake.submitted)
    disable()
    return found


def life(folder: str, slots: int, version: bool) -> Any:
    """Generate to remove on an override, with compare, a save, and undo."""
    rig = _overridden(folder, slots=slots, version=version)
    before = materials(rig.obj)
    bpy.ops.ed.undo_push(message="before")
    view = rig.run()
    rig.preview()
    found: dict[str, Any] = {"before": before, "preview": materials(rig.obj)}
    rig.finish(view)
    found |= {"end": view.phase.value, "shown": materials(_override()), "versions": _names()}
    bpy.ops.ed.undo()
    rig.tick()
    found["undone"] = [materials(_override()), _names()]
    bpy.ops.ed.redo()
    rig.tick()
    found["redone"] = [materials(_override()), _names()]
    bpy.ops.pgc.version_compare()
    found["compared"] = materials(_override())
    bpy.ops.pgc.version_compare()
    path = str(Path(folder) / "use.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    obj = bpy.context.view_layer.objects.active = _override()
    found["opened"] = [materials(obj), _names(), [entry.image.size[:] for entry in obj.pgc.versions[-1].maps]]
    bpy.ops.pgc.restore()
    found["restored"] = materials(obj)
    bpy.ops.pgc.version_apply(index=len(obj.pgc.versions) - 1)
    found["again"] = materials(obj)
    found["library's"] = _said(lambda: bpy.ops.pgc.version_remove(index=0)) if version else ["", ""]
    bpy.ops.pgc.version_remove(index=len(obj.pgc.versions) - 1)
    found["removed"] = [materials(obj), _names()]
    found["jobs"] = [entry.key for entry in obj.pgc.job.pending]
    disable()
    return found


def _names() -> list[str]:
    return [version.name for version in _override().pgc.versions]


def needs_a_mesh(folder: str, slots: int, target: str) -> Any:
    """What would change the library's mesh is said before anything is sent; after the offered click it works."""
    rig = _overridden(folder, slots=slots)
    bpy.context.scene.pgc.target = target
    found: dict[str, Any] = {"said": _said(bpy.ops.pgc.generate), "sent": len(rig.fake.submitted)}
    bpy.ops.pgc.make_single_user()
    view = rig.run()
    rig.finish(view)
    found |= {"end": view.phase.value, "shown": materials(_override()), "problem": view.problem and view.problem.text}
    path = str(Path(folder) / "use.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    found["opened"] = materials(_override())
    disable()
    return found


def masked(folder: str) -> Any:
    """A mask on an override: painted, kept by a save, sent with the next job."""
    rig = _overridden(folder, slots=1)
    rig.finish(rig.run())
    obj = _override()
    bpy.context.view_layer.objects.active = obj
    linked = _said(bpy.ops.pgc.new_keep_mask)[0]
    bpy.ops.pgc.make_single_user()
    bpy.ops.pgc.new_keep_mask()
    mode = obj.mode
    rig.tick()
    mask = obj.pgc.keep_mask
    values = [1.0] * (len(mask.pixels) // 2) + [0.0] * (len(mask.pixels) // 2)
    mask.pixels = values
    bpy.ops.pgc.paint_keep_mask()
    rig.tick()
    path = str(Path(folder) / "use.blend")
    bpy.ops.wm.save_as_mainfile(filepath=path)
    bpy.ops.wm.open_mainfile(filepath=path)
    rig = Rig()
    obj = bpy.context.view_layer.objects.active = _override()
    bpy.ops.pgc.generate()
    spec = rig.fake.submitted[-1][1]
    found = {
        "linked": linked,
        "mode": mode,
        "shown": materials(obj),
        "mask": obj.pgc.keep_mask is not None,
        "locks": len(spec.lock_mask),
    }
    disable()
    return found


def preview_left_in_library(folder: str) -> Any:
    """The library was saved by autosave while it showed a preview: the override's own comes and goes all the same."""
    path = str(Path(folder) / "library.blend")
    enable()
    obj = _cube("Crate")
    obj.data.materials.append(bpy.data.materials.new("Lib0"))
    from blender_addon.scene.live_preview import begin_preview
    from blender_addon.scene.meshes.export import ExportOptions

    begin_preview(obj, "of the library", ExportOptions())
    # As autosave: without the handlers.
    bpy.app.handlers.save_pre.clear()
    bpy.ops.wm.save_as_mainfile(filepath=path)
    disable()
    rig, _ = _link(path)
    bpy.ops.pgc.make_override()
    rig.obj = bpy.context.object
    rig.desk.undone = True
    rig.tick()
    found: dict[str, Any] = {"opened": materials(rig.obj)}
    view = rig.run()
    rig.preview()
    found["preview"] = materials(rig.obj)
    rig.finish(view)
    found |= {"end": view.phase.value, "shown": materials(rig.obj)}
    bpy.ops.pgc.restore()
    found["restored"] = materials(rig.obj)
    disable()
    return found
