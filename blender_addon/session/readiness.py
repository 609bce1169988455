# SPDX-License-Identifier: GPL-3.0-or-later
"""Why there can be no texture now: the button's tooltip and the line below it say the same."""

from __future__ import annotations

import bpy

from ..model.state import AppState, ServerState
from ..scene.meshes.real_mesh import can_become_real

__all__ = ["NO_MESH", "NO_MESHES", "NO_PICTURE", "NO_PROMPT", "NO_REAL_MESH", "reason_against_pictured"]
__all__ += ["reason_against", "reason_against_new_uvs", "reason_against_object", "reason_against_shape"]
__all__ += ["reason_against_imagining", "selected_meshes", "textured"]

NO_MESH = "Select a mesh object first"
NO_MESHES = "Select mesh objects first"
NO_PICTURE = "Choose a picture first"
NO_PROMPT = "Type a prompt first"
NO_REAL_MESH = "This object shows a surface, but is no mesh; make a real mesh of it first"
_CLOSED = (ServerState.REFUSED, ServerState.BROKEN)


def selected_meshes(context: bpy.types.Context) -> list[bpy.types.Object]:
    """Returns all selected meshes, the active one first; lamps and cameras among them hinder nobody. None selected: the
    active one.
    """
    meshes = [obj for obj in context.selected_objects or (context.object,) if obj is not None and obj.type == "MESH"]
    return sorted(meshes, key=lambda obj: (obj != context.object, obj.name))


def textured(context: bpy.types.Context) -> list[bpy.types.Object]:
    """Returns the objects that get a texture, by the panel's target."""
    obj = context.object
    if context.scene.pgc.target == "objects":
        return selected_meshes(context)
    return [obj] if obj is not None and obj.type == "MESH" else []


def reason_against(context: bpy.types.Context, state: AppState) -> str:
    """Says what the artist has to do first, without a full stop, as tooltips are; "" where nothing. Cheap: drawing
    asks.
    """
    objects = textured(context)
    if not objects and context.object is not None and can_become_real(context.object):
        return NO_REAL_MESH
    if not objects:
        return NO_MESHES if context.scene.pgc.target == "objects" else NO_MESH
    if not context.scene.pgc.prompt.strip():
        return NO_PROMPT
    return next(filter(None, (reason_against_object(obj, state) for obj in objects)), "")


def reason_against_shape(context: bpy.types.Context, state: AppState) -> str:
    """Says the same of a new shape of the active object."""
    obj = context.object
    if obj is None or obj.type != "MESH":
        return NO_REAL_MESH if obj is not None and can_become_real(obj) else NO_MESH
    return reason_against_imagining(context, state)


def reason_against_imagining(context: bpy.types.Context, state: AppState) -> str:
    """Says the same of a new object from the prompt alone."""
    if not context.scene.pgc.prompt.strip():
        return NO_PROMPT
    return "The server cannot be used; the panel says why" if state.server.state in _CLOSED else ""


def reason_against_pictured(context: bpy.types.Context, state: AppState) -> str:
    """Says the same of a new object from the picture that was chosen."""
    wish, obj = context.scene.pgc.shape, context.object
    if wish.picture is None:
        return NO_PICTURE
    if wish.viewer == "prompt" and not context.scene.pgc.prompt.strip():
        return NO_PROMPT
    if wish.start == "offsets" and (obj is None or obj.type != "MESH"):
        return NO_MESH
    return "The server cannot be used; the panel says why" if state.server.state in _CLOSED else ""


def reason_against_new_uvs(obj: bpy.types.Object, state: AppState) -> str:
    """Says the same of new UVs: a texture that is being made would land in other places."""
    reason = reason_against_object(obj, state)
    if not reason and state.live_for(obj.session_uid) is not None:
        return f"The texture of {obj.name} is being made; stop or cancel it first"
    return reason


def reason_against_object(obj: bpy.types.Object, state: AppState) -> str:
    """Says the same for one object, whatever the panel's choices are."""
    if any(view.unwrap is not None for view in state.all_live_for(obj.session_uid)):
        return f"New UVs of {obj.name} are being made; cancel that first"
    if state.server.state in _CLOSED:
        return "The server cannot be used; the panel says why"
    return ""
