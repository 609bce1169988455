# SPDX-License-Identifier: Apache-2.0
"""Inside Blender's window, for window_tour.py: sets the scene up, then tells in a file how things are.

It never calls an operator of the extension: that is for the mouse.
"""

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from mathutils import Quaternion, Vector

NAME = "bl_ext.user_default.pgc_texture"
_PERIOD = 0.1
"""Seconds between two reports."""
_SETTLE = 10
"""Reports until the window counts as drawn."""


def prepare(given: dict[str, Any]) -> None:
    """In the background, before the window opens: what an artist would have chosen in the preferences."""
    preferences = bpy.context.preferences
    preferences.view.show_splash = False
    preferences.view.ui_scale = given["ui_scale"]
    addon = preferences.addons.get(NAME)
    if addon is None:
        raise SystemExit("The extension is not enabled after its installation.")
    addon.preferences.connection = given["connection"]
    bpy.ops.wm.save_userpref()


class Window:
    """The window's scene, and the reports on it."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given
        self.report, self.clear = Path(given["report"]), Path(given["clear"])
        self.ticks = 0

    def tick(self) -> float:
        """A turn of the timer."""
        self.ticks += 1
        if self.ticks == 5:
            self._set_up()
        if self.ticks == _SETTLE:
            self._region("UI").active_panel_category = "Texture"
        if self.clear.exists():
            bpy.context.window_manager.clipboard = "-"
            self.clear.unlink()
        text = json.dumps(self._state())
        temporary = self.report.with_suffix(".part")
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, self.report)
        return _PERIOD

    def _area(self) -> bpy.types.Area:
        areas = [area for area in bpy.context.window_manager.windows[0].screen.areas if area.type == "VIEW_3D"]
        return max(areas, key=lambda area: area.width * area.height)

    def _region(self, kind: str) -> bpy.types.Region:
        return next(region for region in self._area().regions if region.type == kind)

    def _set_up(self) -> None:
        """The mesh, seen from its left front in Material Preview, with the sidebar open."""
        for obj in list(bpy.data.objects):
            bpy.data.objects.remove(obj)
        area = self._area()
        with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area):
            bpy.ops.wm.obj_import(filepath=self.given["mesh"])
        obj = bpy.context.view_layer.objects.selected[0]
        bpy.context.view_layer.objects.active = obj
        obj.name = self.given["name"]
        while len(obj.data.materials) < 2:
            obj.data.materials.append(None)
        top = max(vertex.co[1] for vertex in obj.data.vertices)
        for polygon in obj.data.polygons:
            polygon.use_smooth = True
            # Before the turn from Y up: the lid.
            polygon.material_index = int(polygon.center[1] > 0.75 * top)
        corners = [obj.matrix_world @ Vector(corner) for corner in obj.bound_box]
        center = sum(corners, Vector()) / len(corners)
        size = max((corner - center).length for corner in corners)
        space = area.spaces.active
        space.shading.type = "MATERIAL"
        space.show_region_ui = True
        view = space.region_3d
        view.view_perspective = "PERSP"
        view.view_rotation = Quaternion((0.0, 0.0, 1.0), 0.45) @ Quaternion((1.0, 0.0, 0.0), 1.15)
        view.view_distance = 2.9 * size
        # The sidebar covers the right part.
        view.view_location = center + view.view_rotation @ Vector((0.28 * size, 0.0, 0.0))
        settings = bpy.context.scene.pgc
        settings.preset, settings.steps = "draft", self.given["steps"]

    def _state(self) -> dict[str, Any]:
        manager, region, window = bpy.context.window_manager, self._region("UI"), bpy.context.window_manager.windows[0]
        problem = importlib.import_module(f"{NAME}.session.event_pump").current_state().server.problem
        job, obj = manager.pgc, bpy.context.view_layer.objects.active
        return {
            "ticks": self.ticks,
            "ready": self.ticks > 2 * _SETTLE,
            "sidebar": [region.x, region.y, region.width, region.height],
            "height": window.height,
            "clipboard": manager.clipboard,
            "prompt": bpy.context.scene.pgc.prompt,
            "separate_slots": bpy.context.scene.pgc.separate_slots,
            "chosen_maps": sorted(bpy.context.scene.pgc.maps),
            "server": job.server,
            "fix": problem.operator if problem is not None else "",
            "state": job.state,
            "step": job.step,
            "steps": job.steps,
            "message": job.message,
            "versions": len(obj.pgc.versions) if obj is not None else 0,
            "shown": obj.pgc.active_version if obj is not None else -1,
            "maps": _shown_maps(obj.pgc) if obj is not None else [],
            "mode": obj.mode if obj is not None else "",
            "brush": bpy.context.scene.tool_settings.image_paint.brush is not None,
            "masked": _masked(obj.pgc.keep_mask) if obj is not None else 0.0,
        }


def _shown_maps(group: bpy.types.PropertyGroup) -> list[str]:
    """Names of the maps of the version that is shown."""
    if not 0 <= group.active_version < len(group.versions):
        return []
    return [entry.name for entry in group.versions[group.active_version].maps]


def _masked(mask: bpy.types.Image | None) -> float:
    """Share of a mask that is not black."""
    if mask is None or not mask.is_dirty:
        return 0.0
    values = np.empty(len(mask.pixels), np.float32)
    mask.pixels.foreach_get(values)
    return float((values.reshape(-1, mask.channels)[:, 0] > 0.0).mean())


def main() -> None:
    """Called with JSON behind `--`."""
    given = json.loads(sys.argv[sys.argv.index("--") + 1])
    if bpy.app.background:
        prepare(given)
    else:
        bpy.app.timers.register(Window(given).tick, first_interval=_PERIOD, persistent=True)


if __name__ == "__main__":
    main()
