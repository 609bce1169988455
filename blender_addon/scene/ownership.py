# SPDX-License-Identifier: GPL-3.0-or-later
"""To whom an object and its mesh belong: what may be changed for a texture, and what others would see change."""

from __future__ import annotations

from collections.abc import Iterator

import bpy

from .errors import SceneError

__all__ = ["check_editable", "check_own_version", "check_private", "check_unwrappable", "has_own_mesh", "held_versions"]
__all__ += ["library_versions"]


def check_editable(obj: bpy.types.Object) -> None:
    """Checks that an object is of this file, or an override that an artist may edit.

    Raises:
        SceneError: it is linked, or an override that Blender made only to carry others, whose changes are not saved.
    """
    if not obj.is_editable:
        raise SceneError(
            f"{obj.name} is linked from another file; make it a library override, then it gets a texture here.",
            "pgc.make_override",
        )
    override = obj.override_library
    if override is not None and override.is_system_override:
        raise SceneError(
            f"{obj.name} is a library override that is not editable; make it editable, then it gets a texture.",
            "pgc.make_override",
        )


def has_own_mesh(obj: bpy.types.Object) -> bool:
    """Says whether faces and slots of the mesh may change: no other object has it, and it is of this file.

    The mesh of an override is not: Blender keeps no change of its geometry in the file.
    """
    mesh = obj.data
    return mesh.is_editable and mesh.override_library is None and mesh.users - mesh.use_fake_user <= 1


def check_private(obj: bpy.types.Object, why: str) -> None:
    """Checks that the mesh may change.

    Raises:
        SceneError: it may not; `why` says what would have to change.
    """
    if has_own_mesh(obj):
        return
    own = obj.data.is_editable and obj.data.override_library is None
    owner = "shared with other objects" if own else "linked from another file"
    raise SceneError(
        f"The mesh of {obj.name} is {owner}, and {why}; give the object a mesh of its own first.",
        "pgc.make_single_user",
    )


def check_unwrappable(obj: bpy.types.Object) -> None:
    """Checks that a new UV map can be made: in Edit Mode, by Blender's own commands.

    Raises:
        SceneError: the mesh is of another file, or the object is hidden.
    """
    if not obj.data.is_editable or obj.data.override_library is not None:
        check_private(obj, "a UV map must be added to it")
    if not obj.visible_get():
        raise SceneError(f"{obj.name} is hidden; show it, then unwrap it.")


def library_versions(obj: bpy.types.Object) -> int:
    """Counts how many of an override's versions, the first ones, are of its library file and stay."""
    override = obj.override_library
    return 0 if override is None or override.reference is None else len(override.reference.pgc.versions)


def check_own_version(obj: bpy.types.Object, index: int) -> None:
    """Checks that a version's material and pictures are of this file, so that Blender saves what is changed of them.

    Raises:
        SceneError: they are of the library file of an override.
    """
    version = obj.pgc.versions[index]
    pointers = [version.material, *(entry.image for entry in version.maps)]
    if index < library_versions(obj) or not all(one.is_editable for one in pointers if one is not None):
        raise SceneError(f"{version.name} is kept in another file; make {obj.name} local first.")


def held_versions(
    key: str, material: bpy.types.Material | None
) -> Iterator[tuple[bpy.types.Object, bpy.types.PropertyGroup]]:
    """Yields the objects that have this version with this material, and theirs of it: copies of an object share it."""
    for obj in bpy.data.objects:
        if obj.type == "MESH" and obj.is_editable:
            version = next((one for one in obj.pgc.versions if one.key == key and one.material == material), None)
            if version is not None:
                yield obj, version
