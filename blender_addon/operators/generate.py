# SPDX-License-Identifier: GPL-3.0-or-later
"""Generate Texture."""

from __future__ import annotations

from typing import ClassVar

import bpy

from .. import event_pump
from ..protocol.job_spec import PromptSpec, SettingsSpec, TextureJobSpec
from ..scene.errors import SceneError
from ..scene.mesh_export import ExportOptions, export_mesh, mesh_spec
from ..session import Target

__all__ = ["PGC_OT_generate"]

_BUSY_STATES = {"connecting", "uploading", "queued", "running"}


class PGC_OT_generate(bpy.types.Operator):
    """Texture the active mesh by the prompt, in its own UVs. Nothing else in the scene changes"""

    bl_idname = "pgc.generate"
    bl_label = "Generate Texture"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.object is None or context.object.type != "MESH":
            cls.poll_message_set("Select a mesh object first")
            return False
        if not context.scene.pgc.prompt.strip():
            cls.poll_message_set("Type a prompt first")
            return False
        if context.window_manager.pgc.state in _BUSY_STATES:
            cls.poll_message_set("A texture is being made; cancel it first")
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[str]:
        settings, state, obj = context.scene.pgc, context.window_manager.pgc, context.object
        options = ExportOptions(target=settings.target, slot=obj.active_material_index)
        try:
            mesh = export_mesh(obj, context.evaluated_depsgraph_get(), options)
        except SceneError as error:
            state.state, state.message, state.fix = "failed", error.text, error.fix or ""
            self.report({"ERROR"}, error.text)
            return {"CANCELLED"}
        part, arrays = mesh_spec(mesh)
        spec = TextureJobSpec(
            meshes=(part,),
            prompt=PromptSpec(text=settings.prompt, negative=settings.negative),
            settings=SettingsSpec(
                preset=settings.preset,
                seed=settings.seed,
                steps=settings.steps or None,
                texture_size=int(settings.texture_size),
            ),
            name=obj.name,
        )
        session = event_pump.session()
        key = session.client.submit(spec, arrays)
        session.watch(key, Target(obj, options, mesh.uv_map, settings.prompt, settings.seed))
        state.state, state.message, state.fix, state.object_name = "connecting", "", "", obj.name
        state.step = state.steps = 0
        if not settings.lock_seed:
            settings.seed += 1
        return {"FINISHED"}
