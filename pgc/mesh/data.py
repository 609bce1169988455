# SPDX-License-Identifier: Apache-2.0
"""Plain data of a mesh: as the caller gave it (`Mesh`), and as rendering and texture use it (`TriangleMesh`)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, Float64, Int32

from blender_addon.uv_measure import UvMeasure
from pgc.errors import MeshError
from pgc.mesh.checks import check_finite, check_indices, check_polygons, check_range
from pgc.mesh.origin import local_origin

__all__ = ["Mesh", "MeshReport", "Normalization", "PreparedMesh", "TriangleMesh", "UpAxis", "UvReport", "UvSet"]

UpAxis = Literal["y", "z"]

_Y_UP_TO_Z_UP = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""Blender's import: (x, y, z) of a Y-up file becomes (x, -z, y)."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class UvSet:
    """A UV set that the file has beside the one that is textured. A corner without UV has index -1."""

    name: str
    uvs: Float32[np.ndarray, "T 2"]
    """Pool of UVs, origin bottom-left, V up."""
    corner_uvs: Int32[np.ndarray, " L_uv"]
    index: int
    """The set's number in the file, from 0."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Mesh:
    """The caller's own mesh, bit for bit, in the file's own axes. Nothing of it is ever reordered or rounded.

    Polygons lie one after another in the corner arrays; polygon p has `polygon_sizes[p]` corners. A corner without
    UV, normal or colour has index -1. L_uv, L_normal and L_color equal L, P_material equals P (names of their own, so
    that a wrong length gets this class's sentence). Raises `MeshError` where arrays are not finite, disagree, or have
    no polygon, or where positions are too big for float32.
    """

    name: str
    positions: Float64[np.ndarray, "V 3"]
    """In file units and file axes, as exact as the file has them; float32 only once counted from `origin`."""
    polygon_sizes: Int32[np.ndarray, " P"]
    corner_positions: Int32[np.ndarray, " L"]
    """Index into `positions` of every corner."""
    uvs: Float32[np.ndarray, "T 2"] | None
    """Pool of UVs, origin bottom-left, V up."""
    corner_uvs: Int32[np.ndarray, " L_uv"] | None
    normals: Float32[np.ndarray, "N 3"] | None
    corner_normals: Int32[np.ndarray, " L_normal"] | None
    material_index: Int32[np.ndarray, " P_material"]
    """Index into `material_names` of every polygon."""
    material_names: tuple[str, ...]
    up_axis: UpAxis
    notes: tuple[str, ...] = ()
    """What reading the file forgave: one counted sentence for each kind."""
    uv_name: str = ""
    uv_index: int = 0
    """The number of the textured set among the file's, from 0."""
    other_uv_sets: tuple[UvSet, ...] = ()
    """Sets that the file has and that are not textured, in its order."""
    colors: Float32[np.ndarray, "C 4"] | None = None
    """Pool of linear RGBA vertex colours."""
    corner_colors: Int32[np.ndarray, " L_color"] | None = None
    part_index: Int32[np.ndarray, " P_part"] | None = None
    """Index into `part_names` of every polygon; None where the file has no parts."""
    part_names: tuple[str, ...] = ()
    """Of the file's nodes or objects."""

    def __post_init__(self) -> None:
        check_polygons(self.name, self.polygon_sizes, len(self.corner_positions))
        check_finite(self.name, "vertex position", self.positions)
        check_range(self.name, self.positions)
        check_indices(self.name, "vertex", self.corner_positions, len(self.positions), optional=False)
        if (self.uvs is None) != (self.corner_uvs is None) or (self.normals is None) != (self.corner_normals is None):
            raise MeshError(f"{self.name}: UVs and normals need both a pool and corner indices; give both or neither.")
        if self.uvs is not None and self.corner_uvs is not None:
            check_finite(self.name, "UV", self.uvs)
            _check_length(self.name, "UV indices", len(self.corner_uvs), len(self.corner_positions))
            check_indices(self.name, "UV", self.corner_uvs, len(self.uvs), optional=True)
        if self.normals is not None and self.corner_normals is not None:
            _check_length(self.name, "normal indices", len(self.corner_normals), len(self.corner_positions))
            check_indices(self.name, "normal", self.corner_normals, len(self.normals), optional=True)
        for uv_set in self.other_uv_sets:
            check_finite(self.name, "UV", uv_set.uvs)
            _check_length(self.name, "UV indices", len(uv_set.corner_uvs), len(self.corner_positions))
            check_indices(self.name, "UV", uv_set.corner_uvs, len(uv_set.uvs), optional=True)
        if (self.colors is None) != (self.corner_colors is None):
            raise MeshError(f"{self.name}: vertex colours need both a pool and corner indices; give both or neither.")
        if self.colors is not None and self.corner_colors is not None:
            check_finite(self.name, "vertex colour", self.colors)
            _check_length(self.name, "colour indices", len(self.corner_colors), len(self.corner_positions))
            check_indices(self.name, "vertex colour", self.corner_colors, len(self.colors), optional=True)
        _check_length(self.name, "material indices", len(self.material_index), len(self.polygon_sizes))
        check_indices(self.name, "material", self.material_index, len(self.material_names), optional=False)
        if self.part_index is not None:
            _check_length(self.name, "part indices", len(self.part_index), len(self.polygon_sizes))
            check_indices(self.name, "part", self.part_index, len(self.part_names), optional=False)

    @property
    def triangle_count(self) -> int:
        """Triangles after triangulation: an n-gon gives n - 2."""
        return int((self.polygon_sizes.astype(np.int64) - 2).sum())

    @property
    def origin(self) -> Float64[np.ndarray, " 3"]:
        """What positions are counted from where they are float32: zero unless the mesh lies far away."""
        return local_origin(self.positions, self.corner_positions)

    @property
    def has_uvs(self) -> bool:
        """Whether every corner has a UV."""
        return self.corner_uvs is not None and bool((self.corner_uvs >= 0).all())


def _check_length(source: str, what: str, got: int, expected: int) -> None:
    if got != expected:
        raise MeshError(f"{source}: got {got} {what}, expected {expected}; the mesh is damaged: export it again.")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TriangleMesh:
    """What rendering and texture use. Attributes are by corner; positions that a file format had to repeat at
    seams are one again, so that faces across a seam share their position indices."""

    positions: Float32[np.ndarray, "V 3"]
    faces: Int32[np.ndarray, "F 3"]
    """Index into `positions`, counter-clockwise seen from outside."""
    corner_uvs: Float32[np.ndarray, "F 3 2"]
    """Origin bottom-left, V up; zeros where the mesh has no UVs."""
    corner_normals: Float32[np.ndarray, "F 3 3"]
    """Unit length: given, or smooth where none was given."""
    polygon_index: Int32[np.ndarray, " F"]
    """The polygon of the `Mesh` that a triangle is a part of."""
    corner_index: Int32[np.ndarray, "F 3"]
    """Index of each corner in the corner arrays of the `Mesh`."""
    material_index: Int32[np.ndarray, " F"]
    corner_tangents: Float32[np.ndarray, "F 3 4"] | None = None
    """(x, y, z, sign of the bitangent), as `pgc.mesh.tangents` gives them, where the caller brought his own."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Normalization:
    """File axes to the normalised Z-up space of optimisation: subtract `center`, turn Z up, multiply by `scale`."""

    scale: float
    center: tuple[float, float, float]
    """Centre of the bounding box, in file units and file axes."""
    up_axis: UpAxis

    def rotation(self) -> Float64[np.ndarray, "3 3"]:
        """Returns the rotation from file axes to Z-up."""
        return _Y_UP_TO_Z_UP.copy() if self.up_axis == "y" else np.eye(3)

    def matrix(self) -> Float64[np.ndarray, "4 4"]:
        """Returns the homogeneous matrix from file axes to normalised Z-up, for column vectors."""
        matrix = np.eye(4)
        matrix[:3, :3] = self.scale * self.rotation()
        matrix[:3, 3] = -matrix[:3, :3] @ np.asarray(self.center)
        return matrix

    def to_normalized(self, points: Float[np.ndarray, "N 3"]) -> Float32[np.ndarray, "N 3"]:
        """Turns file points into normalised points, computed in float64, so that far-away meshes keep their detail."""
        shifted = points.astype(np.float64) - np.asarray(self.center)
        return (self.scale * (shifted @ self.rotation().T)).astype(np.float32)

    def from_normalized(self, points: Float[np.ndarray, "N 3"]) -> Float64[np.ndarray, "N 3"]:
        """Turns normalised points into file points: the inverse of `to_normalized` up to its rounding. Results that
        must be exact come from `Mesh` instead."""
        turned = (points.astype(np.float64) / self.scale) @ self.rotation()
        return turned + np.asarray(self.center)


@dataclass(frozen=True, slots=True, kw_only=True)
class UvReport:
    """What the mesh's own UVs can carry, and which ones are textured."""

    verdict: str = "good"
    """Of the mesh's own UVs: a value of `UvVerdict`."""
    done: Literal["kept", "filled", "new"] = "kept"
    """filled: some faces got UVs beside those of the others; new: all did."""
    given: UvMeasure | None = None
    """Of the mesh's own UVs; None where nobody measured."""
    measure: UvMeasure | None = None
    """Of the UVs that are textured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshReport:
    """What was found in a mesh, for the run report and the person."""

    warnings: tuple[str, ...] = ()
    """Plain sentences, most important first."""
    tiles: tuple[int, ...] = (1001,)
    """UDIM numbers that need a texture, ascending."""
    overlap_fraction: float = 0.0
    """Part of the used texture area that more than one place of the surface uses, in [0, 1]."""
    out_of_range_fraction: float = 0.0
    """Part of the triangles whose UVs had to be wrapped into the texture, in [0, 1]."""
    needs_repeat: bool = False
    """Whether some charts do not fit into one texture, so that sampling must repeat it (u mod 1, v mod 1)."""
    unwrapped: bool = False
    """Whether the UVs were made here."""
    degenerate_triangles: int = 0
    chart_count: int = 0
    uvs: UvReport = UvReport()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PreparedMesh:
    """A mesh ready for a run: the caller's data, the triangles that are rendered, and how they hang together."""

    mesh: Mesh
    triangles: TriangleMesh
    """Normalised, Z-up; UVs moved by whole numbers into the tiles of the report where charts were out of range."""
    normalization: Normalization
    report: MeshReport
    face_tiles: Int32[np.ndarray, " F"]
    """UDIM number of the tile that each triangle lies in."""
