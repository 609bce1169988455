# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that is registered, in order; and its undoing."""

import bpy

from . import event_pump, preferences, properties
from .operators import CLASSES as OPERATORS
from .ui import CLASSES as PANELS

__all__ = ["register", "unregister"]

_CLASSES = (*properties.CLASSES, *preferences.CLASSES, *OPERATORS, *PANELS)


def register() -> None:
    """Classes, properties, then the timer."""
    for cls in _CLASSES:
        bpy.utils.register_class(cls)
    properties.attach()
    event_pump.start()


def unregister() -> None:
    """In the opposite order; nothing stays: no timer, no thread, no property."""
    event_pump.stop()
    properties.detach()
    for cls in reversed(_CLASSES):
        bpy.utils.unregister_class(cls)
