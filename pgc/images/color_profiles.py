# SPDX-License-Identifier: Apache-2.0
"""ICC profiles of images: pictures whose colours are meant in another space than sRGB, brought to sRGB.

LittleCMS converts, as Pillow carries it; it takes 8 bits a channel.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import OpenImageIO as oiio
from PIL import Image, ImageCms, features

__all__ = ["ColorProfile", "in_srgb", "profile_of"]

_LARGEST = 4 << 20
"""Bytes. Profiles of printers have a megabyte or two, those of screens and cameras a few kilobytes."""
_ROWS = 512
"""Converted at a time: pictures may have hundreds of megabytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColorProfile:
    """An ICC profile that is not sRGB's: its name for people, and its bytes."""

    name: str
    data: bytes


def profile_of(spec: oiio.ImageSpec) -> ColorProfile | None:
    """Returns the profile that a file has; None where it has none, or sRGB's."""
    data = spec.getattribute("ICCProfile")
    named = spec.getattribute("ICCProfile:profile_description")
    if data is None and named is None:
        return None
    # A file says what it likes there, line breaks too.
    name = "".join(letter if letter.isprintable() else "?" for letter in str(named or "without a name"))[:60]
    if "srgb" in name.lower().replace(" ", ""):
        return None
    return ColorProfile(name=name, data=b"" if data is None else np.asarray(data, dtype=np.uint8).tobytes())


def in_srgb(color: npt.NDArray[np.generic], profile: ColorProfile) -> tuple[npt.NDArray[np.generic], str]:
    """Returns the picture [H, W, 1 or 3] in sRGB, and what was done: a clause that goes on from the file's name.

    Perceived white stays white (relative colorimetric, with black point compensation). What cannot be converted
    comes back as it is, and the clause says why.
    """
    said = f"has the colour profile {profile.name!r}"
    if color.dtype != np.uint8:
        return color, f"{said}, and more than 8 bits: its values are taken as sRGB; convert it where colours matter."
    if not features.check("littlecms2"):
        return color, f"{said}; without LittleCMS its values are taken as sRGB: convert it where colours matter."
    gray = color.shape[-1] == 1
    try:
        transform = _transform(profile, "L" if gray else "RGB")
        result = np.empty_like(color)
        for start in range(0, len(color), _ROWS):
            rows = np.ascontiguousarray(color[start : start + _ROWS, :, 0] if gray else color[start : start + _ROWS])
            done = np.asarray(ImageCms.applyTransform(Image.fromarray(rows), transform))
            # A gray comes out as three equal channels.
            result[start : start + _ROWS] = done[..., :1] if gray else done
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:80]
        return color, f"{said}, which does not fit it or is damaged ({reason}): its values are taken as sRGB."
    return result, f"{said}; its colours were converted to sRGB."


def _transform(profile: ColorProfile, mode: str) -> ImageCms.ImageCmsTransform:
    if not 0 < len(profile.data) <= _LARGEST:
        raise ValueError(f"it has {len(profile.data):,} bytes")
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    if mode == "L":
        # Its table for gray is too coarse near black, by ten levels.
        flags |= ImageCms.Flags.NOOPTIMIZE
    return ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(profile.data)),
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=flags,
    )
