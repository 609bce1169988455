# SPDX-License-Identifier: GPL-3.0-or-later
"""Why there can be no texture now: the button's tooltip and the line below it say the same."""

from __future__ import annotations

import bpy

from .scene.real_mesh import can_become_real
from .state import AppState, ServerState

__all__ = ["NO_MESH", "NO_PROMPT", "NO_REAL_MESH", "reason_against"]

NO_MESH = "Select a mesh object first"
NO_PROMPT = "Type a prompt first"
NO_REAL_MESH = "This object shows a surface, but is no mesh; make a real mesh of it first"
_CLOSED = (ServerState.REFUSED, ServerState.BROKEN)


def reason_against(context: bpy.types.Context, state: AppState) -> str:
    """What the artist has to do first, without a full stop, as tooltips are; "" where nothing. Cheap: drawing asks."""
    obj = context.object
    if obj is not None and can_become_real(obj):
        return NO_REAL_MESH
    if obj is None or obj.type != "MESH":
        return NO_MESH
    if not context.scene.pgc.prompt.strip():
        return NO_PROMPT
    if state.live_for(obj.session_uid) is not None:
        return "This object's texture is being made; cancel it first"
    if state.server.state in _CLOSED:
        return "The server cannot be used; the panel says why"
    return ""
