# SPDX-License-Identifier: GPL-3.0-or-later
"""Generate Texture."""

from __future__ import annotations

from typing import ClassVar

import bpy
from bpy.props import IntProperty

from ..model.state import Problem, ServerState
from ..scene.errors import SceneError
from ..session import event_pump, recent_prompts
from ..session.readiness import reason_against, textured
from ..session.submission import SEEDS, objection, prepare_order, variations
from ..session.uv_checks import checks
from .poll import passes_unless

__all__ = ["PGC_OT_generate"]


class PGC_OT_generate(bpy.types.Operator):
    """Texture the active mesh by the prompt, in its own UVs. Nothing else in the scene changes"""

    bl_idname = "pgc.generate"
    bl_label = "Generate Texture"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    variations: IntProperty(
        name="Variations",
        description="How many textures, each with the next seed; 0 takes the panel's number",
        min=0,
        max=8,
        options={"SKIP_SAVE"},
    )

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        reason = reason_against(context, event_pump.current_state())
        return passes_unless(cls, reason, reason)

    def execute(self, context: bpy.types.Context) -> set[str]:
        desk = event_pump.job_desk()
        count = self.variations or context.scene.pgc.variations
        event_pump.show_problem(None)
        try:
            orders = [order for obj in textured(context) for order in variations(prepare_order(context, obj), count)]
        except SceneError as error:
            event_pump.show_problem(Problem(error.text, error.fix or ""))
            self.report({"ERROR"}, error.text)
            return {"CANCELLED"}
        too_large = objection(orders, desk.state.server)
        if too_large is not None:
            event_pump.show_problem(too_large)
            self.report({"ERROR"}, too_large.text)
            return {"CANCELLED"}
        # After what makes it another mesh: instances made real, a mesh of its own.
        if self._bad_uvs(context):
            return {"CANCELLED"}
        for note in (note for order in orders for note in order.notes):
            self.report({"WARNING"}, note)
        if not all([desk.submit(order.view, order.spec, order.arrays) for order in orders]):
            self.report({"ERROR"}, desk.state.server.problem.text)
            return {"CANCELLED"}
        settings = context.scene.pgc
        recent_prompts.remember(settings.prompt, settings.negative)
        if not settings.lock_seed:
            settings.seed = (settings.seed + count) % SEEDS
        if desk.state.server.state is ServerState.ABSENT:
            # One click: a server that is installed comes up by itself.
            bpy.ops.pgc.start_server()
        return {"FINISHED"}

    def _bad_uvs(self, context: bpy.types.Context) -> bool:
        """Whether an object's UVs cannot carry a texture: the panel then offers what helps; nothing is spent."""
        for obj in textured(context):
            if obj.type != "MESH" or obj.mode == "EDIT":
                continue
            checks().look(obj)
            found = checks().objection(obj)
            if found is not None:
                text = f"{obj.name}: {found.judgement.sentence}. Choose New UV Map, or Texture Anyway."
                event_pump.show_problem(Problem(text))
                self.report({"WARNING"}, text)
                return True
        return False
