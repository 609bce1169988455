# SPDX-License-Identifier: Apache-2.0
"""The whole extension in Blender against a real server: enable, type a prompt, Generate, wait, look.

python probe_addon.py NAME ARGUMENTS-AS-JSON ANSWER-FILE
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import bpy
from probes import _plane, digest


def _enable() -> None:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    assert bpy.ops.preferences.addon_enable(module="blender_addon") == {"FINISHED"}


def _traces() -> list[bool]:
    """Whether property, operator, and the parts of Blender's status bar and Object menu are there."""
    drawn = [bpy.types.STATUSBAR_HT_header, bpy.types.VIEW3D_MT_object]
    ours = [any(part.__module__.startswith("blender_addon") for part in one.draw._draw_funcs) for one in drawn]
    return [hasattr(bpy.types.Scene, "pgc"), hasattr(bpy.types, "PGC_OT_generate"), *ours]


def register_twice() -> Any:
    """Enable, disable, enable: nothing is left behind in between."""
    _enable()
    there = _traces()
    bpy.ops.preferences.addon_disable(module="blender_addon")
    gone = _traces()
    from blender_addon.session import event_pump

    timer = bpy.app.timers.is_registered(event_pump.tick)
    _enable()
    bpy.ops.preferences.addon_disable(module="blender_addon")
    return {"there": there, "gone": gone, "timer": timer}


def generate(connection: str, limit: float = 160.0) -> Any:
    """A quad gets a texture; it and a bystander are compared before and after."""
    _enable()
    bpy.context.preferences.addons["blender_addon"].preferences.connection = connection
    from blender_addon.session import event_pump

    bystander, obj = _plane("Bystander"), _plane("Shown")
    bpy.context.view_layer.objects.active = obj
    bpy.context.view_layer.update()
    settings, state = bpy.context.scene.pgc, bpy.context.window_manager.pgc
    refused_without_prompt = not bpy.ops.pgc.generate.poll()
    settings.prompt, settings.steps, settings.texture_size, settings.warm_start = "red bricks", 4, "256", "off"
    before, before_shown = digest(bystander), digest(obj)
    assert bpy.ops.pgc.generate() == {"FINISHED"}
    end, seen, previews = time.monotonic() + limit, [], 0
    while state.state not in {"done", "failed"} and time.monotonic() < end:
        event_pump.tick()
        if not seen or seen[-1] != state.state:
            seen.append(state.state)
        previews += obj.pgc.job.preview.material is not None
        time.sleep(0.02)
    version = obj.pgc.versions[0] if len(obj.pgc.versions) else None
    answer = {
        "states": seen,
        "message": state.message,
        "refused_without_prompt": refused_without_prompt,
        "bystander": before == digest(bystander),
        "previews": previews,
        "packed": version is not None and version.maps["base_color"].image.packed_file is not None,
        "size": list(version.maps["base_color"].image.size) if version else None,
        "slots": [slot.material.name for slot in obj.material_slots],
        "color_space": version.maps["base_color"].image.colorspace_settings.name if version else None,
    }
    if version is not None:
        bpy.ops.pgc.restore()
        answer["restored"] = before_shown == digest(obj)
    bpy.ops.preferences.addon_disable(module="blender_addon")
    return answer


if __name__ == "__main__":
    answer = globals()[sys.argv[1]](**json.loads(sys.argv[2]))
    Path(sys.argv[3]).write_text(json.dumps(answer))
