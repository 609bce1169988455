# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that is registered, in order; and its undoing."""

import bpy

from . import event_pump, handlers, preferences, properties, server_tasks, translations, uv_checks
from .operators import CLASSES as OPERATORS
from .ui import CLASSES as PANELS

__all__ = ["register", "unregister"]

_CLASSES = (*properties.CLASSES, *preferences.CLASSES, *OPERATORS, *PANELS)


def register() -> None:
    """Classes, properties, handlers, then the timer."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    properties.attach()
    handlers.register()
    translations.register()
    event_pump.start()
    uv_checks.start()


def unregister() -> None:
    """In the opposite order; nothing stays: no timer, no thread, no handler, no property."""
    uv_checks.stop()
    event_pump.stop()
    server_tasks.stop()
    handlers.unregister()
    translations.unregister()
    properties.detach()
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
