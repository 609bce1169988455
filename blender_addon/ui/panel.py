# SPDX-License-Identifier: GPL-3.0-or-later
"""The panel in the 3D view's sidebar."""

import bpy

__all__ = ["PGC_PT_texture"]

_LABELS = {"connecting": "Connecting to the Server", "uploading": "Sending the Mesh", "queued": "Waiting for Its Turn"}


class PGC_PT_texture(bpy.types.Panel):
    """Prompt, settings, Generate Texture, progress, versions."""

    bl_idname = "PGC_PT_texture"
    bl_label = "PGC Texture"
    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "PGC"

    def draw(self, context: bpy.types.Context) -> None:
        layout, settings, state = self.layout, context.scene.pgc, context.window_manager.pgc
        layout.use_property_split = True
        column = layout.column()
        column.use_property_split = False
        column.prop(settings, "prompt", text="", placeholder="red bricks")
        column.prop(settings, "negative")
        for name in ("preset", "texture_size", "target"):
            layout.prop(settings, name)
        row = layout.row(align=True)
        row.prop(settings, "seed")
        row.prop(settings, "lock_seed", text="", icon="LOCKED" if settings.lock_seed else "UNLOCKED")
        if state.state in {"connecting", "uploading", "queued", "running"}:
            self._progress(layout, state)
        else:
            button = layout.column()
            button.scale_y = 1.6
            button.operator("pgc.generate", icon="SHADERFX")
        if state.state == "failed":
            self._error(layout, state)
        if context.object is not None and context.object.type == "MESH":
            self._versions(layout, context.object)

    @staticmethod
    def _progress(layout: bpy.types.UILayout, state: bpy.types.PropertyGroup) -> None:
        if state.state == "running":
            left = "" if state.eta < 0 else f", {state.eta:.0f} s left"
            layout.progress(factor=state.step / max(1, state.steps), text=f"Step {state.step} of {state.steps}{left}")
        else:
            layout.label(text=_LABELS[state.state])
        if state.preview is not None:
            layout.template_icon(state.preview.preview_ensure().icon_id, scale=8.0)
        layout.operator("pgc.cancel", icon="X")

    @staticmethod
    def _error(layout: bpy.types.UILayout, state: bpy.types.PropertyGroup) -> None:
        box = layout.box()
        box.alert = True
        for start in range(0, len(state.message), 44):
            box.label(text=state.message[start : start + 44], icon="ERROR" if start == 0 else "BLANK1")
        if state.fix:
            box.operator(state.fix)

    @staticmethod
    def _versions(layout: bpy.types.UILayout, obj: bpy.types.Object) -> None:
        if not obj.pgc.versions:
            return
        box = layout.box()
        box.label(text="Versions")
        for index, version in enumerate(obj.pgc.versions):
            box.label(text=version.name, icon="RADIOBUT_ON" if index == obj.pgc.active_version else "RADIOBUT_OFF")
        box.operator("pgc.restore")
