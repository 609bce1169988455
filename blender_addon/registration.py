# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that is registered, in order; and its undoing."""

from typing import Any

import bpy

from . import handlers, preferences, translations
from .local_server import tasks as server_tasks
from .model.defects import guarded, guarded_class, note_defect
from .operators import CLASSES as OPERATORS
from .properties import groups as properties
from .session import event_pump, uv_timer
from .ui import CLASSES as PANELS
from .ui.menus import draw_in_object_menu
from .ui.status_bar import draw_in_status_bar
from .ui.text import draw_text

__all__ = ["register", "unregister"]


def _told(error: Exception, owner: Any, name: str) -> Any:  # noqa: ANN401 - what Blender wants of each callback
    """What an operator or a panel of ours does instead of raising."""
    label = getattr(owner, "bl_label", "") or "Drawing a list"
    if name in ("execute", "invoke", "modal"):
        owner.report({"ERROR"}, event_pump.report_defect(label, error).text)
        return {"CANCELLED"}
    # Of what draws, only the first failure may lead to another drawing.
    problem = note_defect(event_pump.current_state(), label, error)
    if name == "poll":
        return False
    if name == "filter_items":
        return [], []
    if name in ("draw", "draw_header", "draw_header_preset"):
        draw_text(owner.layout, problem.text, bpy.context, icon="ERROR")
    return None


_CLASSES = (*properties.CLASSES, *(guarded_class(cls, _told) for cls in (*preferences.CLASSES, *OPERATORS, *PANELS)))
_STATUS = guarded(
    draw_in_status_bar, lambda error: note_defect(event_pump.current_state(), "Drawing the status bar", error)
)


def register() -> None:
    """Registers classes, properties, handlers, then the timer."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    properties.attach()
    bpy.types.VIEW3D_MT_object.append(draw_in_object_menu)
    bpy.types.STATUSBAR_HT_header.append(_STATUS)
    handlers.register()
    translations.register()
    event_pump.start()
    uv_timer.start()


def unregister() -> None:
    """Takes everything back in the opposite order; nothing stays: no timer, no thread, no handler, no property."""
    uv_timer.stop()
    event_pump.stop()
    server_tasks.stop()
    handlers.unregister()
    translations.unregister()
    bpy.types.STATUSBAR_HT_header.remove(_STATUS)
    bpy.types.VIEW3D_MT_object.remove(draw_in_object_menu)
    properties.detach()
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
