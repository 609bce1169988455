# SPDX-License-Identifier: Apache-2.0
"""All that a run needs of a mesh: triangles, Z-up, normalised, with UVs that can carry a texture.

The caller's positions, polygons and UVs stay as they are; what a run needs beyond them lies beside them.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float32, Float64

from pgc.errors import MeshError
from pgc.mesh.checks import check_triangle_count, triangle_areas
from pgc.mesh.data import Mesh, MeshReport, Normalization, PreparedMesh, TriangleMesh, UvReport
from pgc.mesh.triangulation import triangulate
from pgc.mesh.uvs.charts import chart_ids
from pgc.mesh.uvs.layout import UvLayout, arrange_uvs
from pgc.mesh.uvs.policy import UvPolicy, choose_uvs

__all__ = ["prepare_mesh"]


def prepare_mesh(
    mesh: Mesh,
    *,
    half_extent: float = 0.8,
    uvs: UvPolicy = "keep",
    progress: Callable[[float], None] | None = None,
) -> PreparedMesh:
    """Prepares everything that a run needs of a mesh: normalised Z-up triangles that fit [-half_extent, half_extent]^3.

    Missing UVs are made by `unwrap` up to `MAX_TRIANGLES_TO_UNWRAP` triangles; `progress` then gets 0..1. `uvs` says
    what becomes of UVs that cannot carry a texture. Raises `MeshError` for too many triangles, a surface without
    area, and UVs that are missing and cannot be made.
    """
    check_triangle_count(mesh.name, mesh.polygon_sizes)
    triangles = triangulate(mesh)
    degenerate = _check_area(mesh.name, triangles)
    chosen = choose_uvs(mesh, triangles, uvs, progress)
    if chosen.mesh is not mesh:
        mesh = chosen.mesh
        triangles = triangulate(mesh)
    charts = chart_ids(triangles)
    measure = chosen.report.measure
    layout = arrange_uvs(triangles.corner_uvs, charts, parked=measure is not None and measure.parked)
    local = _normalization(mesh, triangles, half_extent)
    report = MeshReport(
        warnings=mesh.notes + chosen.warnings + _warnings(layout, degenerate, chosen.report),
        tiles=tuple(int(tile) for tile in np.unique(layout.face_tiles)),
        overlap_fraction=0.0 if measure is None else measure.shared,
        out_of_range_fraction=layout.out_of_range_fraction,
        needs_repeat=layout.needs_repeat,
        unwrapped=chosen.report.done == "new",
        degenerate_triangles=degenerate,
        chart_count=int(charts.max()) + 1,
        uvs=chosen.report,
    )
    return PreparedMesh(
        mesh=mesh,
        triangles=_normalized(triangles, local, layout.corner_uvs),
        normalization=_moved(local, mesh.origin),
        report=report,
        face_tiles=layout.face_tiles,
    )


def _check_area(source: str, triangles: TriangleMesh) -> int:
    """Number of triangles without area. Raises `MeshError` where all are."""
    areas = triangle_areas(triangles.positions, triangles.faces)
    corners = triangles.positions[triangles.faces].astype(np.float64)
    longest = np.linalg.norm(corners - corners[:, [1, 2, 0]], axis=2).max(axis=1)
    # Positions are rounded to float32, counted from near the mesh: an area that this rounding can make is none.
    rounding = float(np.finfo(np.float32).eps) * float(np.abs(corners).max())
    degenerate = int((areas <= rounding * longest).sum())
    if degenerate == len(areas):
        raise MeshError(
            f"{source}: all {len(areas):,} triangles have no area (their corners lie on a point or a line), "
            "expected a surface; check the export's scale."
        )
    return degenerate


def _normalization(mesh: Mesh, triangles: TriangleMesh, half_extent: float) -> Normalization:
    """Centre and scale by the bounding box of what the faces use; loose vertices don't count. The centre is counted
    from the mesh's origin, as the triangles' positions are: so a server, which gets only those, finds the same."""
    used = triangles.positions[np.unique(triangles.faces)].astype(np.float64)
    low, high = used.min(axis=0), used.max(axis=0)
    center = (low + high) / 2.0
    # A hair less, so that rounding to float32 stays inside.
    scale = half_extent * (1.0 - 1e-6) / float((high - low).max() / 2.0)
    return Normalization(
        scale=scale, center=(float(center[0]), float(center[1]), float(center[2])), up_axis=mesh.up_axis
    )


def _moved(local: Normalization, origin: Float64[np.ndarray, " 3"]) -> Normalization:
    """The same in file units, for meshes whose positions are not counted from zero."""
    x, y, z = (np.asarray(local.center) + origin).tolist()
    return replace(local, center=(x, y, z))


def _normalized(
    triangles: TriangleMesh, normalization: Normalization, corner_uvs: Float32[np.ndarray, "F 3 2"]
) -> TriangleMesh:
    rotation = normalization.rotation().astype(np.float32)
    return TriangleMesh(
        positions=normalization.to_normalized(triangles.positions),
        faces=triangles.faces,
        corner_uvs=corner_uvs,
        corner_normals=triangles.corner_normals @ rotation.T,
        polygon_index=triangles.polygon_index,
        corner_index=triangles.corner_index,
        material_index=triangles.material_index,
    )


def _warnings(layout: UvLayout, degenerate: int, uvs: UvReport) -> tuple[str, ...]:
    warnings: list[str] = []
    repeats_told = uvs.done == "kept" and uvs.verdict in ("tiling", "overlapping")
    if layout.needs_repeat and not repeats_told:
        warnings.append(
            f"UVs of {layout.out_of_range_fraction:.1%} of the triangles run over the edge of the texture: "
            "the texture repeats there."
        )
    elif layout.out_of_range_fraction > 0.0 and not repeats_told:
        warnings.append(
            f"UVs of {layout.out_of_range_fraction:.1%} of the triangles lie outside the texture: "
            "they were moved by whole units for the run, and stay as they are in the result."
        )
    if degenerate > 0:
        warnings.append(f"{degenerate:,} triangle(s) have no area and get no texture of their own.")
    return tuple(warnings)
