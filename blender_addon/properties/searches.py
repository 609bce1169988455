# SPDX-License-Identifier: GPL-3.0-or-later
"""What text fields suggest. Without bpy among its globals, as `version_clicks` is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["names_of"]


def names_of(kind: str) -> Callable[[Any, Any, str], tuple[str, ...]]:
    """Returns what Blender calls for the names of the server's own models of a kind (`conditions.named`)."""

    def names(_settings: Any, _context: Any, _typed: str) -> tuple[str, ...]:  # noqa: ANN401 - bpy calls it
        from ..model.conditions.named import named_models
        from ..session.event_pump import current_state

        return named_models(current_state().server.models, kind)

    return names
