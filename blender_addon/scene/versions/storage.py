# SPDX-License-Identifier: GPL-3.0-or-later
"""What versions take of the .blend, and moving their pictures to files and back. Bytes are copied as they are."""

from __future__ import annotations

from pathlib import Path

import bpy

from ...whole_file import write_whole
from ..errors import SceneError
from ..ownership import library_versions
from .showing import is_shown, remove_version, version_images

__all__ = [
    "hidden_versions",
    "image_files",
    "move_to_blend",
    "move_to_disk",
    "on_disk",
    "purge_versions",
    "version_bytes",
]


def version_bytes(version: bpy.types.PropertyGroup) -> int:
    """Counts the bytes of the version's pictures and of its wear's masks in the .blend; those on the disk count
    nothing, and the maps of its wear are another version's. Cheap enough for drawing.
    """
    masks = [layer.mask for layer in version.wear if layer.mask is not None]
    return sum(_packed_size(image) for image in dict.fromkeys([*version_images(version), *masks]))


def on_disk(version: bpy.types.PropertyGroup) -> bool:
    """Says whether some of its maps are in files beside the .blend."""
    return any(entry.image is not None and not entry.image.packed_files for entry in version.maps)


def hidden_versions(obj: bpy.types.Object) -> list[int]:
    """Returns the indices of the versions that are not on the object, which Purge removes; those with a star and those
    of a library file stay.
    """
    first, versions = library_versions(obj), obj.pgc.versions
    return [index for index in range(first, len(versions)) if _given_up(obj, versions[index])]


def _given_up(obj: bpy.types.Object, version: bpy.types.PropertyGroup) -> bool:
    return not (version.starred or is_shown(obj, version))


def purge_versions(obj: bpy.types.Object) -> int:
    """Removes all versions that are neither shown nor starred; returns the bytes that left the .blend.

    Raises:
        SceneError: a version could not be removed.
    """
    before = _packed_bytes()
    for index in reversed(hidden_versions(obj)):
        remove_version(obj, index)
    return before - _packed_bytes()


def move_to_disk(version: bpy.types.PropertyGroup, folder: Path) -> list[Path]:
    """Writes the version's maps into files and takes them out of the .blend; the thumbnail stays in it.

    No file is overwritten: one with the same bytes is used, beside another one a number is added.

    Args:
        folder: absolute; made where it is missing.

    Returns:
        The files, in the order of the maps and tiles.

    Raises:
        SceneError: the folder cannot be written to, or a map is gone; the version is in the .blend as before.
    """
    images = [entry.image for entry in version.maps if entry.image is not None and entry.image.packed_files]
    plans = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for image in images:
            plans.append((image, _write(image, folder)))
    except OSError as error:
        reason = error.strerror or str(error)
        raise SceneError(f"The maps could not be written to {folder}: {reason}. Choose another folder.") from error
    for image, (path, _) in plans:
        _point_to(image, path)
    return [file for _, (_, files) in plans for file in files]


def move_to_blend(version: bpy.types.PropertyGroup) -> None:
    """Reads the version's maps from their files into the .blend again; the files stay.

    Raises:
        SceneError: a file is missing; nothing changed.
    """
    images = [entry.image for entry in version.maps if entry.image is not None and not entry.image.packed_files]
    for image in images:
        for file in image_files(image):
            if not file.is_file():
                raise SceneError(f"{file} is missing; put it back there, or generate the version again.")
    for image in images:
        image.pack()


def _packed_bytes() -> int:
    return sum(_packed_size(image) for image in bpy.data.images)


def _packed_size(image: bpy.types.Image) -> int:
    return sum(file.packed_file.size for file in image.packed_files if file.packed_file is not None)


def _write(image: bpy.types.Image, folder: Path) -> tuple[Path, list[Path]]:
    """The path to show in Blender, with <UDIM> for tiles, and the files."""
    name = bpy.path.clean_name(image.name.replace(": ", " "))
    if image.source != "TILED":
        path = _write_new(folder, name, ".png", bytes(image.packed_files[0].packed_file.data))
        return path, [path]
    packed = {file.tile_number: bytes(file.packed_file.data) for file in image.packed_files}
    stem, number = name, 0
    while any(_taken(folder / f"{stem}.{tile}.png", data) for tile, data in packed.items()):
        number += 1
        stem = f"{name}_{number}"
    files = [_write_new(folder, f"{stem}.{tile}", ".png", data) for tile, data in packed.items()]
    return folder / f"{stem}.<UDIM>.png", files


def _taken(path: Path, data: bytes) -> bool:
    """Whether a file is there that holds something else."""
    return path.exists() and path.read_bytes() != data


def _write_new(folder: Path, stem: str, suffix: str, data: bytes) -> Path:
    """Write beside the place and rename: a file is whole or absent."""
    path, number = folder / f"{stem}{suffix}", 0
    while _taken(path, data):
        number += 1
        path = folder / f"{stem}_{number}{suffix}"
    if not path.exists():
        write_whole(path, data)
    return path


def _point_to(image: bpy.types.Image, path: Path) -> None:
    text = str(path)
    if bpy.data.filepath:
        try:
            text = bpy.path.relpath(text)
        except ValueError:
            # On another drive of Windows there is no relative path.
            text = str(path)
    image.filepath_raw = text
    image.unpack(method="REMOVE")
    image.reload()


def image_files(image: bpy.types.Image) -> list[Path]:
    """Returns the files of an image that is not packed, one a tile."""
    path = bpy.path.abspath(image.filepath)
    if image.source != "TILED":
        return [Path(path)]
    return [Path(path.replace("<UDIM>", str(tile.number))) for tile in image.tiles]
