# SPDX-License-Identifier: Apache-2.0
"""Results on their way into the scene, stopped half way."""

from dataclasses import replace
from typing import Any

import bpy
from probe_session import Rig, disable, enable, job_result, map_file


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
