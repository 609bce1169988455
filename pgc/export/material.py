# SPDX-License-Identifier: Apache-2.0
"""A finished texture and its mesh to a folder of files, as a program or an engine wants them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from torch import Tensor

from pgc.errors import ConfigError, OutputError, TextureError
from pgc.export.blend import BlenderProgram, find_blender, write_blend
from pgc.export.glb import write_glb
from pgc.export.materialx import write_materialx
from pgc.export.obj import MTL_MAPS, write_obj
from pgc.export.packing import GLTF, SEPARATE, NormalGreen, PackedImage, Packing, pack
from pgc.export.surface_images import SurfaceImages
from pgc.export.usd import write_usd
from pgc.images.maps import encode_png
from pgc.images.writing import Exr, ImageFormat, Png, check_place, read_image, write_image
from pgc.maps import map_channels
from pgc.mesh.data import PreparedMesh
from pgc.texture.field import BakedTexture, to_uint8_values
from pgc.whole_files import remove_leftovers

__all__ = ["MODEL_KINDS", "ExportConfig", "ModelKind", "check_export", "export_material", "parse_models", "read_maps"]

ModelKind = Literal["glb", "obj", "blend", "usd", "mtlx"]
MODEL_KINDS: tuple[ModelKind, ...] = get_args(ModelKind)
_ORM = next(image for image in GLTF.images if image.name == "orm")
_REFERRING = {"obj", "usd", "mtlx"}
_UNSAFE = '<>:"/\\|?*'


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportConfig:
    """What an export writes.

    Attributes:
        image_format: of the images; models embed PNG of 8 bits always.
        packing: which images there are, and their names.
        normal_green: None: as the packing has it. GLB and .blend always get OpenGL normals, which is what they mean.
        models: files with mesh and maps beside the images (MaterialX: without the mesh); OBJ, USD and MaterialX add the
            separate images that they refer to.
        blender: writes the .blend; None: the first that is found (see `find_blender`).
    """

    image_format: ImageFormat = field(default_factory=Png)
    packing: Packing = SEPARATE
    normal_green: NormalGreen | None = None
    models: tuple[ModelKind, ...] = ("glb",)
    blender: BlenderProgram | None = None


def parse_models(names: str) -> tuple[ModelKind, ...]:
    """Reads model formats from "glb,obj"; an empty text is none. Raises ConfigError for unknown ones."""
    by_name: dict[str, ModelKind] = {kind: kind for kind in MODEL_KINDS}
    models: list[ModelKind] = []
    for name in filter(None, (part.strip() for part in names.split(","))):
        known = by_name.get(name)
        if known is None:
            raise ConfigError(f"There is no model format {name!r}; expected some of {', '.join(MODEL_KINDS)}.")
        models.append(known)
    return tuple(dict.fromkeys(models))


def check_export(folder: Path, config: ExportConfig) -> None:
    """Checks what can be known of an export before there is anything to write.

    Raises:
        OutputError: the folder's name is no text, or no Blender is there for a .blend.
    """
    check_place(folder)
    if "blend" in config.models:
        _blender(config)


def export_material(
    folder: Path, prepared: PreparedMesh, texture: BakedTexture, config: ExportConfig
) -> tuple[Path, ...]:
    """Writes images and models; returns their paths, images first.

    Raises:
        PgcError: something does not fit, or cannot be written.
    """
    remove_leftovers(folder)
    blender = _blender(config) if "blend" in config.models else None
    name = _file_stem(prepared.mesh.name)
    embedded = _embedded(texture) if {"glb", "blend"} & set(config.models) else {}
    green = config.normal_green or config.packing.normal_green
    written = _write_images(folder, texture, config.packing.images, config.image_format, green, name)
    if "glb" in config.models:
        images = {f"{map_name}.{tile}": png for map_name, tiles in embedded.items() for tile, png in tiles.items()}
        write_glb(folder / "textured.glb", prepared, images)
        written.append(folder / "textured.glb")
    if _REFERRING & set(config.models):
        written += _write_referring(folder, prepared, texture, config, name)
    if blender is not None:
        write_blend(folder / "textured.blend", prepared, embedded, blender)
        written.append(folder / "textured.blend")
    return tuple(dict.fromkeys(written))


def _write_referring(
    folder: Path, prepared: PreparedMesh, texture: BakedTexture, config: ExportConfig, name: str
) -> list[Path]:
    """Writes the models that name images beside them, and the images that are not there yet."""
    written = list[Path]()
    # Readers of these take normals for OpenGL's, whatever the engine of the packing does.
    green = config.normal_green or "opengl"
    wanted = (image for image in SEPARATE.images if image.name in MTL_MAPS or "usd" in config.models)
    there = tuple(image for image in wanted if pack(texture, image) is not None)
    if config.packing is not SEPARATE:
        written += _write_images(folder, texture, there, config.image_format, green, name)
    files = {image.name: _file_names(image, texture.tiles, config.image_format, name) for image in there}
    images = SurfaceImages(
        files=files,
        color_is_encoded=isinstance(config.image_format, Png),
        has_alpha=texture.alpha is not None,
        normal_green=green,
    )
    if "obj" in config.models:
        write_obj(folder / "textured.obj", prepared, {key: files[key] for key in files if key in MTL_MAPS})
        written += [folder / "textured.obj", folder / "textured.mtl"]
    if "usd" in config.models:
        write_usd(folder / "textured.usda", prepared, images)
        written.append(folder / "textured.usda")
    if "mtlx" in config.models:
        write_materialx(folder / "textured.mtlx", prepared, images)
        written.append(folder / "textured.mtlx")
    return written


def _file_stem(name: str) -> str:
    """A name that every system takes for a file, without spaces, which some readers of MTL and engines do not bear."""
    return "".join("_" if letter in _UNSAFE or letter.isspace() else letter for letter in name)


def _blender(config: ExportConfig) -> BlenderProgram:
    found = config.blender or find_blender(os.environ)
    if found is None:
        raise OutputError(
            "No Blender was found to write the .blend; name it in BLENDER_BIN, or a Python with its module bpy in "
            "PGC_BPY_PYTHON."
        )
    return found


def _write_images(
    folder: Path,
    texture: BakedTexture,
    images: Sequence[PackedImage],
    image_format: ImageFormat,
    green: NormalGreen,
    name: str,
) -> list[Path]:
    written = []
    for image in images:
        packed = pack(texture, image, green)
        if packed is None:
            continue
        files = _file_names(image, texture.tiles, image_format, name)
        for tile, values in zip(texture.tiles, packed, strict=True):
            write_image(folder / files[tile], values, image.content, image_format)
            written.append(folder / files[tile])
    return written


def _file_names(image: PackedImage, tiles: Sequence[int], image_format: ImageFormat, name: str) -> dict[int, str]:
    """File name of each tile: NAME.png, or NAME.1001.png, NAME.1002.png and so on for UDIM."""
    stem = image.name.format(name=name)
    if tuple(tiles) == (1001,):
        return {1001: f"{stem}{image_format.suffix}"}
    return {tile: f"{stem}.{tile}{image_format.suffix}" for tile in tiles}


def _embedded(texture: BakedTexture) -> dict[str, dict[int, bytes]]:
    """PNG bytes of the maps that models carry, by map and tile."""
    embedded = {}
    for image in GLTF.images:
        packed = pack(texture, image)
        if packed is not None:
            pairs = zip(texture.tiles, packed, strict=True)
            embedded[image.name] = {tile: encode_png(to_uint8_values(values)) for tile, values in pairs}
    return embedded


def read_maps(folder: Path, tiles: Sequence[int]) -> BakedTexture:
    """Reads the maps that a run has left in a folder: the first of EXR and PNG that is there of each.

    Of an orm image its three channels are taken, where they do not lie there as maps of their own.

    Raises:
        OutputError: there is no base_color.
        TextureError: an image is damaged, lacks a tile, or has another size than the others.
    """
    found = {image.name: _read_map(folder, image, tiles) for image in (*SEPARATE.images, _ORM)}
    packed = found.pop("orm")
    for channel, name in enumerate(("occlusion", "roughness", "metallic")):
        if packed is not None and found[name] is None:
            found[name] = [image[channel : channel + 1] for image in packed]
    maps = {name: images for name, images in found.items() if images is not None}
    if "base_color" not in maps:
        raise OutputError(f"There is no base_color image in {folder}; give the folder of a finished run.")
    sizes = {name: images[0].shape[-1] for name, images in maps.items()}
    if len(set(sizes.values())) > 1:
        raise TextureError(f"The maps in {folder} differ in size ({sizes}); bring them to one size.")
    # Base colour may have a fourth channel.
    alpha = [image[3:] for image in maps["base_color"] if len(image) == 4]
    maps["base_color"] = [image[:3] for image in maps["base_color"]]
    return BakedTexture(maps=maps, tiles=tuple(tiles), alpha=alpha if len(alpha) == len(tiles) else None)


def _read_map(folder: Path, image: PackedImage, tiles: Sequence[int]) -> list[Tensor] | None:
    """The images of a map, with the channels that it should have; None where there are none.

    Base colour may have alpha as a fourth.
    """
    channels = 4 if image.name == "base_color" else map_channels().get(image.name, 3)
    for image_format in (Exr(), Png()):
        files = _file_names(image, tiles, image_format, "")
        if (folder / files[tiles[0]]).is_file():
            read = [read_image(folder / file, image.content) for file in files.values()]
            return [(values.expand(3, -1, -1) if len(values) == 1 else values)[:channels] for values in read]
    return None
