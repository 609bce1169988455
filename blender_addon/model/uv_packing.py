# SPDX-License-Identifier: GPL-3.0-or-later
"""The UVs that a texture was made for, as text for the .blend, and whether others are the same. Without Blender."""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib

import numpy as np
import numpy.typing as npt

__all__ = ["MOST_CORNERS", "pack_uvs", "packed_digest", "unpack_uvs", "uv_digest"]

MOST_CORNERS = 4_000_000
"""Of larger meshes only the digest is kept: their UVs would take more room than their textures."""


def uv_digest(uvs: npt.NDArray[np.float32]) -> str:
    """Returns 32 hexadecimal digits for float32 [L, 2], one row a face corner; -0 counts as 0."""
    clean = np.ascontiguousarray(uvs, np.float32) + np.float32(0.0)
    return hashlib.blake2b(clean.tobytes(), digest_size=16).hexdigest()


def pack_uvs(uvs: npt.NDArray[np.float32]) -> str:
    """Returns float32 [L, 2] as ASCII text: the digest, the number of corners, and the values where they are not too
    many.
    """
    head = f"{uv_digest(uvs)}:{len(uvs)}:"
    if len(uvs) > MOST_CORNERS:
        return head
    # Bytes of one significance stand together: they repeat, and pack to half.
    planes = np.ascontiguousarray(uvs, "<f4").view(np.uint8).reshape(-1, 4).T.copy()
    return head + base64.b64encode(zlib.compress(planes.tobytes(), 1)).decode("ascii")


def packed_digest(text: str) -> str:
    """Returns the digest in a packed text; "" where there is none."""
    return text.partition(":")[0]


def unpack_uvs(text: str) -> npt.NDArray[np.float32] | None:
    """Returns the float32 [L, 2] in a packed text; None where the text has none, or is damaged."""
    digest, _, rest = text.partition(":")
    number, _, data = rest.partition(":")
    try:
        raw = np.frombuffer(zlib.decompress(base64.b64decode(data, validate=True)), np.uint8)
        uvs = np.ascontiguousarray(raw.reshape(4, -1).T).view("<f4").reshape(int(number), 2).astype(np.float32)
    except (ValueError, binascii.Error, zlib.error):
        return None
    return uvs if uv_digest(uvs) == digest else None
