# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of an object's versions."""

from __future__ import annotations

import bpy

from ..scene.storage import on_disk, version_bytes
from ..scene.versions import is_shown, map_image

__all__ = ["CLASSES", "draw_versions"]

_MOST_ROWS = 4
"""Of versions that are seen without scrolling."""


class PGC_UL_versions(bpy.types.UIList):
    """A picture, the name, and what it takes of the .blend."""

    bl_idname = "PGC_UL_versions"

    def draw_item(
        self,
        context: bpy.types.Context,
        layout: bpy.types.UILayout,
        data: bpy.types.PropertyGroup,
        item: bpy.types.PropertyGroup,
        icon: int,
        active_data: bpy.types.PropertyGroup,
        active_property: str,
    ) -> None:
        row = layout.row(align=True)
        picture = item.thumbnail or map_image(item, "base_color")
        if picture is not None:
            row.template_icon(icon_value=layout.icon(picture), scale=2.0)
        text = row.column(align=True)
        text.prop(item, "name", text="", emboss=False)
        facts = text.row(align=True)
        facts.active = False
        facts.label(text=_facts(item), icon=_storage_icon(item), translate=False)
        mark = row.column()
        mark.label(text="", icon="HIDE_OFF" if is_shown(data.id_data, item) else "BLANK1")

    def filter_items(
        self, context: bpy.types.Context, data: bpy.types.PropertyGroup, property_name: str
    ) -> tuple[list[int], list[int]]:
        """The newest is the first."""
        items = getattr(data, property_name)
        flags = []
        if self.filter_name:
            flags = bpy.types.UI_UL_list.filter_items_by_name(
                self.filter_name, self.bitflag_filter_item, items, "name", reverse=False
            )
        return flags, [len(items) - 1 - index for index in range(len(items))]


class PGC_MT_version(bpy.types.Menu):
    """What else can be done with a version."""

    bl_idname = "PGC_MT_version"
    bl_label = "Version"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.operator("pgc.version_regenerate", icon="FILE_REFRESH")
        layout.operator("pgc.version_regenerate", text="Regenerate with a New Seed").new_seed = True
        layout.operator("pgc.version_reuse_prompt", icon="COPYDOWN")
        layout.operator("pgc.version_rename", icon="GREASEPENCIL")
        layout.operator("pgc.bake_set", icon="RENDER_STILL")
        layout.separator()
        layout.operator("pgc.version_move_to_disk", icon="EXPORT")
        layout.operator("pgc.version_move_to_blend", icon="PACKAGE")
        layout.separator()
        layout.operator("pgc.versions_purge", icon="TRASH")


def draw_versions(layout: bpy.types.UILayout, obj: bpy.types.Object, context: bpy.types.Context) -> None:
    """The list and its buttons. Reads what is in memory: no pixels, no files."""
    group = obj.pgc
    row = layout.row()
    count = len(group.versions)
    row.template_list(
        PGC_UL_versions.bl_idname,
        "",
        group,
        "versions",
        group,
        "active_version",
        rows=max(2, min(count, _MOST_ROWS)),
        maxrows=8,
    )
    side = row.column(align=True)
    side.operator("pgc.version_remove", text="", icon="REMOVE")
    side.menu(PGC_MT_version.bl_idname, text="", icon="DOWNARROW_HLT")
    buttons = layout.row(align=True)
    buttons.operator("pgc.version_compare", icon="ARROW_LEFTRIGHT")
    buttons.operator("pgc.restore", text="Original", icon="LOOP_BACK")
    size = sum(version_bytes(version) for version in group.versions)
    if count > 1:
        foot = layout.row()
        foot.label(text=f"{_megabytes(size)} in the .blend", translate=False)
        foot.operator("pgc.versions_purge", text="Purge", icon="TRASH")


def _facts(version: bpy.types.PropertyGroup) -> str:
    size = "On Disk" if on_disk(version) else _megabytes(version_bytes(version))
    # Two facts fit a sidebar's width.
    parts = [size, "Partial" if version.partial else f"Seed {version.seed}"]
    return "  ·  ".join(parts)


def _storage_icon(version: bpy.types.PropertyGroup) -> str:
    return "FILE_FOLDER" if on_disk(version) else "PACKAGE"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{max(1, round(count / 1e3))} kB" if count else "0 kB"


CLASSES = (PGC_UL_versions, PGC_MT_version)
