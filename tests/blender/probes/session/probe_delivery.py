# SPDX-License-Identifier: Apache-2.0
"""Results on their way into the scene, stopped half way."""

from dataclasses import replace
from typing import Any

import bpy
from probe_session import Rig, disable, enable, job_result, map_file, materials


def half_made(how: str) -> Any:
    """A result of two maps is stopped after the first; `how`: which way. Says what is left of it.

    Args:
        how: "discarded", "painting", "damaged" or "disabled".
    """
    from blender_addon.client.events import JobFinished

    enable()
    rig = Rig()
    view = rig.run()
    first, data = map_file()
    second = replace(first, map="roughness", color_space="linear")
    files = {first: data, second: b"no picture" if how == "damaged" else data}
    rig.fake.say(JobFinished("job-1", view.key, job_result(first), files, b"{}"))
    rig.tick(1)
    found: dict[str, Any] = {"half": len(bpy.data.images)}
    if how in {"discarded", "painting"}:
        bpy.ops.object.mode_set(mode="TEXTURE_PAINT")
        rig.tick(2)
    if how == "discarded":
        bpy.ops.pgc.cancel(key=view.key)
    if how == "disabled":
        disable()
    else:
        rig.tick()
    found["held"] = len(bpy.data.images)
    found["phase"] = view.phase.value
    if how == "painting":
        bpy.ops.object.mode_set(mode="OBJECT")
        rig.tick()
        found["then"] = [view.phase.value, sorted(image.name for image in bpy.data.images)]
    if how != "disabled":
        disable()
    return found


def while_playing() -> Any:
    """The frame changes before each turn, as an animation that plays does it, from the click to the result."""
    enable()
    rig = Rig()
    obj, scene = rig.obj, bpy.context.scene
    for frame, height in ((1, 0.0), (40, 3.0)):
        obj.location.z = height
        obj.keyframe_insert("location", frame=frame)
    frames = iter(range(1, 1000))

    def turn() -> None:
        scene.frame_set(next(frames))
        rig.pump.tick()

    scene.frame_set(0)
    bpy.ops.ed.undo_push(message="start")
    view = rig.run()
    rig.tick = lambda count=12: [turn() for _ in range(count)]
    rig.preview()
    found: dict[str, Any] = {"preview": materials(obj), "moving": obj.matrix_world.translation.z > 0.0}
    rig.finish(view)
    frame = scene.frame_current
    rig.desk.tick(1.0)
    evaluated = obj.evaluated_get(bpy.context.evaluated_depsgraph_get())
    found |= {
        "end": [view.phase.value, materials(obj), materials(evaluated)],
        "frame": scene.frame_current == frame > 20,
        "keys": obj.animation_data is not None and obj.animation_data.action is not None,
    }
    bpy.ops.ed.undo()
    found["undone"] = len(bpy.data.objects["Shown"].pgc.versions)
    disable()
    return found
