# SPDX-License-Identifier: Apache-2.0
"""What the arrays of a mesh or an image must be, beyond their sizes. Each refusal names the entry that is wrong.

The gate runs this on what came in, a client may run it before it sends. Arrays may be mapped files: they are read in
pieces, and no copy of a whole array is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..arrays import ArrayRef
from ..errors import ProtocolError, invalid, join
from .job import MeshSpec

__all__ = ["LARGEST", "Passed", "Rows", "check_mesh"]

Array = npt.NDArray[Any]


class Rows(Protocol):
    """What is asked of an array here: an array, a mapped file, or a file that is read as it is looked at. A slice is
    used up before the next one is taken."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the values."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """The sides, rows first."""
        ...

    def __getitem__(self, rows: Any, /) -> Any: ...  # noqa: ANN401 - as numpy


LARGEST = {
    "positions": 1e9,
    "corner_uvs": 1e6,
    "corner_normals": 1e3,
    "corner_tangents": 1e3,
    "corner_colors": 1e6,
}
"""Greatest absolute value of each array of numbers. What is beyond has no meaning and would overflow later."""
_HIGHEST_INDEX = {"polygon_index": (1 << 31) - 1, "material_index": (1 << 15) - 1}
"""Blender has at most 32768 material slots; who makes a list of them must not be made to fill the memory."""
_PIECE = 1 << 20
"""Values looked at together."""
_AREA_TOLERANCE = 1e-12
"""A triangle is degenerate where twice its area is at most this share of its longest side squared."""
_REPAIR = "Repair the mesh (Blender: Mesh > Clean Up) and send it again."


class Passed:
    """Checks that arrays have passed, by their hashes and what was looked for: such a check is not made again.

    Args:
        most: so many are remembered, the last used ones.
    """

    def __init__(self, most: int = 4096) -> None:
        self._most = most
        self._keys: dict[Hashable, None] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def once(self, key: Hashable, check: Callable[[], None]) -> None:
        """Makes a check that was not passed yet. A check that fails raises, and is made again the next time."""
        if key in self._keys:
            del self._keys[key]
        else:
            check()
        self._keys[key] = None
        while len(self._keys) > self._most:
            del self._keys[next(iter(self._keys))]


def check_mesh(
    spec: MeshSpec, arrays: Mapping[str, Rows], path: str = "meshes[0]", passed: Passed | None = None
) -> None:
    """Checks the arrays of a mesh.

    Args:
        arrays: by the names of `spec.arrays()`; mapped files will do.
        path: of the mesh in the job; it goes before the fields in errors.
        passed: what was checked before, of arrays whose bytes surely have the hashes that `spec` names.

    Raises:
        ProtocolError: INPUT.INVALID. An array is not there or is not what `spec` states; an index points nowhere; a
            number is not finite or absurdly large; nothing is there to be textured.
    """
    for name, ref in spec.arrays().items():
        field = join(path, name)
        if name not in arrays:
            raise invalid(field, "The array is missing.")
        _check_layout(ref, arrays[name], field)
    if spec.positions.shape[0] == 0:
        raise invalid(join(path, "positions"), "The mesh has no vertices.")
    if spec.faces.shape[0] == 0:
        raise invalid(join(path, "faces"), "The mesh has no triangles.")
    given, once = spec.arrays(), (Passed() if passed is None else passed).once
    faces, vertices = given["faces"], int(spec.positions.shape[0])
    for name, largest in LARGEST.items():
        if name in given:
            numbers = partial(_check_numbers, arrays[name], largest, join(path, name))
            once(("numbers", given[name], largest), numbers)
    once(("faces", faces, vertices), partial(_check_faces, arrays["faces"], vertices, join(path, "faces")))
    for name, highest in _HIGHEST_INDEX.items():
        if name in given:
            once(("indices", given[name], highest), partial(_check_indices, arrays[name], highest, join(path, name)))
    if "textured" in given:
        once(("flags", given["textured"]), partial(_check_textured, arrays["textured"], join(path, "textured")))
    areas = partial(_check_areas, arrays["positions"], arrays["faces"], join(path, "faces"))
    once(("areas", given["positions"], faces), areas)


def _check_layout(ref: ArrayRef, array: Rows, field: str) -> None:
    if array.dtype != ref.dtype.numpy or tuple(array.shape) != ref.shape:
        text = f"Got {array.dtype.name} {list(array.shape)}; expected {ref.dtype.numpy.name} {list(ref.shape)}."
        raise invalid(field, text)


def _pieces(array: Rows, values: int = _PIECE) -> Iterator[tuple[int, Array]]:
    """Parts of an array along its first axis, each with the row that it starts at."""
    rows = max(1, values // max(1, math.prod(array.shape[1:])))
    for start in range(0, int(array.shape[0]), rows):
        yield start, array[start : start + rows]


def _refusal(field: str, text: str) -> ProtocolError:
    error = invalid(field, text)
    return ProtocolError(replace(error.error, hint=_REPAIR))


def _check_numbers(array: Rows, largest: float, field: str) -> None:
    for start, piece in _pieces(array):
        with np.errstate(invalid="ignore"):
            # Comparisons with NaN are false, and minimum and maximum pass it on: no array of flags is needed.
            fine = bool(piece.min() >= -largest) and bool(piece.max() <= largest)
        if fine:
            continue
        bad = ~(np.abs(piece) <= largest)
        at = [int(axis[0]) for axis in np.nonzero(bad)]
        value = float(piece[tuple(at)])
        place = field + "".join(f"[{index}]" for index in [start + at[0], *at[1:]])
        if not np.isfinite(value):
            raise _refusal(place, f"Got {value}; expected a finite number.")
        raise _refusal(place, f"Got {value:g}; expected -{largest:g} to {largest:g}.")


def _check_faces(faces: Rows, vertices: int, field: str) -> None:
    for start, piece in _pieces(faces):
        if int(piece.min()) >= 0 and int(piece.max()) < vertices:
            continue
        row, corner = (int(axis[0]) for axis in np.nonzero((piece < 0) | (piece >= vertices)))
        text = f"index {int(piece[row, corner])}, but the mesh has {vertices} vertices"
        raise _refusal(f"{field}[{start + row}]", text)


def _check_indices(indices: Rows, highest: int, field: str) -> None:
    for start, piece in _pieces(indices):
        if int(piece.min()) < 0 or int(piece.max()) > highest:
            row = int(np.argmax((piece < 0) | (piece > highest)))
            raise _refusal(f"{field}[{start + row}]", f"Got {int(piece[row])}; expected 0 to {highest}.")


def _check_textured(flags: Rows, field: str) -> None:
    found = False
    for start, piece in _pieces(flags):
        highest = int(piece.max())
        if highest > 1:
            row = int(np.argmax(piece > 1))
            raise invalid(f"{field}[{start + row}]", f"Got {int(piece[row])}; expected 0 or 1.")
        found = found or highest == 1
    if not found:
        raise invalid(field, "No face is to be textured; expected a 1 for at least one.")


def _check_areas(positions: Rows, faces: Rows, field: str) -> None:
    """Raise unless one triangle has an area: the first that has ends the search."""
    for _, piece in _pieces(faces, _PIECE // 8):
        a, b, c = (np.asarray(positions[piece[:, corner]], np.float64) for corner in range(3))
        sides = np.stack([b - a, c - b, a - c])
        longest = np.einsum("nfc,nfc->nf", sides, sides).max(axis=0)
        twice_area = np.linalg.norm(np.cross(sides[0], sides[1]), axis=1)
        if bool((twice_area > _AREA_TOLERANCE * longest).any()):
            return
    raise _refusal(field, "All triangles are degenerate: each is a line or a point.")
