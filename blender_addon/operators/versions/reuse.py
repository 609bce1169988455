# SPDX-License-Identifier: GPL-3.0-or-later
"""What a version was made with, once more: its prompt, or all of it and at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import bpy
import numpy as np
from bpy.props import BoolProperty, FloatProperty, IntProperty

from ...scene.errors import SceneError
from ...scene.meshes.face_sets import unpack_faces
from ...scene.versions.showing import apply_version_index
from ...session import event_pump
from ...session.readiness import reason_against_object
from ...session.submission import KEPT
from .action import INDEX, OnVersions, chosen_version, run_on_versions

__all__ = ["CLASSES", "fill_settings", "unless_it_fails"]


class PGC_OT_version_reuse_prompt(OnVersions, bpy.types.Operator):
    """Put this version's prompt and negative prompt into the panel"""

    bl_idname = "pgc.version_reuse_prompt"
    bl_label = "Reuse Prompt"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    index: IntProperty(name="Version", description=INDEX, default=-1, min=-1, options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> set[str]:
        return run_on_versions(self, lambda: self._reuse(context))

    def _reuse(self, context: bpy.types.Context) -> None:
        version, settings = _prompted(self, context), context.scene.pgc
        settings.prompt, settings.negative = version.prompt, version.negative


class PGC_OT_version_regenerate(OnVersions, bpy.types.Operator):
    """Generate from this version: same prompt and settings, on the same faces; again, with other seeds, or starting
    from what it shows. Each result is a new version"""

    bl_idname = "pgc.version_regenerate"
    bl_label = "Regenerate"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    index: IntProperty(name="Version", description=INDEX, default=-1, min=-1, options={"SKIP_SAVE"})
    new_seed: BoolProperty(
        name="New Seed", description="Take the panel's seed instead, for a variation", options={"SKIP_SAVE"}
    )
    variations: IntProperty(
        name="Variations",
        description="How many, each with the next seed",
        min=1,
        max=8,
        default=1,
        options={"SKIP_SAVE"},
    )
    strength: FloatProperty(
        name="Strength",
        description="Start from this version, and let so much of it change; 0 starts as the version did",
        min=0.0,
        max=1.0,
        subtype="FACTOR",
        options={"SKIP_SAVE"},
    )

    def execute(self, context: bpy.types.Context) -> set[str]:
        return run_on_versions(self, lambda: self._start(context))

    def _start(self, context: bpy.types.Context) -> None:
        obj, settings = context.object, context.scene.pgc
        version = _prompted(self, context)
        if version.target == "selected_faces" and obj.mode == "EDIT":
            raise SceneError(f"{obj.name} is in Edit Mode; leave it, so that the version's own faces can be taken.")
        reason = reason_against_object(obj, event_pump.current_state())
        if reason:
            raise SceneError(f"{reason}.")
        seed = settings.seed if self.new_seed else version.seed
        start = (settings.use_start, settings.strength), obj.pgc.active_version
        try:
            with unless_it_fails(settings), _place(obj, version):
                fill_settings(settings, version)
                settings.seed = seed
                if self.strength > 0.0:
                    # A run starts from what the object shows.
                    apply_version_index(obj, chosen_version(self, context))
                    settings.use_start, settings.strength = True, self.strength
                self._generate()
        except SceneError:
            if self.strength > 0.0 and start[1] >= 0:
                apply_version_index(obj, start[1])
            raise
        if self.strength > 0.0:
            # It was for this job alone.
            settings.use_start, settings.strength = start[0]

    def _generate(self) -> None:
        try:
            bpy.ops.pgc.generate(variations=self.variations)
        except RuntimeError as error:
            # Blender's way of saying that the operator reported an error, which the panel shows already.
            problem = event_pump.current_state().problem
            raise SceneError(problem.text, problem.operator) if problem else SceneError(str(error)) from error


@contextmanager
def unless_it_fails(settings: Any) -> Iterator[None]:  # noqa: ANN401 - a property group
    """Lets the panel's choices change inside; where that leads to nothing, they are as they were."""
    names = (*KEPT, "prompt", "negative", "seed", "maps", "reference")
    before = {name: getattr(settings, name) for name in names}
    try:
        yield
    except SceneError:
        for name, value in before.items():
            setattr(settings, name, value)
        raise


def _prompted(operator: bpy.types.Operator, context: bpy.types.Context) -> bpy.types.PropertyGroup:
    """The chosen version, which came of a prompt. Raises SceneError where it was baked from materials."""
    version = context.object.pgc.versions[chosen_version(operator, context)]
    if not version.prompt:
        raise SceneError(
            f"{version.name} was baked from materials and has no prompt; choose a version that was generated."
        )
    return version


def fill_settings(settings: Any, version: Any) -> None:  # noqa: ANN401 - property groups
    """Puts into the panel what a version was made with. Raises SceneError where its reference is gone, or its settings
    cannot be read.
    """
    settings.prompt, settings.negative = version.prompt, version.negative
    kept = _kept(version)
    for name in KEPT:
        if name in kept and _allowed(settings, name, kept[name]):
            _put(settings, version, name, kept[name])
        elif kept and name not in kept:
            # It is of before there was this choice, so that it was made without.
            settings.property_unset(name)
    settings.reference = _reference(version, str(kept.get("reference", "")))
    if kept.get("maps"):
        _put(settings, version, "maps", kept["maps"])
    if settings.target != "objects":
        settings.target, settings.uv_map = version.target, version.uv_map
    else:
        # It was one of several objects; only this one is made again.
        settings.target = "object"


def _kept(version: Any) -> dict[str, Any]:  # noqa: ANN401 - a property group
    """The panel's choices of then. Raises SceneError where they are no JSON object."""
    try:
        kept: Any = json.loads(version.settings)
    except ValueError:
        kept = None
    if not isinstance(kept, dict):
        raise SceneError(f"What {version.name} was made with is damaged; Reuse Prompt still takes its words.")
    return kept


def _put(settings: Any, version: Any, name: str, value: Any) -> None:  # noqa: ANN401 - property groups
    """One choice. Raises SceneError where it is none of the kind."""
    try:
        setattr(settings, name, set(value) if name == "maps" else value)
    except (TypeError, ValueError, OverflowError) as error:
        raise SceneError(
            f"{version.name} was made with the {name} {str(value)[:40]!r}, which is none here; Reuse Prompt still "
            "takes its words."
        ) from error


def _reference(version: Any, name: str) -> bpy.types.Image | None:  # noqa: ANN401
    """The picture that a version was to resemble. Raises SceneError where it is gone."""
    image = bpy.data.images.get(name) if name else None
    if name and image is None:
        raise SceneError(
            f"The reference of {version.name}, {name}, is not in this file any more; load it, or start anew."
        )
    return image


def _allowed(settings: Any, name: str, value: Any) -> bool:  # noqa: ANN401
    """Whether a choice of then is one of today's."""
    items = getattr(settings.bl_rna.properties[name], "enum_items", None)
    return not items or name == "maps" or value in [item.identifier for item in items]


@contextmanager
def _place(obj: bpy.types.Object, version: bpy.types.PropertyGroup) -> Iterator[None]:
    """The version's faces are selected and its slot is active for the moment in which the job is put together."""
    slot, polygons = obj.active_material_index, obj.data.polygons
    selected = np.empty(len(polygons), np.bool_)
    polygons.foreach_get("select", selected)
    try:
        if version.target == "selected_faces":
            polygons.foreach_set("select", unpack_faces(version.faces, len(polygons)))
            obj.data.update()
        elif version.target == "slot":
            obj.active_material_index = version.slot
        yield
    finally:
        if version.target == "selected_faces":
            polygons.foreach_set("select", selected)
            obj.data.update()
        obj.active_material_index = slot


CLASSES = (PGC_OT_version_reuse_prompt, PGC_OT_version_regenerate)
