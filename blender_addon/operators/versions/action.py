# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operators on versions have in common: which version, and saying what went wrong."""

from __future__ import annotations

from collections.abc import Callable

import bpy

from ...model.state import Problem
from ...scene.errors import SceneError
from ...session import event_pump
from ..poll import passes_unless

__all__ = ["INDEX", "OnVersions", "chosen_version", "has_version", "run_on_versions"]

INDEX = "Which version, from 0; -1 takes the selected one"
"""Tooltip of the operators' `index`."""


def has_version(cls: type[bpy.types.Operator], context: bpy.types.Context) -> bool:
    """Says, for a poll, whether the active object has versions that may change."""
    obj = context.object
    return passes_unless(
        cls,
        obj is None or obj.type != "MESH" or not obj.pgc.versions,
        "The object has no versions yet; generate a texture first",
    ) and passes_unless(cls, not obj.is_editable, "The object is linked from another file; make it local first")


class OnVersions:
    """Mixin of the operators for which it is enough that there are versions that may change."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_version(cls, context)


def chosen_version(operator: bpy.types.Operator, context: bpy.types.Context) -> int:
    """Returns the index of the version that an operator is for: its own `index`, else the one that is selected in the
    list.

    Raises:
        SceneError: there is none.
    """
    group = context.object.pgc
    index = operator.index if operator.index >= 0 else group.active_version
    if not 0 <= index < len(group.versions):
        raise SceneError(f"No version of {context.object.name} is selected; click one in the list.")
    return index


def run_on_versions(operator: bpy.types.Operator, action: Callable[[], object]) -> set[str]:
    """Runs an action; what goes wrong is reported, and shown in the panel with the button that mends it."""
    try:
        action()
    except SceneError as error:
        event_pump.show_problem(Problem(error.text, error.fix or ""))
        operator.report({"ERROR"}, error.text)
        return {"CANCELLED"}
    event_pump.show_problem(None)
    return {"FINISHED"}
