# SPDX-License-Identifier: GPL-3.0-or-later
"""A click on a version in the list shows it.

Without bpy among its globals: what a property calls back must not hold on to it, or pip's bpy 4.2 dies at its exit.
"""

from __future__ import annotations

from typing import Any

__all__ = ["on_click", "on_wear"]


def on_click(group: Any, context: Any) -> None:  # noqa: ANN401 - bpy calls it
    """Shows the version that the list's index has changed to, unless it is on top already."""
    if not 0 <= group.active_version < len(group.versions):
        return
    if group.versions[group.active_version].key == group.layers.rpartition(" ")[2]:
        return
    from ..model.state import Problem
    from ..scene.errors import SceneError
    from ..scene.versions.showing import apply_version_index, select_shown
    from ..session.event_pump import report_defect, show_problem

    try:
        apply_version_index(group.id_data, group.active_version)
    except SceneError as error:
        select_shown(group.id_data)
        show_problem(Problem(error.text, error.fix or ""))
    except Exception as error:  # noqa: BLE001 - Blender prints what a property's callback raises where nobody looks
        report_defect("Showing a version", error)


def on_wear(layer: Any, context: Any) -> None:  # noqa: ANN401 - bpy calls it
    """Mixes a version's layers of wear anew: one was hidden, or has another strength."""
    from ..model.state import Problem
    from ..scene.errors import SceneError
    from ..scene.painting.wear_layers import mix_wear
    from ..session.event_pump import report_defect, show_problem

    versions = layer.id_data.pgc.versions
    version = next((one for one in versions if any(own == layer for own in one.wear)), None)
    try:
        if version is not None:
            mix_wear(layer.id_data, version, layer)
    except SceneError as error:
        show_problem(Problem(error.text, error.fix or ""))
    except Exception as error:  # noqa: BLE001 - Blender prints what a property's callback raises where nobody looks
        report_defect("Mixing wear", error)
