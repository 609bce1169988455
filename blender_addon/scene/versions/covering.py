# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions on an object's material slots and faces, and what was there before, which is kept in the object itself.

Only what a version covers changes, and only what holds one of our materials is ever put back: where the artist has put
something else since, it stays. A mesh that several objects share is not touched; its slots are overridden on the one
object. What cannot be done without touching it is refused before anything changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import bpy
import numpy as np

from ...overrides import remove_item
from ..errors import SceneError
from ..meshes.face_sets import pack_indices, unpack_indices
from ..ownership import check_private, has_own_mesh
from .layers import Indices, Layer, compose_faces, cover_slot

__all__ = ["covered_slots", "show_layers", "visible_materials"]


@dataclass(eq=False)
class _Plan:
    """What will be done to the mesh."""

    slots: dict[str, int]
    """Slot of each layer of faces, by key; those past the end are to be added."""
    now: Indices | None = None
    base: Indices | None = None
    faces: Indices | None = None
    """Material indices of the polygons; None: they stay."""


def visible_materials(obj: bpy.types.Object) -> set[bpy.types.Material]:
    """Returns the materials in the object's slots."""
    return {slot.material for slot in obj.material_slots if slot.material is not None}


def covered_slots(obj: bpy.types.Object, kind: str) -> list[int]:
    """Returns the slots of a kind, as far as the object still has them."""
    count = len(obj.material_slots)
    return [index for index, entry in enumerate(obj.pgc.covered) if entry.kind == kind and index < count]


def show_layers(
    obj: bpy.types.Object,
    layers: Sequence[Layer],
    materials: Mapping[str, bpy.types.Material],
    forced: Sequence[Layer] = (),
) -> None:
    """Brings the object to what its layers say.

    Args:
        layers: from the lowest up; none: back to what was there before.
        materials: of all versions of the object, by key.
        forced: those among `layers` that are new: they also cover what the artist has put over older versions.

    Raises:
        SceneError: the slot is gone, or faces or slots of a mesh would have to change that must not; nothing changed.
    """
    count = len(obj.material_slots)
    for layer in forced:
        if layer.target == "slot" and layer.slot >= max(1, count):
            raise SceneError(
                f"{obj.name} has {count} material slots, and this texture was made for slot {layer.slot + 1}; "
                "add the slot again, or choose another version."
            )
    ours = set(materials.values())
    _note(obj, ours)
    plan = _plan(obj, layers, forced)
    if layers and not obj.material_slots:
        check_private(obj, "a material slot must be added to it")
        _add_slot(obj, "BASE", None)
    _place(obj, layers, materials, plan)
    for index in (*covered_slots(obj, "OWN"), *covered_slots(obj, "BASE")):
        layer = cover_slot(layers, index)
        touched = cover_slot(forced, index) is not None
        if not touched and obj.material_slots[index].material not in ours:
            continue
        if layer is None:
            _uncover(obj, index)
        else:
            _set_material(obj, index, materials[layer.key])
    _drop(obj, bool(layers))


def _note(obj: bpy.types.Object, ours: set[bpy.types.Material]) -> None:
    """Bring the record up to date with what the artist has done since."""
    covered, slots = obj.pgc.covered, obj.material_slots
    while len(covered) > len(slots) and remove_item(covered, len(covered) - 1):
        pass
    for index, slot in enumerate(slots):
        known = index < len(covered)
        entry = covered[index] if known else covered.add()
        if known and (slot.material in ours or (slot.material is None and entry.kind != "OWN")):
            continue
        entry.kind, entry.link = "OWN", slot.link
        entry.material = None if slot.material in ours else slot.material


def _plan(obj: bpy.types.Object, layers: Sequence[Layer], forced: Sequence[Layer]) -> _Plan:
    mesh, added = obj.data, covered_slots(obj, "LAYER")
    on_faces = [layer for layer in layers if layer.target == "selected_faces"]
    slots = _allot(obj, on_faces, added)
    if not added and not on_faces:
        return _Plan(slots)
    now = np.empty(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("material_index", now)
    in_added = np.isin(now, added)
    base = np.where(in_added, _recorded(obj, len(now)), now).astype(np.int32)
    free = in_added.copy()
    for layer in forced:
        if layer.faces is not None:
            free |= layer.faces
    faces = compose_faces(now, base, [(layer, slots[layer.key]) for layer in on_faces], free)
    plan = _Plan(slots, now, base, faces)
    if has_own_mesh(obj) and obj.mode != "EDIT":
        return plan
    if not on_faces and cover_slot(layers, -1) is not None:
        # The whole object shows one version: the faces may stay where they are.
        plan.faces = None
        return plan
    if (faces != now).any() or any(slot >= len(obj.material_slots) for slot in slots.values()):
        if obj.mode == "EDIT":
            raise SceneError(f"{obj.name} is in Edit Mode, and faces of it would change; leave Edit Mode first.")
        check_private(obj, "faces of it would change")
    return plan


def _allot(obj: bpy.types.Object, layers: Sequence[Layer], added: Sequence[int]) -> dict[str, int]:
    """A slot for each layer of faces: the one that it has, a spare one, or a new one at the end."""
    keys = {version.material: version.key for version in obj.pgc.versions}
    has = {keys.get(obj.material_slots[index].material): index for index in added}
    slots = {layer.key: has[layer.key] for layer in layers if layer.key in has}
    spare = [index for index in added if index not in slots.values()]
    # Faces that no layer has keep a slot: one is added below the layers where there is none.
    end = max(1, len(obj.material_slots))
    for layer in layers:
        if layer.key not in slots:
            slots[layer.key] = spare.pop(0) if spare else end
            end += slots[layer.key] == end
    return slots


def _recorded(obj: bpy.types.Object, count: int) -> Indices:
    """Material indices without versions; where the mesh has other faces by now, the first slot is the best guess."""
    text = obj.pgc.covered_faces
    recorded = unpack_indices(text) if text else np.zeros(0, np.int32)
    return recorded if len(recorded) == count else np.zeros(count, np.int32)


def _place(
    obj: bpy.types.Object, layers: Sequence[Layer], materials: Mapping[str, bpy.types.Material], plan: _Plan
) -> None:
    """Slots and faces of the layers that have some of their own."""
    for key, index in sorted(plan.slots.items(), key=lambda item: item[1]):
        if index >= len(obj.material_slots):
            _add_slot(obj, "LAYER", materials[key])
        elif obj.material_slots[index].material != materials[key]:
            _set_material(obj, index, materials[key])
    whole = cover_slot(layers, -1)
    for index in covered_slots(obj, "LAYER"):
        if index not in plan.slots.values():
            stays = plan.faces is None and plan.now is not None and whole is not None
            _set_material(obj, index, materials[whole.key] if stays else None)
    if plan.faces is None or plan.now is None:
        return
    if (plan.faces != plan.now).any():
        obj.data.polygons.foreach_set("material_index", plan.faces)
        obj.data.update()
    obj.pgc.covered_faces = pack_indices(plan.base) if plan.slots and plan.base is not None else ""


def _add_slot(obj: bpy.types.Object, kind: str, material: bpy.types.Material | None) -> None:
    obj.data.materials.append(material)
    entry = obj.pgc.covered.add()
    entry.kind, entry.link, entry.material = kind, "DATA", None


def _set_material(obj: bpy.types.Object, index: int, material: bpy.types.Material | None) -> None:
    slot = obj.material_slots[index]
    if slot.link == "DATA" and not has_own_mesh(obj):
        slot.link = "OBJECT"
    if slot.material != material:
        slot.material = material


def _uncover(obj: bpy.types.Object, index: int) -> None:
    """What was in the slot before; where the mesh itself held it and is shared by now, an override on the object."""
    slot, entry = obj.material_slots[index], obj.pgc.covered[index]
    if slot.link != entry.link:
        # The override goes, and what the mesh itself holds shows again.
        slot.material = None
        slot.link = entry.link
    if slot.material != entry.material:
        _set_material(obj, index, entry.material)


def _drop(obj: bpy.types.Object, covered: bool) -> None:
    """Slots at the end that were added and that nothing needs any more."""
    materials, entries = obj.data.materials, obj.pgc.covered
    before = len(materials)
    while len(entries) and len(entries) == len(materials) and has_own_mesh(obj) and obj.mode != "EDIT":
        kind = entries[-1].kind
        if kind == "OWN" or (kind == "BASE" and covered) or materials[-1] is not None:
            break
        materials.pop()
        entries.remove(len(entries) - 1)
    if len(materials) != before:
        # The object keeps a slot for what the mesh no longer has, until its mesh is set.
        obj.data = obj.data
