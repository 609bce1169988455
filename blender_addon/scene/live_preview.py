# SPDX-License-Identifier: GPL-3.0-or-later
"""A run's preview on the faces that are being textured, and the way back. What was there is kept in the object itself
(Object.pgc.job.preview), so that undo, a rename or a save in between do no harm."""

from __future__ import annotations

import bpy
import numpy as np

from ..model.preview_frames import PreviewFrame
from ..overrides import clear_items
from .errors import SceneError
from .meshes.export import ExportOptions
from .meshes.face_sets import pack_indices, unpack_faces, unpack_indices
from .ownership import has_own_mesh
from .preview_material import preview_material, release, show_frame

__all__ = [
    "begin_preview",
    "covered_material",
    "end_preview",
    "has_preview",
    "may_preview",
    "preview_hindrance",
    "update_preview",
]


def may_preview(obj: bpy.types.Object, options: ExportOptions) -> bool:
    """Says whether a preview can be put on the object now without harm.

    Not in Texture Paint, where strokes would go into the preview; not on selected faces in Edit Mode, whose slots live
    in the edit mesh; not where the mesh belongs to others and would have to change.
    """
    if obj.mode == "TEXTURE_PAINT" or not obj.is_editable:
        return False
    shared = not has_own_mesh(obj)
    if options.target == "selected_faces":
        return obj.mode == "OBJECT" and not shared
    return bool(obj.material_slots) or not shared


def preview_hindrance(obj: bpy.types.Object, options: ExportOptions) -> str:
    """Says why no preview is on the object now, as a sentence; "" where nothing hinders it."""
    if may_preview(obj, options):
        return ""
    if obj.mode == "TEXTURE_PAINT":
        return "Leave Texture Paint to see the preview; strokes would go into it."
    if obj.mode == "EDIT":
        return "Leave Edit Mode to see the preview on the selected faces."
    if obj.mode != "OBJECT":
        return "Go to Object Mode to see the preview on the selected faces."
    return f"No preview: {obj.name} shares its mesh, and nothing may change on the others."


def has_preview(obj: bpy.types.Object, key: str) -> bool:
    """Says whether the preview of this job is on the object."""
    record = obj.pgc.job.preview
    return bool(key) and record.key == key and record.material is not None


def covered_material(obj: bpy.types.Object, slot: int) -> bpy.types.Material | None:
    """Returns the material in a slot, or what is there without the preview that is on it: previews are nobody's
    material.
    """
    if not 0 <= slot < len(obj.material_slots):
        return None
    material, record = obj.material_slots[slot].material, obj.pgc.job.preview
    covered = record.key and record.material is not None and material == record.material
    return (record.slots[slot].material if slot < len(record.slots) else None) if covered else material


def begin_preview(
    obj: bpy.types.Object, key: str, options: ExportOptions, material: bpy.types.Material | None = None
) -> None:
    """Puts an empty preview, or a material, on the targeted faces, and remembers what was there.

    Raises:
        SceneError: the faces that were selected are no more.
    """
    end_preview(obj)
    faces = None
    if options.target == "selected_faces":
        faces = _chosen(obj, options)
    if material is None:
        material = preview_material(options.uv_map or _active_uv_map(obj))
    record = obj.pgc.job.preview
    record.key, record.material, record.faces, record.added = key, material, "", 0
    clear_items(record.slots)
    for index, slot in enumerate(obj.material_slots):
        kept = record.slots[index] if index < len(record.slots) else record.slots.add()
        kept.link, kept.material = slot.link, slot.material
    if faces is not None:
        _move_faces(obj, record, faces, material)
        return
    if not obj.material_slots:
        obj.data.materials.append(None)
        record.added = 1
    indices = [options.slot] if options.target == "slot" else range(len(obj.material_slots))
    for index in indices:
        if index >= len(obj.material_slots):
            continue
        slot = obj.material_slots[index]
        if not has_own_mesh(obj):
            slot.link = "OBJECT"
        slot.material = material


def update_preview(obj: bpy.types.Object, frame: PreviewFrame) -> None:
    """Shows a frame; `begin_preview` came before."""
    show_frame(obj.pgc.job.preview.material, frame)


def end_preview(obj: bpy.types.Object) -> bool:
    """Puts back what the preview covered. What the artist has changed since is left as it is.

    Returns:
        False where it has to wait: in Edit Mode the slots of the faces live in the edit mesh.
    """
    record = obj.pgc.job.preview
    if not record.key:
        return True
    if record.faces and obj.mode == "EDIT":
        return False
    material = record.material
    if material is not None:
        _uncover(obj, record, material)
        record.material = None
        release(material)
    record.key, record.faces, record.added = "", "", 0
    clear_items(record.slots)
    return True


def _chosen(obj: bpy.types.Object, options: ExportOptions) -> np.ndarray:
    count = len(obj.data.polygons)
    if options.faces:
        return unpack_faces(options.faces, count)
    selected = np.empty(count, np.bool_)
    obj.data.polygons.foreach_get("select", selected)
    if not selected.any():
        raise SceneError(f"No face of {obj.name} is selected; select faces in Edit Mode.")
    return selected


def _active_uv_map(obj: bpy.types.Object) -> str:
    return obj.data.uv_layers.active.name if obj.data.uv_layers.active is not None else ""


def _move_faces(
    obj: bpy.types.Object, record: bpy.types.PropertyGroup, faces: np.ndarray, material: bpy.types.Material
) -> None:
    """The chosen faces go to a slot of their own at the end."""
    mesh = obj.data
    before = np.empty(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("material_index", before)
    record.faces = pack_indices(before)
    if not obj.material_slots:
        # Faces that are not targeted keep showing no material.
        mesh.materials.append(None)
        record.added += 1
    mesh.materials.append(material)
    record.added += 1
    after = np.where(faces, len(mesh.materials) - 1, before).astype(np.int32)
    mesh.polygons.foreach_set("material_index", after)
    mesh.update()


def _uncover(obj: bpy.types.Object, record: bpy.types.PropertyGroup, material: bpy.types.Material) -> None:
    if record.faces:
        _move_back(obj, record, material)
    for index, kept in enumerate(record.slots):
        if index >= len(obj.material_slots):
            break
        slot = obj.material_slots[index]
        if slot.material != material:
            continue
        if slot.link != kept.link:
            slot.material = None
            slot.link = kept.link
        if slot.material != kept.material:
            if slot.link == "DATA" and not obj.data.is_editable:
                # The library file itself was saved with a preview on it.
                slot.link = "OBJECT"
            slot.material = kept.material
    _drop_added(obj, record, material)


def _move_back(obj: bpy.types.Object, record: bpy.types.PropertyGroup, material: bpy.types.Material) -> None:
    mesh = obj.data
    now = np.empty(len(mesh.polygons), np.int32)
    mesh.polygons.foreach_get("material_index", now)
    then = unpack_indices(record.faces)
    slots = [index for index, slot in enumerate(obj.material_slots) if slot.material == material]
    if not slots or not len(now):
        return
    # Where the mesh has another number of faces by now, the first slot is the best guess.
    back = then if len(then) == len(now) else np.zeros_like(now)
    mesh.polygons.foreach_set("material_index", np.where(np.isin(now, slots), back, now).astype(np.int32))
    mesh.update()


def _drop_added(obj: bpy.types.Object, record: bpy.types.PropertyGroup, material: bpy.types.Material) -> None:
    """Slots that the preview added go, unless the artist has put something into them."""
    materials = obj.data.materials
    for _ in range(record.added):
        if len(materials) > len(record.slots) and materials[-1] in (None, material):
            materials.pop()
    if record.added and len(obj.material_slots) != len(materials):
        # The object keeps a slot for what the mesh no longer has, until its mesh is set.
        obj.data = obj.data
