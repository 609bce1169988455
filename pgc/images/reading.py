# SPDX-License-Identifier: Apache-2.0
"""Images as people make them, to arrays: any depth, gray, palettes, CMYK, alpha, linear light, wrong suffixes.

OpenImageIO decodes. What a texture cannot hold, or is taken in one of several ways, is said in a sentence: gamma and
orientation are ignored as glTF 2.0 (3.8.3) demands of textures, and as Blender does. A photograph is no texture: it may
be turned as it asks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import OpenImageIO as oiio

from pgc.errors import TextureError
from pgc.images.color_profiles import ColorProfile, profile_of
from pgc.images.formats import check_claims, sniff_format
from pgc.images.values import divide_by_alpha, make_finite

__all__ = ["STRAIGHT_ALPHA", "Depth", "SourceImage", "image_size", "read_source_image"]

Depth = Literal["8 bits", "16 bits", "half float", "float"]
"""Of one channel in the file."""

_DEPTHS: dict[str, tuple[Depth, type[np.generic]]] = {
    "uint8": ("8 bits", np.uint8),
    "uint16": ("16 bits", np.uint16),
    "half": ("half float", np.float16),
}
_NAMES: dict[type[np.generic], str] = {
    np.uint8: "uint8",
    np.uint16: "uint16",
    np.float16: "half",
    np.float32: "float",
}
"""As OpenImageIO has them; signed and wide integers are read as floats, over their largest value."""
_LINEAR_FORMATS = {"openexr", "hdr"}
_PREMULTIPLIED = {"openexr", "tiff"}
"""Formats that may hold colour times alpha; a TIFF says whether it does."""
_FLOATS = {"half", "float", "double"}
_NEAR_SRGB = ("srgb", "g22")
"""A gamma of 1/0.45455 is what many programs write for sRGB."""
_MAX_CHANNELS = 64
_MOST_SHOWN = 64
"""Pixels of a picture for each one that is stored: a few bytes may claim a window of any size."""
STRAIGHT_ALPHA = "pgc:straightAlpha"
"""Attribute of EXR files of ours: their colour is not multiplied by alpha, as the format else has it."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SourceImage:
    """An image as its file has it.

    Attributes:
        color: [H, W, 1] gray or [H, W, 3] RGB, row 0 at the top: uint8, uint16, float16 or float32, which
            `pgc.images.values.unit_values` brings to one scale; floats may lie outside of [0, 1], but are finite.
        alpha: [H, W] of the same type, not multiplied into `color`; None where the file has none.
        linear: whether `color` is scene-linear, as EXR, HDR and files of floats have it; else it is sRGB-encoded.
        depth: of the file.
        profile: what space its colours are in, where that is not sRGB (`pgc.images.color_profiles`); they are as
        stored.
        notes: one sentence for each thing that was ignored or taken in one of several ways.
    """

    color: npt.NDArray[np.generic]
    alpha: npt.NDArray[np.generic] | None
    linear: bool
    depth: Depth
    notes: tuple[str, ...]
    profile: ColorProfile | None = None


def image_size(path: Path) -> tuple[int, int]:
    """Reads width and height, from the header alone.

    Raises:
        TextureError: it is missing, no image, or too big to be read.
    """
    source, _ = _open(path)
    spec = source.spec()
    source.close()
    return spec.full_width or spec.width, spec.full_height or spec.height


def read_source_image(path: Path, *, upright: bool = False) -> SourceImage:
    """Reads an image in any of the known formats; its header is checked before pixels are decoded.

    Args:
        path: of the file.
        upright: whether it is turned as its header asks (EXIF's orientation), as photographs are shown.

    Raises:
        TextureError: it is missing, damaged, no image, too big, or has no channels that are a colour.
    """
    source, format_name = _open(path)
    # A copy: the reader's own changes as it reads on.
    spec = oiio.ImageSpec(source.spec())
    chosen, alpha_index, notes = _channels(path, spec)
    depth, dtype = _DEPTHS.get(str(spec.format), ("float", np.float32))
    pixels = _decode(path, source, dtype, notes)
    pixels = _in_window(path, spec, pixels, notes)
    if upright:
        pixels = _turned(pixels, spec)
    # Views where they do: pixels may be hundreds of megabytes.
    color = pixels[..., chosen[0] : chosen[-1] + 1] if chosen == [*range(chosen[0], chosen[-1] + 1)] else None
    color = pixels[..., chosen] if color is None else color
    alpha = None if alpha_index is None else pixels[..., alpha_index]
    notes += _ignored(path, spec, format_name)
    floating = str(spec.format) in _FLOATS
    if floating:
        make_finite(path, pixels, notes)
    straight = spec.getattribute(STRAIGHT_ALPHA) or spec.getattribute("oiio:UnassociatedAlpha")
    if alpha is not None and format_name in _PREMULTIPLIED and not straight:
        divide_by_alpha(path, color, alpha, notes)
    return SourceImage(
        color=color,
        alpha=alpha,
        linear=floating or format_name in _LINEAR_FORMATS,
        depth=depth,
        notes=tuple(notes),
        profile=profile_of(spec),
    )


def _open(path: Path) -> tuple[oiio.ImageInput, str]:
    """The opened file, whose header promises what can be read, and the name of its format."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        told = str(path).encode(errors="backslashreplace").decode()
        raise TextureError(f"{told} cannot be read: its name is no text in UTF-8; rename it.") from error
    format_name = sniff_format(path)
    config = oiio.ImageSpec()
    # Otherwise colour would come multiplied by alpha, and be lost where alpha is 0.
    config.attribute("oiio:UnassociatedAlpha", 1)
    try:
        source = oiio.ImageInput.open(str(path), config)
    except (MemoryError, RuntimeError, ValueError) as error:
        raise TextureError(f"{path} cannot be read as an image ({error}); export it again.") from error
    if source is None:
        raise TextureError(f"{path} cannot be read as an image ({_problem(oiio.geterror)}); export it again.")
    if source.format_name() != format_name:
        raise TextureError(f"{path} cannot be read as an image; give it the suffix of its format ({format_name}).")
    spec = source.spec()
    try:
        names = spec.channelnames
    except UnicodeDecodeError as error:
        raise TextureError(f"{path} is damaged (the names of its channels are no text); export it again.") from error
    if spec.deep:
        raise TextureError(f"{path} is a deep image; expected a flat one: flatten it and save it again.")
    if spec.depth > 1:
        raise TextureError(f"{path} is a volume of {spec.depth} slices; expected a flat image.")
    if not 1 <= spec.nchannels <= _MAX_CHANNELS or len(names) != spec.nchannels:
        raise TextureError(f"{path} has {spec.nchannels} channels; expected 1 to {_MAX_CHANNELS}.")
    check_claims(path, spec.width, spec.height, spec.pixel_bytes())
    check_claims(path, spec.full_width or spec.width, spec.full_height or spec.height, spec.pixel_bytes())
    return source, format_name


def _decode(path: Path, source: oiio.ImageInput, dtype: type[np.generic], notes: list[str]) -> npt.NDArray[np.generic]:
    spec = source.spec()
    try:
        pixels = source.read_image(0, 0, 0, spec.nchannels, _NAMES[dtype])
    except (MemoryError, RuntimeError, ValueError) as error:
        raise TextureError(f"{path} is damaged ({error}); export it again.") from error
    problem = _problem(source.geterror)
    several = source.seek_subimage(1, 0)
    # Where there is no second image, that is no error; but one that nobody asks for is printed in the end.
    _problem(source.geterror)
    source.close()
    if several:
        notes.append(f"{path.name} has several images in it; the first is used.")
    if pixels is None or "remature end" in problem:
        raise TextureError(f"{path} is damaged ({problem or 'no reason given'}); export it again.")
    if problem:
        notes.append(f"{path.name} is damaged in places ({problem}); check it.")
    pixels = np.asarray(pixels)
    return pixels.view(np.float16) if dtype is np.float16 and pixels.dtype == np.uint16 else pixels


def _channels(path: Path, spec: oiio.ImageSpec) -> tuple[list[int], int | None, list[str]]:
    """Which channels are the colour, which one is alpha, and what is said of the others."""
    names = [name.rpartition(".")[2].lower() for name in spec.channelnames]
    by_name = {name: names.index(name) for name in ("r", "g", "b", "a", "y") if name in names}
    alpha = spec.alpha_channel if 0 <= spec.alpha_channel < spec.nchannels else by_name.get("a")
    if {"ry", "by"} & set(names):
        raise TextureError(f"{path} holds luminance and chroma ({_listed(spec.channelnames)}); save it as RGB.")
    if {"r", "g", "b"} <= by_name.keys():
        chosen = [by_name[name] for name in ("r", "g", "b")]
    elif "y" in by_name and not {"x", "z"} & set(names):
        chosen = [by_name["y"]]
    elif spec.nchannels in {1, 2} and alpha != 0:
        chosen = [0]
    else:
        raise TextureError(
            f"{path} has the channels {_listed(spec.channelnames)}; expected gray or red, green and blue."
        )
    alpha = None if alpha in chosen else alpha
    others = [name for index, name in enumerate(spec.channelnames) if index not in chosen and index != alpha]
    return chosen, alpha, [f"{path.name}: the channels {_listed(others)} are not used."] if others else []


def _listed(names: Sequence[str]) -> str:
    """The first names; a damaged file may have line breaks in them."""
    return ", ".join("".join(letter if letter.isprintable() else "?" for letter in name[:40]) for name in names[:8])


def _in_window(
    path: Path, spec: oiio.ImageSpec, pixels: npt.NDArray[np.generic], notes: list[str]
) -> npt.NDArray[np.generic]:
    """The pixels of the whole picture: an EXR may store a part of it, or more than it shows."""
    width, height = spec.full_width or spec.width, spec.full_height or spec.height
    left, top = spec.x - spec.full_x, spec.y - spec.full_y
    if (left, top, width, height) == (0, 0, spec.width, spec.height):
        return pixels
    if width * height > _MOST_SHOWN * spec.width * spec.height:
        raise TextureError(
            f"{path} shows {width}x{height} pixels and stores {spec.width}x{spec.height}; crop it first."
        )
    whole = np.zeros((height, width, pixels.shape[-1]), dtype=pixels.dtype)
    rows = slice(max(0, top), min(height, top + spec.height))
    columns = slice(max(0, left), min(width, left + spec.width))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        raise TextureError(f"{path} stores no pixel of the part that it shows; save it again without cropping.")
    whole[rows, columns] = pixels[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    notes.append(f"{path.name} stores another part of the picture than it shows; what is not stored is black.")
    return whole


def _turned(pixels: npt.NDArray[np.generic], spec: oiio.ImageSpec) -> npt.NDArray[np.generic]:
    """The pixels as they are to be shown, of which `spec` then asks nothing more."""
    orientation = spec.getattribute("Orientation")
    spec.attribute("Orientation", 1)
    # EXIF counts eight: four turns, each also mirrored. From 5 on rows are columns.
    if orientation in {5, 6, 7, 8}:
        pixels = pixels.swapaxes(0, 1)
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _ignored(path: Path, spec: oiio.ImageSpec, format_name: str) -> list[str]:
    """What the file says of its colours and orientation that a texture does not follow."""
    notes = []
    space = str(spec.getattribute("jpeg:ColorSpace") or spec.getattribute("tiff:ColorSpace") or "")
    if "CMYK" in space:
        notes.append(f"{path.name} is CMYK; it was turned to RGB without a profile, so that colours may differ.")
    encoding = str(spec.getattribute("oiio:ColorSpace") or "srgb")
    if format_name == "png" and spec.getattribute("ICCProfile") is None and not encoding.startswith(_NEAR_SRGB):
        notes.append(
            f"{path.name} states another encoding ({encoding}); its values are taken as sRGB, as in glTF and Blender."
        )
    orientation = spec.getattribute("Orientation")
    if isinstance(orientation, int) and orientation not in {0, 1}:
        notes.append(
            f"{path.name} asks to be turned for display (orientation {orientation}); it is taken as stored, as in "
            "glTF and Blender."
        )
    return notes


def _problem(geterror: Callable[[], str]) -> str:
    """What OpenImageIO complains of, in one line; it quotes the file's bytes, which may be no text."""
    try:
        text = geterror()
    except UnicodeDecodeError:
        return "its header is no text"
    return " ".join(text.split("\n")[0].split())[:160]
