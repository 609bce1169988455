# SPDX-License-Identifier: Apache-2.0
"""Whether files hold a texture at the depth that it came with; what they do not is said before a run starts."""

from __future__ import annotations

from pgc.images.reading import Depth
from pgc.images.writing import Exr, ImageFormat, Png

__all__ = ["depth_note"]


def depth_note(depth: Depth, image_format: ImageFormat | None, *, locked: bool) -> str | None:
    """Returns a sentence where locked texels cannot come back at the depth of their file; None where they do.

    Args:
        depth: of the initial texture's files.
        image_format: of the exported images; None where only the run's own 8-bit maps are written.
        locked: whether there is a lock mask; without one, it is about the texture as a whole.

    Texels of 8 and 16 bits come back equal in every format that is as deep; a half float from EXR in EXR and its
    sRGB-encoded value in png16. Floats are kept sRGB-encoded in float32, which costs the last of their bits.
    """
    what = "locked texels are" if locked else "it is"
    match depth, image_format:
        case ("8 bits", _):
            return None
        case (_, None | Png(8)):
            return f"The initial texture has {depth} a channel; {what} rounded to the 8 bits of a PNG (png16 keeps 16)."
        case ("16 bits", Exr(16)):
            return (
                f"The initial texture has 16 bits a channel; {what} rounded to the 11 of half floats (exr32 has all)."
            )
        case ("half float" | "float", Png(16)):
            return f"The initial texture holds linear floats; {what} sRGB-encoded in 16 bits (exr, exr32: linear)."
        case ("half float" | "float", Exr(32)):
            return f"The initial texture holds linear floats; {what} equal to about 6 digits, not to the last bit."
        case ("float", Exr(16)):
            return f"The initial texture holds floats of 32 bits; {what} rounded to half floats (exr32 keeps more)."
        case _:
            return None
