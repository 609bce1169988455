# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of an object's versions."""

from __future__ import annotations

import datetime

import bpy
from bpy.props import BoolProperty

from ..model.choices import duration
from ..scene.versions.showing import is_shown, map_image
from ..scene.versions.storage import on_disk, version_bytes
from ..session import event_pump
from .text import draw_text

__all__ = ["CLASSES", "draw_versions"]

_ALIKE, _REFINED = 0.5, 0.2
"""Strength of "More Like This" and of "Refine"."""
_MOST_LAYERS = 5
"""Versions that the menu of wear shows, of the newest."""
_PLACES = (
    ("EDGES", "Worn Edges"),
    ("CREVICES", "Crevices"),
    ("HIDDEN", "Hidden Places"),
    ("THIN", "Thin Places"),
    ("UP", "What Faces Up"),
    ("HEIGHT", "Height"),
    ("MASK", "Mask"),
)
_MOST_ROWS = 5
"""Of versions that are seen without scrolling."""


class PGC_UL_versions(bpy.types.UIList):
    """A picture, the name, the seed, a star, and an eye beside what is shown. One line: Blender selects by a click on
    the first only.
    """

    bl_idname = "PGC_UL_versions"

    only_starred: BoolProperty(name="Only Starred", description="Show only the versions that have a star")

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
        """Draws one version: its picture, its name, and an eye where it is shown."""
        row = layout.row(align=True)
        picture = _picture(item)
        if picture is not None:
            row.template_icon(icon_value=layout.icon(picture))
        row.prop(item, "name", text="", emboss=False)
        if item.prompt:
            # Versions of one prompt differ by it.
            seed = row.row(align=True)
            seed.alignment, seed.active = "RIGHT", False
            seed.label(text=str(item.seed), translate=False)
        row.prop(item, "starred", text="", icon="SOLO_ON" if item.starred else "SOLO_OFF", emboss=False)
        row.label(text="", icon="HIDE_OFF" if is_shown(data.id_data, item) else "BLANK1")

    def filter_items(
        self, context: bpy.types.Context, data: bpy.types.PropertyGroup, property_name: str
    ) -> tuple[list[int], list[int]]:
        """Orders the versions so that the newest is the first, and hides those that the filter does not fit: its words
        are looked for in name, prompt, note and seed.
        """
        items = getattr(data, property_name)
        flags = [self.bitflag_filter_item if self._fits(item) else 0 for item in items]
        return flags, [len(items) - 1 - index for index in range(len(items))]

    def draw_filter(self, context: bpy.types.Context, layout: bpy.types.UILayout) -> None:
        """Draws what is looked for."""
        row = layout.row(align=True)
        row.prop(self, "filter_name", text="", icon="VIEWZOOM")
        row.prop(self, "only_starred", text="", icon="SOLO_ON")

    def _fits(self, item: bpy.types.PropertyGroup) -> bool:
        if self.only_starred and not item.starred:
            return False
        text = f"{item.name} {item.prompt} {item.note} {item.seed}".casefold()
        return all(word in text for word in self.filter_name.casefold().split())


class PGC_MT_version(bpy.types.Menu):
    """What else can be done with a version."""

    bl_idname = "PGC_MT_version"
    bl_label = "Version"

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.operator("pgc.version_regenerate", icon="FILE_REFRESH")
        layout.operator("pgc.version_regenerate", text="Regenerate with a New Seed").new_seed = True
        other = layout.operator("pgc.version_regenerate", text="Four Variations", icon="RENDERLAYERS")
        other.new_seed, other.variations = True, 4
        alike = layout.operator("pgc.version_regenerate", text="Four More Like This", icon="DUPLICATE")
        alike.new_seed, alike.variations, alike.strength = True, 4, _ALIKE
        layout.operator("pgc.version_regenerate", text="Refine", icon="MODIFIER").strength = _REFINED
        layout.operator("pgc.version_reuse_prompt", icon="COPYDOWN")
        layout.operator("pgc.version_rename", icon="GREASEPENCIL")
        layout.operator("pgc.bake_set", icon="RENDER_STILL")
        layout.operator("pgc.version_mark_asset", icon="ASSET_MANAGER")
        layout.separator()
        layout.operator("pgc.version_move_to_disk", icon="EXPORT")
        layout.operator("pgc.version_move_to_blend", icon="PACKAGE")
        layout.separator()
        layout.operator("pgc.versions_purge", icon="TRASH")


class PGC_MT_wear(bpy.types.Menu):
    """Versions that can be laid over the selected one, and where"""

    bl_idname = "PGC_MT_wear"
    bl_label = "Add Wear"

    def draw(self, context: bpy.types.Context) -> None:
        group, row = context.object.pgc, self.layout.row()
        others = [index for index in range(len(group.versions)) if index != group.active_version]
        for index in others[-_MOST_LAYERS:]:
            version, column = group.versions[index], row.column()
            column.label(text=f"{version.name}  {version.seed}", translate=False)
            for place, text in _PLACES:
                operator = column.operator("pgc.wear_add", text=text)
                operator.source, operator.place = index, place


def draw_versions(layout: bpy.types.UILayout, obj: bpy.types.Object, context: bpy.types.Context) -> None:
    """Draws the list and its buttons. Reads what is in memory: no pixels, no files."""
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
    if 0 <= group.active_version < count:
        _draw_facts(layout, group.versions[group.active_version])
        _draw_wear(layout, group.versions[group.active_version], count)
        _draw_uv_change(layout, obj, context)
    buttons = layout.row(align=True)
    buttons.operator("pgc.version_compare", icon="ARROW_LEFTRIGHT")
    buttons.operator("pgc.restore", text="Original", icon="LOOP_BACK")
    size = sum(version_bytes(version) for version in group.versions)
    if count > 1:
        foot = layout.row()
        foot.label(text=f"{_megabytes(size)} in the .blend", translate=False)
        foot.operator("pgc.versions_purge", text="Purge", icon="TRASH")


def _draw_uv_change(layout: bpy.types.UILayout, obj: bpy.types.Object, context: bpy.types.Context) -> None:
    """Where the selected version is for other UVs than the object has by now: what to do with it."""
    desk = event_pump.existing_job_desk()
    if desk is None or not desk.uvs.changed(obj, obj.pgc.versions[obj.pgc.active_version]):
        return
    box = layout.box()
    draw_text(box, "The UVs changed since this was made, so it lands in other places.", context, icon="ERROR")
    box.operator("pgc.transfer_uvs", icon="UV_DATA")
    box.operator("pgc.version_regenerate", text="Generate Again", icon="FILE_REFRESH")


def _draw_facts(layout: bpy.types.UILayout, version: bpy.types.PropertyGroup) -> None:
    """The selected version: its picture, large enough to know it by, and where it comes from."""
    row = layout.row()
    picture = _picture(version)
    if picture is not None:
        side = row.row()
        side.alignment = "LEFT"
        side.template_icon(icon_value=layout.icon(picture), scale=3.4)
    facts = row.column(align=True)
    facts.label(text=version.prompt or version.name, translate=False)
    detail = facts.column(align=True)
    detail.active = False
    detail.label(text=_origin(version), translate=False)
    if version.created:
        detail.label(text=_local_time(version.created), translate=False)
    count = len(version.maps)
    size = "On Disk" if on_disk(version) else _megabytes(version_bytes(version))
    text = f"{count} maps  ·  {size}" if count > 1 else size
    detail.label(text=text, icon=_storage_icon(version), translate=False)
    layout.prop(version, "note", text="", icon="TEXT", placeholder="Note")


def _draw_wear(layout: bpy.types.UILayout, version: bpy.types.PropertyGroup, count: int) -> None:
    """The version's layers of wear, the uppermost first, and what could be laid over it."""
    column = layout.column(align=True)
    for place in reversed(range(len(version.wear))):
        layer, row = version.wear[place], column.row(align=True)
        # Nothing that is changed of another file's material is saved.
        row.enabled = version.material is None or version.material.is_editable
        row.prop(layer, "hidden", text="", icon="HIDE_ON" if layer.hidden else "HIDE_OFF", emboss=False)
        row.prop(layer, "strength", text=layer.name, slider=True, translate=False)
        row.operator("pgc.wear_remove", text="", icon="X").layer = place
    if count > 1:
        column.menu(PGC_MT_wear.bl_idname, icon="BRUSH_DATA")


def _picture(version: bpy.types.PropertyGroup) -> bpy.types.Image | None:
    return version.thumbnail or map_image(version, "base_color")


def _origin(version: bpy.types.PropertyGroup) -> str:
    parts = [f"Seed {version.seed}" if version.prompt else "Baked"]
    if version.painted:
        parts.append("Painted")
    elif version.partial:
        parts.append("Partial")
    elif version.seconds > 0:
        parts.append(duration(version.seconds))
    return "  ·  ".join(parts)


def _local_time(created: str) -> str:
    """The moment of an ISO 8601 time, where the artist is; empty where it is none."""
    try:
        moment = datetime.datetime.fromisoformat(created).astimezone()
    except ValueError:
        return ""
    return f"{moment:%Y-%m-%d %H:%M}"


def _storage_icon(version: bpy.types.PropertyGroup) -> str:
    return "FILE_FOLDER" if on_disk(version) else "PACKAGE"


def _megabytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{max(1, round(count / 1e3))} kB" if count else "0 kB"


CLASSES = (PGC_UL_versions, PGC_MT_version, PGC_MT_wear)
