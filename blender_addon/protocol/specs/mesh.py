# SPDX-License-Identifier: Apache-2.0
"""Meshes and images of a job, as arrays in the server's store."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..arrays import ArrayRef, DType
from ..errors import FieldError
from ..fields import Strict, check_array, check_text, check_within
from ..limits import DEFAULT_LIMITS
from ..structure import LATER

__all__ = ["MeshSpec", "TileImage"]

_FIRST_TILE, _LAST_TILE = 1001, 1999


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSpec(Strict):
    """A mesh of triangles, Z up, as arrays in the server's store.

    Args:
        positions: F32 [V, 3]; faces: I32 [F, 3], indices into positions.
        corner_uvs: F32 [F, 3, 2], V up; None only where the job is for new UVs.
        corner_normals: F32 [F, 3, 3], unit length; None: smooth.
        corner_tangents: F32 [F, 3, 4], the sign of the bitangent last; None: MikkTSpace.
        polygon_index: I32 [F], the polygon that a triangle is part of; material_index: I32 [F].
        corner_colors: F32 [F, 3, 3], linear RGB: colors that the texture grows out of; None: it starts anew.
        textured: U8 [F], 1 where the face is to be textured, 0 where it keeps what it has; None: all.
    """

    name: str
    positions: ArrayRef
    faces: ArrayRef
    corner_uvs: ArrayRef | None = None
    corner_normals: ArrayRef | None = None
    corner_tangents: ArrayRef | None = None
    polygon_index: ArrayRef | None = None
    material_index: ArrayRef | None = None
    textured: ArrayRef | None = None
    corner_colors: ArrayRef | None = field(default=None, metadata={LATER: True})

    def __post_init__(self) -> None:
        check_text("name", self.name)
        check_array("positions", self.positions, DType.F32, None, 3)
        check_array("faces", self.faces, DType.I32, None, 3)
        count = self.faces.shape[0]
        if self.positions.shape[0] > DEFAULT_LIMITS.vertices:
            raise FieldError("positions", f"Got more than {DEFAULT_LIMITS.vertices} vertices.")
        if not 1 <= count <= DEFAULT_LIMITS.triangles:
            raise FieldError("faces", f"Got {count} triangles; expected 1 to {DEFAULT_LIMITS.triangles}.")
        check_array("corner_uvs", self.corner_uvs, DType.F32, count, 3, 2)
        check_array("corner_normals", self.corner_normals, DType.F32, count, 3, 3)
        check_array("corner_tangents", self.corner_tangents, DType.F32, count, 3, 4)
        check_array("polygon_index", self.polygon_index, DType.I32, count)
        check_array("material_index", self.material_index, DType.I32, count)
        check_array("textured", self.textured, DType.U8, count)
        check_array("corner_colors", self.corner_colors, DType.F32, count, 3, 3)

    def arrays(self) -> dict[str, ArrayRef]:
        """Returns the references by field name, without those that are None."""
        names = ("positions", "faces", "corner_uvs", "corner_normals", "corner_tangents")
        names += ("polygon_index", "material_index", "textured", "corner_colors")
        return {name: ref for name in names if (ref := getattr(self, name)) is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class TileImage(Strict):
    """An image of a UDIM tile, U8 [H, W] or [H, W, 3], row 0 at the top."""

    tile: int
    array: ArrayRef

    def __post_init__(self) -> None:
        check_within("tile", self.tile, _FIRST_TILE, _LAST_TILE)
        shape = self.array.shape
        if self.array.dtype is not DType.U8 or len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] != 3):
            raise FieldError("array", f"Got {self.array.dtype.name} {list(shape)}; expected U8 [H, W] or [H, W, 3].")
        low, high = DEFAULT_LIMITS.image_min, DEFAULT_LIMITS.image_max
        if not all(low <= side <= high for side in shape[:2]):
            raise FieldError("array", f"Got {shape[1]} x {shape[0]} pixels; expected sides of {low} to {high}.")
