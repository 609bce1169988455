# SPDX-License-Identifier: Apache-2.0
"""Which triangles a primitive has: lists, strips and fans, with and without indices."""

import numpy as np
from jaxtyping import Int64

from pgc.mesh.formats.gltf.binary.accessors import open_accessor
from pgc.mesh.formats.gltf.binary.buffers import Buffers
from pgc.mesh.formats.gltf.fields import Fields
from pgc.mesh.formats.gltf.notes import NoteCounts

__all__ = ["TRIANGLES", "count_triangles", "has_triangles", "read_corners", "triangles_of", "used_rows"]

TRIANGLES, _STRIP, _FAN = 4, 5, 6


def has_triangles(primitive: Fields, notes: NoteCounts) -> bool:
    """Says whether a primitive is of triangles; others are counted as left out."""
    mode = primitive.integer("mode", TRIANGLES)
    if mode in (TRIANGLES, _STRIP, _FAN):
        return True
    kind = "points or lines" if mode < TRIANGLES else "an unknown kind"
    notes.add(f"{{count}} part(s) of {kind} were left out.")
    return False


def count_triangles(buffers: Buffers, primitive: Fields) -> int:
    """Counts the triangles that a primitive says it has; this costs no memory, so that a limit can be checked first."""
    mode = primitive.integer("mode", TRIANGLES)
    named = primitive.optional_integer("indices")
    if named is None:
        named = primitive.child("attributes").optional_integer("POSITION")
    if named is None or mode not in (TRIANGLES, _STRIP, _FAN):
        return 0
    count = buffers.document.root.item("accessors", named).integer("count")
    return count // 3 if mode == TRIANGLES else max(count - 2, 0)


def read_corners(buffers: Buffers, primitive: Fields, count: int) -> Int64[np.ndarray, " N"]:
    """Returns the vertex numbers of a primitive's corners: its indices, or 0..count-1 where it has none."""
    index = primitive.optional_integer("indices")
    if index is None:
        return np.arange(count, dtype=np.int64)
    opened = open_accessor(buffers, index, ("SCALAR",))
    found = opened.raw(np.arange(opened.count, dtype=np.int64))[:, 0]
    if found.dtype.kind == "f":
        buffers.document.notes.add("The indices of {count} part(s) are no whole numbers: they were rounded down.")
        found = np.nan_to_num(found, nan=-1.0, posinf=-1.0, neginf=-1.0).clip(-1.0, 2.0**31)
    return found.astype(np.int64)


def triangles_of(
    mode: int, corners: Int64[np.ndarray, " N"], vertex_count: int, notes: NoteCounts
) -> Int64[np.ndarray, "F 3"]:
    """Returns the triangles of a list, a strip or a fan, counter-clockwise (glTF 2.0 §3.7.2.1).

    Those that point past the vertices are left out and counted; so are corners after the last whole triangle.
    """
    faces = _triangles(mode, corners, notes)
    good = ((faces >= 0) & (faces < vertex_count)).all(axis=1)
    if good.all():
        return faces
    notes.add("{count} triangle(s) point to a vertex that does not exist and were left out.", int((~good).sum()))
    return faces[good]


def _triangles(mode: int, corners: Int64[np.ndarray, " N"], notes: NoteCounts) -> Int64[np.ndarray, "F 3"]:
    if mode == TRIANGLES:
        whole = len(corners) // 3 * 3
        notes.add("{count} index(es) after the last whole triangle were left out.", len(corners) - whole)
        return corners[:whole].reshape(-1, 3)
    count = max(len(corners) - 2, 0)
    first = np.arange(count)
    if mode == _FAN:
        return np.stack([corners[first + 1], corners[first + 2], np.broadcast_to(corners[:1], count)], axis=1)
    odd = first % 2
    faces = np.stack([corners[first], corners[first + 1 + odd], corners[first + 2 - odd]], axis=1)
    # Strips are stitched by repeated corners: those triangles are not meant to be seen.
    stitch = (faces[:, 0] == faces[:, 1]) | (faces[:, 1] == faces[:, 2]) | (faces[:, 0] == faces[:, 2])
    notes.add("{count} triangle(s) without area that stitch strips together were left out.", int(stitch.sum()))
    return faces[~stitch]


def used_rows(faces: Int64[np.ndarray, "F 3"], count: int) -> tuple[Int64[np.ndarray, " V"], Int64[np.ndarray, "F 3"]]:
    """Returns the vertices that faces use, ascending, and the faces by number among them."""
    if count > 8 * faces.size:
        # A mask of all vertices could be too big.
        rows, inverse = np.unique(faces, return_inverse=True)
        return rows, inverse.reshape(-1, 3)
    mask = np.zeros(count, bool)
    mask[faces.reshape(-1)] = True
    return np.flatnonzero(mask), (np.cumsum(mask) - 1)[faces]
