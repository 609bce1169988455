# SPDX-License-Identifier: GPL-3.0-or-later
"""Refine Shape: a new object beside the active one. New Object by Prompt, or by Image: one from nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import bpy

from ..model.problems import no_shapes_problem, shape_problem, unseeing_problem
from ..model.state import Problem, ServerState, ServerView
from ..protocol.specs.job import NEW_SHAPE, PICTURE_MODEL
from ..scene.errors import SceneError
from ..session import event_pump, recent_prompts
from ..session.readiness import reason_against_imagining, reason_against_pictured, reason_against_shape
from ..session.reshaping import prepare_imagined, prepare_pictured, prepare_shape
from ..session.submission import SEEDS, Order, objection
from .poll import passes_unless

__all__ = ["CLASSES"]


def _sent(operator: bpy.types.Operator, context: bpy.types.Context, prepare: Callable[[], Order]) -> set[str]:
    """Sends a job for a shape, or says why not."""
    desk = event_pump.job_desk()
    event_pump.show_problem(None)
    server = desk.state.server

    def refuse(problem: Problem) -> set[str]:
        event_pump.show_problem(problem)
        operator.report({"ERROR"}, problem.text)
        return {"CANCELLED"}

    if server.ready and NEW_SHAPE not in server.maps:
        return refuse(no_shapes_problem())
    try:
        order = prepare()
    except SceneError as error:
        return refuse(Problem(error.text, error.fix or ""))
    if order.spec.guidance.model == PICTURE_MODEL and server.ready and not _sees(server):
        return refuse(unseeing_problem())
    too_large = objection([order], server, shape_problem)
    if too_large is not None:
        return refuse(too_large)
    if not desk.submit(order.view, order.spec, order.arrays):
        return refuse(server.problem or no_shapes_problem())
    settings = context.scene.pgc
    if order.spec.guidance.model != PICTURE_MODEL:
        recent_prompts.remember(settings.prompt, settings.negative)
    if not settings.lock_seed:
        settings.seed = (settings.seed + 1) % SEEDS
    if server.state is ServerState.ABSENT:
        # One click: a server that is installed comes up by itself.
        bpy.ops.pgc.start_server()
    return {"FINISHED"}


def _sees(server: ServerView) -> bool:
    """Whether the server has the model that sees pictures, as far as it has told."""
    info = server.model(PICTURE_MODEL)
    # Before its first worker is up a server names no model.
    return not server.models or (info is not None and info.state == "installed")


class PGC_OT_refine_shape(bpy.types.Operator):
    """Learn a new shape from the active mesh and the prompt. It becomes a new object beside it; the mesh itself and
    everything else in the scene stay as they are"""

    bl_idname = "pgc.refine_shape"
    bl_label = "Refine Shape"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        reason = reason_against_shape(context, event_pump.current_state())
        return passes_unless(cls, reason, reason)

    def execute(self, context: bpy.types.Context) -> set[str]:
        return _sent(self, context, lambda: prepare_shape(context, context.object))


class PGC_OT_imagine(bpy.types.Operator):
    """Make a new object from the prompt alone. It comes to the 3D cursor, with colors on its corners; nothing else in
    the scene changes"""

    bl_idname = "pgc.imagine"
    bl_label = "New Object by Prompt"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        reason = reason_against_imagining(context, event_pump.current_state())
        return passes_unless(cls, reason, reason)

    def execute(self, context: bpy.types.Context) -> set[str]:
        return _sent(self, context, lambda: prepare_imagined(context))


class PGC_OT_imagine_picture(bpy.types.Operator):
    """Make a new object from a picture of it. It comes to the 3D cursor, or beside the active mesh where it begins as
    that; nothing else in the scene changes"""

    bl_idname = "pgc.imagine_picture"
    bl_label = "New Object by Image"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        reason = reason_against_pictured(context, event_pump.current_state())
        return passes_unless(cls, reason, reason)

    def execute(self, context: bpy.types.Context) -> set[str]:
        return _sent(self, context, lambda: prepare_pictured(context))


CLASSES = (PGC_OT_refine_shape, PGC_OT_imagine, PGC_OT_imagine_picture)
