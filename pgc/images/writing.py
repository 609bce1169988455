# SPDX-License-Identifier: Apache-2.0
"""Maps as image files: PNG of 8 or 16 bits, EXR of 16 or 32, through OpenImageIO.

In memory base colour is sRGB-encoded. A PNG holds it so; an EXR holds scene-linear values of the same primaries
(Rec. 709), which is what programs expect of the format. All other maps are data and are written as they are.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import OpenImageIO as oiio
import torch
from jaxtyping import Float
from torch import Tensor

from pgc.color_space import linear_from_srgb, srgb_from_linear
from pgc.errors import ConfigError, OutputError, TextureError
from pgc.images.reading import STRAIGHT_ALPHA, read_source_image
from pgc.images.values import unit_values
from pgc.whole_files import cannot_write, replacing

__all__ = [
    "FORMATS",
    "Content",
    "Exr",
    "ImageFormat",
    "Png",
    "check_place",
    "parse_format",
    "read_image",
    "write_image",
]

Content = Literal["color", "data"]
"""What pixels mean: "color" is sRGB-encoded in memory, "data" are plain numbers. A fourth channel is data always."""

_CHANNELS = {1: ("Y",), 3: ("R", "G", "B"), 4: ("R", "G", "B", "A")}
_PNG = b"\x89PNG\r\n\x1a\n"
_NO_DATE = "1980:01:01 00:00:00"


@dataclass(frozen=True, slots=True)
class Png:
    """PNG, values in [0, 1] as whole numbers."""

    bits: Literal[8, 16] = 8

    @property
    def suffix(self) -> str:
        """The suffix of its files, with the dot."""
        return ".png"


@dataclass(frozen=True, slots=True)
class Exr:
    """OpenEXR, ZIP-compressed: `bits` 16 is half float (11 bits of precision), 32 is float, exact."""

    bits: Literal[16, 32] = 16

    @property
    def suffix(self) -> str:
        """The suffix of its files, with the dot."""
        return ".exr"


ImageFormat = Png | Exr
FORMATS: dict[str, ImageFormat] = {"png": Png(8), "png16": Png(16), "exr": Exr(16), "exr32": Exr(32)}
"""As the command line spells them."""


def parse_format(name: str) -> ImageFormat:
    """Returns a format by its name. Raises ConfigError for others."""
    if name not in FORMATS:
        raise ConfigError(f"There is no image format {name!r}; expected one of {', '.join(FORMATS)}.")
    return FORMATS[name]


def write_image(path: Path, image: Float[Tensor, "c h w"], content: Content, image_format: ImageFormat) -> None:
    """Writes one image whole or not at all; the same values give the same bytes.

    Args:
        path: with the format's suffix.
        image: 1, 3 or 4 channels, row 0 at the top; PNG clamps to [0, 1] and rounds half up.
        content: what the first three channels are.
        image_format: how it is stored.

    Raises:
        TextureError: the image has another number of channels, or holds NaN or infinity.
        OutputError: it cannot be written.
    """
    if len(image) not in _CHANNELS:
        raise TextureError(f"{path.name}: an image of {len(image)} channels; expected 1, 3 or 4.")
    values = image.detach().cpu().float()
    if not bool(torch.isfinite(values).all()):
        raise TextureError(f"{path.name}: the image holds NaN or infinity; expected finite values.")
    if isinstance(image_format, Exr) and content == "color":
        values = torch.cat([linear_from_srgb(values[:3]), values[3:]])
    pixels = np.ascontiguousarray(values.permute(1, 2, 0).numpy())
    match image_format:
        case Png(bits):
            levels = 2**bits - 1
            pixels = np.floor(pixels.astype(np.float64).clip(0.0, 1.0) * levels + 0.5)
            pixels = pixels.astype(np.uint8 if bits == 8 else np.uint16)
            kind = f"uint{bits}"
        case Exr(bits):
            kind = "half" if bits == 16 else "float"
    spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], pixels.shape[2], kind)
    spec.channelnames = _CHANNELS[len(image)]
    # A fourth channel is a map of its own (smoothness, say): nothing may be multiplied or divided by it.
    spec.alpha_channel = -1
    spec.attribute("oiio:UnassociatedAlpha", 1)
    spec.attribute("oiio:ColorSpace", _color_space(content, image_format))
    if isinstance(image_format, Exr):
        spec.attribute("compression", "zip")
        spec.attribute(STRAIGHT_ALPHA, 1)
        # The writer would note the time: equal maps would not give equal files.
        spec.attribute("DateTime", _NO_DATE)
    with replacing(path) as temporary:
        _write(path, temporary, spec, pixels)


def _color_space(content: Content, image_format: ImageFormat) -> str:
    if content == "data":
        return "data"
    return "lin_rec709_scene" if isinstance(image_format, Exr) else "sRGB"


def check_place(path: Path) -> None:
    """Checks that images can be written to a place by its name: OpenImageIO takes text alone.

    Raises:
        OutputError: its name is no text.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        told = str(path).encode(errors="backslashreplace").decode()
        raise OutputError(f"{told} cannot be written: its name is no text in UTF-8; choose another folder.") from error


def _write(path: Path, temporary: Path, spec: oiio.ImageSpec, pixels: np.ndarray) -> None:
    check_place(path)
    out = oiio.ImageOutput.create(str(temporary))
    if out is None:
        raise OutputError(f"{path} cannot be written ({oiio.geterror()}); expected .png or .exr.")
    if not (out.open(str(temporary), spec) and out.write_image(pixels) and out.close()):
        raise cannot_write(path, out.geterror())
    if temporary.suffix.lower() == ".png" and not _is_whole_png(temporary.read_bytes()):
        # OpenImageIO's writer of PNG does not look whether the disk took its bytes.
        raise cannot_write(path, "the disk did not take all of it")


def _is_whole_png(data: bytes) -> bool:
    """Whether the chunks follow one another to the end, each with its checksum."""
    place, kind = len(_PNG), b""
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        end = place + 8 + length
        kind = data[place + 4 : place + 8]
        if data[end : end + 4] != struct.pack(">I", zlib.crc32(data[place + 4 : end])):
            return False
        place = end + 4
    return data.startswith(_PNG) and place == len(data) and kind == b"IEND"


def read_image(path: Path, content: Content) -> Float[Tensor, "c h w"]:
    """Reads an image as `write_image` takes it: colour comes back sRGB-encoded from PNG and from EXR.

    Values are those of the file: integers over their largest value, floats as they are. Gray with alpha loses its
    alpha; RGBA keeps it.

    Raises:
        TextureError: it is missing, damaged, no image, or too big.
    """
    image = read_source_image(path)
    values = unit_values(image.color)
    if image.alpha is not None and values.shape[-1] == 3:
        values = np.concatenate([values, unit_values(image.alpha)[..., None]], axis=-1)
    pixels = torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))
    if content == "color" and image.linear:
        pixels = torch.cat([srgb_from_linear(pixels[:3].double()).float(), pixels[3:]])
    return pixels
