# SPDX-License-Identifier: Apache-2.0
"""Whether a job's picture is a file of a kind that travels, as large as the job says; a worker decodes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from blender_addon.protocol.arrays import ArrayRef
from blender_addon.protocol.errors import invalid
from blender_addon.protocol.specs.picture import PICTURE_KINDS, PictureSpec, picture_header

__all__ = ["check_picture"]


def check_picture(picture: PictureSpec | None, behind: Callable[[ArrayRef, str], Any]) -> None:
    """Looks at the header of a job's picture, where it has one.

    Args:
        behind: returns the bytes behind a reference, to be sliced; its second argument is the path for messages.

    Raises:
        ProtocolError: the file is of another kind, damaged, or of another size than the job says.
    """
    if picture is None:
        return
    path, name = "shape.picture.file", picture.name or "The picture"
    data = behind(picture.file, path)
    header = picture_header(lambda start, end: bytes(data[start:end]))
    if header is None:
        raise invalid(path, f"{name} is no {PICTURE_KINDS} file, or it is damaged; save it again as one of these.")
    if (header.width, header.height) != (picture.width, picture.height):
        text = f"{name} has {header.width} x {header.height} pixels, and the job says "
        raise invalid(path, f"{text}{picture.width} x {picture.height}; send what the file has.")
