# SPDX-License-Identifier: Apache-2.0
"""Meshes that a job for a new shape gives (since 1.2): as arrays among the files of its result, and as previews."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .arrays import DType
from .errors import ErrorCode, ProtocolError, Retry, WireError
from .records import MapFile

__all__ = [
    "MOST_PREVIEW_BYTES",
    "MOST_RESULT_TRIANGLES",
    "MOST_RESULT_VERTICES",
    "PreviewMesh",
    "ResultMesh",
    "preview_mesh",
    "read_result",
]

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]

MOST_RESULT_VERTICES: Final = 2_000_000
MOST_RESULT_TRIANGLES: Final = 2_000_000
"""Of a result: a server makes no larger one, and a client takes none."""
MOST_PREVIEW_BYTES: Final = 768 << 10
"""Of a preview: a larger mesh has none."""
_SIDES: Final = {
    "positions": (DType.F32, 1, 3),
    "faces": (DType.I32, 1, 3),
    "corner_uvs": (DType.F32, 3, 2),
    "corner_colors": (DType.F32, 3, 3),
    "material_index": (DType.I32, 1, 1),
}
"""Type, width and channels of each array's file; its height is the number of vertices or triangles."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResultMesh:
    """A new mesh, in the space and with the axes of the one that was sent.

    Args:
        positions: float32 [V, 3]; faces: int32 [F, 3], counter-clockwise seen from outside.
        corner_uvs: float32 [F, 3, 2], where the mesh that was sent had any and its triangles are still there.
        corner_colors: float32 [F, 3, 3], linear RGB in [0, 1], where colors were learnt.
        material_index: int32 [F], as it was sent.
    """

    positions: F32
    faces: I32
    corner_uvs: F32 | None = None
    corner_colors: F32 | None = None
    material_index: I32 | None = None

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Returns the arrays of a result by their names, each as its file has it: [height, width, channels]."""
        found = {name: getattr(self, name) for name in _SIDES if getattr(self, name) is not None}
        return {name: array.reshape(len(array), *_SIDES[name][1:]) for name, array in found.items()}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PreviewMesh:
    """A mesh of a moment. positions: float32 [V, 3]; faces: int32 [F, 3]."""

    positions: F32
    faces: I32

    def pack(self) -> bytes:
        """Returns the bytes of a preview: positions, then faces, little-endian."""
        return self.positions.astype("<f4").tobytes() + self.faces.astype("<i4").tobytes()


def preview_mesh(vertices: int, triangles: int, data: bytes) -> PreviewMesh:
    """Returns the mesh in a preview's bytes.

    Raises:
        ProtocolError: they are not those of so many vertices and triangles, or no mesh.
    """
    if len(data) != 12 * (vertices + triangles) or len(data) > MOST_PREVIEW_BYTES:
        raise _damaged(f"a preview of {len(data)} bytes for {vertices} vertices and {triangles} triangles")
    positions = np.frombuffer(data, "<f4", 3 * vertices).reshape(-1, 3)
    faces = np.frombuffer(data, "<i4", 3 * triangles, 12 * vertices).reshape(-1, 3)
    _check(positions, faces)
    return PreviewMesh(positions=positions, faces=faces)


def read_result(files: Mapping[MapFile, bytes]) -> ResultMesh:
    """Returns the mesh among the files of a result.

    Raises:
        ProtocolError: there is none, it is larger than a mesh may be, or its arrays are damaged or do not fit together.
    """
    found: dict[str, npt.NDArray[Any]] = {}
    for file, data in files.items():
        if file.map not in _SIDES:
            continue
        dtype, width, channels = _SIDES[file.map]
        if file.height > max(MOST_RESULT_TRIANGLES, MOST_RESULT_VERTICES):
            raise _damaged(f"a mesh of {file.height:,} {file.map}")
        as_told = (file.dtype, file.width, file.channels, file.codec) == (dtype, width, channels, "raw")
        if not as_told or len(data) != file.height * width * channels * dtype.numpy.itemsize:
            raise _damaged(f"{file.map} of another form than a mesh has")
        found[file.map] = np.frombuffer(data, dtype.numpy).reshape(file.height, width, channels)
    if "positions" not in found or "faces" not in found:
        raise _damaged("a result without a mesh")
    positions, faces = found.pop("positions").reshape(-1, 3), found.pop("faces").reshape(-1, 3)
    _check(positions, faces)
    for name, array in found.items():
        if len(array) != len(faces) or not np.isfinite(array).all():
            raise _damaged(f"{name} that do not fit the triangles")
    slots = found.pop("material_index", None)
    return ResultMesh(
        positions=positions, faces=faces, material_index=None if slots is None else slots.reshape(-1), **found
    )


def _check(positions: F32, faces: I32) -> None:
    if len(faces) == 0 or not np.isfinite(positions).all():
        raise _damaged("a mesh without triangles, or with positions that are no numbers")
    if int(faces.min()) < 0 or int(faces.max()) >= len(positions):
        raise _damaged("a mesh whose triangles name vertices that it does not have")


def _damaged(what: str) -> ProtocolError:
    return ProtocolError(WireError(code=ErrorCode.PROTO_BAD_FRAME, retry=Retry.SAME, text=f"Got {what}."))
