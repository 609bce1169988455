# SPDX-License-Identifier: GPL-3.0-or-later
"""Purge, Move to Disk and Move Back into .blend."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import bpy
from bpy.props import BoolProperty, IntProperty, StringProperty

from ...scene.errors import SceneError
from ...scene.versions.storage import (
    hidden_versions,
    move_to_blend,
    move_to_disk,
    on_disk,
    purge_versions,
    version_bytes,
)
from ..poll import passes_unless
from .action import INDEX, OnVersions, chosen_version, has_version, run_on_versions

__all__ = ["CLASSES"]


class PGC_OT_versions_purge(bpy.types.Operator):
    """Remove all versions that the object does not show and that have no star, with their pictures"""

    bl_idname = "pgc.versions_purge"
    bl_label = "Purge Versions"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_version(cls, context) and passes_unless(
            cls,
            not hidden_versions(context.object),
            "All versions are shown or have a star; there is nothing to remove",
        )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        return context.window_manager.invoke_props_dialog(self)

    def draw(self, context: bpy.types.Context) -> None:
        hidden, versions = hidden_versions(context.object), context.object.pgc.versions
        size = sum(version_bytes(versions[index]) for index in hidden) / 1e6
        self.layout.label(text=f"Remove {len(hidden)} versions that are not shown ({size:.1f} MB)?", icon="TRASH")

    def execute(self, context: bpy.types.Context) -> set[str]:
        return run_on_versions(self, lambda: self._purge(context))

    def _purge(self, context: bpy.types.Context) -> None:
        count = len(context.object.pgc.versions)
        freed = purge_versions(context.object)
        left = len(context.object.pgc.versions)
        self.report({"INFO"}, f"Removed {count - left} versions; the .blend gets {freed / 1e6:.1f} MB smaller")


class PGC_OT_version_move_to_disk(OnVersions, bpy.types.Operator):
    """Write the maps of this version into files beside the .blend and take them out of it"""

    bl_idname = "pgc.version_move_to_disk"
    bl_label = "Move to Disk"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    index: IntProperty(name="Version", description=INDEX, default=-1, min=-1, options={"SKIP_SAVE", "HIDDEN"})
    directory: StringProperty(
        name="Folder", description="Where the files go", subtype="DIR_PATH", options={"SKIP_SAVE"}
    )
    filter_folder: BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        if bpy.data.filepath:
            return self.execute(context)
        # Without a .blend there is no "beside it".
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        return run_on_versions(self, lambda: self._move(context))

    def _move(self, context: bpy.types.Context) -> None:
        version = context.object.pgc.versions[chosen_version(self, context)]
        given = self.directory
        if not given and not bpy.data.filepath:
            raise SceneError("The .blend has no folder yet; save it first, or choose a folder.", "wm.save_as_mainfile")
        folder = bpy.path.abspath(given or f"//textures/{bpy.path.clean_name(context.object.name)}")
        size = version_bytes(version)
        files = move_to_disk(version, Path(folder))
        freed = (size - version_bytes(version)) / 1e6
        self.report({"INFO"}, f"{len(files)} files in {folder}; the .blend gets {freed:.1f} MB smaller")


class PGC_OT_version_move_to_blend(bpy.types.Operator):
    """Read the maps of this version back into the .blend. The files stay where they are"""

    bl_idname = "pgc.version_move_to_blend"
    bl_label = "Move Back into .blend"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    index: IntProperty(name="Version", description=INDEX, default=-1, min=-1, options={"SKIP_SAVE", "HIDDEN"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        return has_version(cls, context) and passes_unless(
            cls, not any(on_disk(version) for version in context.object.pgc.versions), "All versions are in the .blend"
        )

    def execute(self, context: bpy.types.Context) -> set[str]:
        return run_on_versions(self, lambda: move_to_blend(context.object.pgc.versions[chosen_version(self, context)]))


CLASSES = (
    PGC_OT_versions_purge,
    PGC_OT_version_move_to_disk,
    PGC_OT_version_move_to_blend,
)
