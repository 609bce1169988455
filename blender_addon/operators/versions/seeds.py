# SPDX-License-Identifier: GPL-3.0-or-later
"""The seed of what is seen, and the next one."""

from __future__ import annotations

from typing import ClassVar

import bpy
from bpy.props import BoolProperty

from ...scene.versions.showing import shown_version
from ...session.submission import SEEDS

__all__ = ["CLASSES"]


class PGC_OT_next_seed(bpy.types.Operator):
    """Take the next seed after that of the shown version: one with which this prompt was not tried on the object yet"""

    bl_idname = "pgc.next_seed"
    bl_label = "Next Seed"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    same: BoolProperty(name="Same Seed", description="Take the seed of the shown version itself", options={"SKIP_SAVE"})

    @classmethod
    def description(cls, context: bpy.types.Context, properties: bpy.types.OperatorProperties) -> str:
        """Says what the button does; with `same` it is the other one of the two."""
        return "Take the seed of the version that is shown" if properties.same else (cls.__doc__ or "")

    def execute(self, context: bpy.types.Context) -> set[str]:
        settings, shown = context.scene.pgc, shown_version(context.object)
        if shown is None:
            settings.seed = settings.seed if self.same else (settings.seed + 1) % SEEDS
            return {"FINISHED"}
        seed = shown.seed % SEEDS
        if not self.same:
            tried = {version.seed for version in context.object.pgc.versions if version.prompt == shown.prompt}
            while seed in tried:
                seed = (seed + 1) % SEEDS
        settings.seed = seed
        return {"FINISHED"}


CLASSES = (PGC_OT_next_seed,)
