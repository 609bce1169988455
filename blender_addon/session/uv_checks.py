# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the UVs of which object: found when it is asked for or the timer looks (`uv_timer`), never while
drawing."""

from __future__ import annotations

from dataclasses import dataclass, field

import bpy
import numpy as np
import numpy.typing as npt

from ..scene.meshes.uv_reading import UvArrays, read_uv_arrays
from ..uv_measure import UvJudgement, UvRemedy, judge_uvs, measure_uvs

__all__ = ["UvCheck", "UvChecks", "checks", "textured_map"]

_WHILE_IDLE = 50_000
"""Triangles that are measured without being asked: about a tenth of a second."""
_GRID = 256


@dataclass(frozen=True, slots=True)
class Part:
    """Which UV map and faces a texture would be made for."""

    uv_map: str
    target: str
    slot: int


@dataclass(frozen=True, slots=True)
class UvCheck:
    """What was found for the faces that are to be textured."""

    part: Part
    judgement: UvJudgement

    @property
    def bad(self) -> bool:
        """Whether a texture in these UVs cannot be right everywhere."""
        return self.judgement.remedy is not UvRemedy.KEEP


@dataclass(slots=True)
class UvChecks:
    """The checks of all objects of this Blender, by their `session_uid`."""

    found: dict[int, UvCheck] = field(default_factory=dict)
    accepted: set[tuple[int, Part]] = field(default_factory=set)
    """What is to be textured anyway."""

    def objection(self, obj: bpy.types.Object) -> UvCheck | None:
        """Returns what the panel shows of the map that would be textured; None: nothing, or not looked at yet.
        Cheap.
        """
        check = self.found.get(obj.session_uid)
        if check is None or not check.bad or check.part != textured_part(obj):
            return None
        return None if (obj.session_uid, check.part) in self.accepted else check

    def look(self, obj: bpy.types.Object) -> UvCheck | None:
        """Measures the UVs that would be textured, unless that was done; returns None where there are none."""
        part = textured_part(obj)
        if not part.uv_map:
            return None
        known = self.found.get(obj.session_uid)
        if known is None or known.part != part:
            arrays = read_uv_arrays(obj.data, part.uv_map)
            chosen = chosen_faces(obj.data, arrays, part)
            if not chosen.any():
                return None
            measure, _ = measure_uvs(
                arrays.positions,
                arrays.faces[chosen],
                arrays.corner_uvs[chosen],
                arrays.without[chosen],
                material=arrays.materials[chosen],
                grid=_GRID,
            )
            known = self.found[obj.session_uid] = UvCheck(part, judge_uvs(measure))
        return known

    def accept(self, obj: bpy.types.Object) -> None:
        """Accepts that an object is textured in its UVs anyway, until it gets others."""
        self.accepted.add((obj.session_uid, textured_part(obj)))

    def forget(self, obj: bpy.types.Object) -> None:
        """Forgets what was measured on an object, since its mesh changed."""
        self.found.pop(obj.session_uid, None)

    def look_while_idle(self, obj: bpy.types.Object | None) -> bool:
        """Looks at the active object, if it is small and was not looked at; returns whether there was something to look
        at.
        """
        if obj is None or obj.type != "MESH" or obj.mode == "EDIT" or len(obj.data.polygons) == 0:
            return False
        known = self.found.get(obj.session_uid)
        if known is not None and known.part == textured_part(obj):
            return False
        # Corners less two a polygon: without asking Blender to triangulate.
        if len(obj.data.loops) - 2 * len(obj.data.polygons) > _WHILE_IDLE:
            return False
        return self.look(obj) is not None


def textured_part(obj: bpy.types.Object) -> Part:
    """Says what a texture would be made for now."""
    target = bpy.context.scene.pgc.target
    slot = obj.active_material_index if target == "slot" else -1
    return Part(textured_map(obj), target if target in {"slot", "selected_faces"} else "object", slot)


def chosen_faces(mesh: bpy.types.Mesh, arrays: UvArrays, part: Part) -> npt.NDArray[np.bool_]:
    """Says which of the triangles [F] are of the part: other slots may use the same texels for images of their own."""
    values = np.empty(len(mesh.polygons), np.int32 if part.target == "slot" else np.bool_)
    match part.target:
        case "slot":
            mesh.polygons.foreach_get("material_index", values)
            return (values == part.slot)[arrays.polygons]
        case "selected_faces":
            mesh.polygons.foreach_get("select", values)
            return values[arrays.polygons]
        case _:
            return np.ones(len(arrays.faces), np.bool_)


def textured_map(obj: bpy.types.Object) -> str:
    """Returns the name of the UV map that a texture would be made for; "" where there is none."""
    if obj.type != "MESH":
        return ""
    layers, settings = obj.data.uv_layers, bpy.context.scene.pgc
    if settings.target != "objects" and settings.uv_map in layers:
        return settings.uv_map
    return layers.active.name if layers.active is not None else ""


_checks = UvChecks()


def checks() -> UvChecks:
    """Returns the checks of this Blender."""
    return _checks
