# SPDX-License-Identifier: GPL-3.0-or-later
"""A set of polygons as text, so that it can be kept in the .blend: what was selected when a texture was asked for."""

from __future__ import annotations

import base64
import binascii
import zlib

import numpy as np
import numpy.typing as npt

from ..errors import SceneError

__all__ = ["pack_faces", "pack_indices", "unpack_faces", "unpack_indices"]


def pack_faces(chosen: npt.NDArray[np.bool_]) -> str:
    """Returns a bool [N] as ASCII text, one for each polygon of the mesh; about a bit a polygon at most."""
    data = zlib.compress(np.packbits(chosen).tobytes(), 6)
    return f"{len(chosen)}:{base64.b64encode(data).decode('ascii')}"


def unpack_faces(text: str, count: int) -> npt.NDArray[np.bool_]:
    """Returns the bool [N] in a text of `pack_faces`.

    Args:
        count: number of polygons that the mesh has now.

    Raises:
        SceneError: the mesh has another number of polygons than then, or the text is damaged.
    """
    number, _, data = text.partition(":")
    try:
        then = int(number)
        bits = np.frombuffer(zlib.decompress(base64.b64decode(data, validate=True)), np.uint8)
    except (ValueError, binascii.Error, zlib.error) as error:
        raise SceneError("The stored face selection is damaged; generate the texture again.") from error
    if then != count:
        raise SceneError(
            f"The mesh had {then} faces when this texture was asked for, and has {count} now; "
            "undo the change, or generate the texture again."
        )
    if len(bits) != (count + 7) // 8:
        raise SceneError("The stored face selection is damaged; generate the texture again.")
    return np.unpackbits(bits, count=count).astype(np.bool_)


def pack_indices(indices: npt.NDArray[np.int32]) -> str:
    """Returns material indices [N] as text: a set of faces for each bit."""
    highest = int(indices.max()) if len(indices) else 0
    planes = [pack_faces((indices >> bit) & 1 == 1) for bit in range(max(1, highest.bit_length()))]
    return ";".join(planes)


def unpack_indices(text: str) -> npt.NDArray[np.int32]:
    """Returns the indices in a text of `pack_indices`, int32 [N] of as many polygons as there were.

    Raises:
        SceneError: the text is damaged.
    """
    planes = text.split(";")
    number = planes[0].partition(":")[0]
    count = int(number) if number.isdecimal() else -1
    values = np.zeros(max(0, count), np.int32)
    for bit, plane in enumerate(planes):
        values |= unpack_faces(plane, count).astype(np.int32) << bit
    return values
