# SPDX-License-Identifier: GPL-3.0-or-later
"""Add to Asset Browser: the textured object, with the picture of its version, for the asset browser."""

from __future__ import annotations

import re
from typing import ClassVar

import bpy
import numpy as np
import numpy.typing as npt
from bpy.props import IntProperty

from ...scene.errors import SceneError
from ...scene.pictures.pixels import channels_of
from .action import INDEX, OnVersions, chosen_version, run_on_versions

__all__ = ["CLASSES"]


class PGC_OT_version_mark_asset(OnVersions, bpy.types.Operator):
    """Put the object into the asset browser as it is, with the small picture, the prompt and its words as tags. The
    texture is in the object's own UVs, so that it goes with the object and not alone"""

    bl_idname = "pgc.version_mark_asset"
    bl_label = "Add to Asset Browser"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    index: IntProperty(name="Version", description=INDEX, default=-1, min=-1, options={"SKIP_SAVE", "HIDDEN"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        return run_on_versions(self, lambda: self._mark(context))

    def _mark(self, context: bpy.types.Context) -> None:
        obj = context.object
        version = obj.pgc.versions[chosen_version(self, context)]
        if obj.override_library is not None:
            raise SceneError(f"{obj.name} belongs to another file; mark it as an asset there, or make it local first.")
        picture = None if version.thumbnail is None else channels_of(version.thumbnail)
        obj.asset_mark()
        data = obj.asset_data
        data.description = version.prompt or version.name
        for word in re.findall(r"\w+", version.prompt.lower()):
            # Never an empty one, which Blender dies of.
            data.tags.new(word, skip_if_exists=True)
        if picture is not None:
            _set_preview(obj, picture)
        self.report({"INFO"}, f"{obj.name} is in the asset browser now, under Current File")


def _set_preview(obj: bpy.types.Object, picture: npt.NDArray[np.float32]) -> None:
    """The object's preview in lists and in the asset browser, of a picture [H, W, C], row 0 at the top."""
    height, width = picture.shape[:2]
    full = np.ones((height, width, 4), np.float32)
    full[..., :3] = picture[::-1, :, :3]
    preview = obj.preview_ensure()
    preview.image_size = (width, height)
    preview.image_pixels_float.foreach_set(full.ravel())


CLASSES = (PGC_OT_version_mark_asset,)
