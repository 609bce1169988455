# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at UVs when a mesh changes: a handler notes which objects changed; a timer looks at the active one, if it is
small, a moment later. Big ones are looked at when a texture is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..model.defects import guarded
from . import event_pump
from .uv_checks import checks

__all__ = ["start", "stop"]

_EVERY = 0.5


def _told(doing: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A handler or timer that never raises, and survives the loading of files."""

    def tell(error: Exception) -> None:
        event_pump.report_defect(doing, error)

    return lambda function: persistent(guarded(function, tell, _EVERY))


@_told("Noting changed UVs")
def _changed(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    if not checks().found:
        return
    for update in depsgraph.updates:
        if update.is_updated_geometry and isinstance(update.id, bpy.types.Object):
            checks().forget(update.id.original)


@_told("Forgetting the UVs of the last file")
def _loaded(*_: Any) -> None:  # noqa: ANN401 - bpy's arguments differ between versions
    checks().found.clear()
    checks().accepted.clear()


@_told("Looking at UVs")
def _look() -> float:
    view_layer = getattr(bpy.context, "view_layer", None)
    if view_layer is not None and checks().look_while_idle(view_layer.objects.active):
        event_pump.redraw()
    return _EVERY


def start() -> None:
    """Begins to look at UVs; survives the loading of files. Without a window, only what is asked for is looked at."""
    bpy.app.handlers.depsgraph_update_post.append(_changed)
    bpy.app.handlers.load_post.append(_loaded)
    if not bpy.app.background:
        bpy.app.timers.register(_look, persistent=True, first_interval=_EVERY)


def stop() -> None:
    """Ends the looking, and forgets everything."""
    for handlers, function in (
        (bpy.app.handlers.depsgraph_update_post, _changed),
        (bpy.app.handlers.load_post, _loaded),
    ):
        if function in handlers:
            handlers.remove(function)
    if bpy.app.timers.is_registered(_look):
        bpy.app.timers.unregister(_look)
    _loaded()
