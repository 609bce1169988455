# SPDX-License-Identifier: Apache-2.0
"""Which UVs a mesh is textured in: its own where they can carry a texture, new ones where they cannot."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool

from blender_addon.uv_measure import (
    UvFaces,
    UvJudgement,
    UvMeasure,
    UvRemedy,
    UvVerdict,
    judge_uvs,
    measure_uvs,
)
from pgc.errors import MeshError
from pgc.mesh.checks import MAX_TRIANGLES_TO_UNWRAP
from pgc.mesh.data import Mesh, TriangleMesh, UvReport, UvSet
from pgc.mesh.triangulation import triangulate
from pgc.mesh.uvs.charts import chart_ids
from pgc.mesh.uvs.fill import fill_uvs, pool_and_corners
from pgc.mesh.uvs.unwrap import unwrap

__all__ = ["NEW_UV_NAME", "ChosenUvs", "UvPolicy", "choose_uvs", "measure_mesh"]

UvPolicy = Literal["auto", "keep", "new"]
"""auto: new UVs where the mesh's own serve places with the same texel that must differ; keep: its own, whatever they
are (faces without any still get some); new: new ones."""

NEW_UV_NAME = "PGC"

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChosenUvs:
    """The mesh with the UVs that it is textured in, and how they came about."""

    mesh: Mesh
    report: UvReport
    warnings: tuple[str, ...]


def measure_mesh(
    mesh: Mesh, triangles: TriangleMesh | None = None, *, grid: int | None = None
) -> tuple[UvMeasure, UvFaces]:
    """Measures a mesh by `measure_uvs`; `triangles` are `triangulate(mesh)`, where they are at hand."""
    triangles = triangulate(mesh) if triangles is None else triangles
    return measure_uvs(
        triangles.positions,
        triangles.faces,
        triangles.corner_uvs,
        _without(mesh, triangles),
        material=triangles.material_index,
        grid=grid,
    )


def _without(mesh: Mesh, triangles: TriangleMesh) -> Bool[np.ndarray, " F"]:
    if mesh.corner_uvs is None:
        return np.ones(len(triangles.faces), dtype=bool)
    return np.any(mesh.corner_uvs[triangles.corner_index] < 0, axis=1)


def choose_uvs(
    mesh: Mesh, triangles: TriangleMesh, policy: UvPolicy = "keep", progress: Progress | None = None
) -> ChosenUvs:
    """Chooses the UVs for a run. The mesh's own set stays in it as it was: whatever changes becomes a second set.

    Raises:
        MeshError: UVs are missing, and the mesh is too big to make them, or xatlas is missing or fails.
    """
    measure, faces = measure_mesh(mesh, triangles)
    judgement = judge_uvs(measure)
    if policy == "new" or judgement.verdict is UvVerdict.NONE:
        if policy != "new":
            _check_may_unwrap(mesh)
        return _renewed(mesh, measure, judgement, progress)
    remedy = judgement.remedy if policy == "auto" else UvRemedy.KEEP
    if remedy is UvRemedy.KEEP and measure.faces_without > 0:
        remedy = UvRemedy.FILL
    hindrance = None if remedy is UvRemedy.KEEP else _hindrance(mesh)
    if hindrance is not None:
        if measure.faces_without > 0:
            raise MeshError(f"{mesh.name}: {judgement.sentence}, and {hindrance}.")
        return _kept(mesh, measure, judgement, f" A new UV map would separate them, but {hindrance}.")
    if remedy is UvRemedy.FILL:
        only_missing = policy == "keep"
        filled = _filled(mesh, triangles, (measure, faces), judgement, only_missing, progress)
        if filled is not None:
            return filled
    if remedy is not UvRemedy.KEEP:
        return _renewed(mesh, measure, judgement, progress)
    return _kept(mesh, measure, judgement, " A new UV map would separate them." if policy == "keep" else "")


def _check_may_unwrap(mesh: Mesh) -> None:
    if mesh.triangle_count > MAX_TRIANGLES_TO_UNWRAP:
        raise MeshError(
            f"{mesh.name}: the mesh has no UVs, and unwrapping {mesh.triangle_count:,} triangles takes many minutes; "
            "unwrap it first (Blender: U > Smart UV Project), or use --unwrap to wait for it."
        )


def _hindrance(mesh: Mesh) -> str | None:
    """Why new UVs are not made unasked; a clause, or None."""
    if importlib.util.find_spec("xatlas") is None:
        return "xatlas, which makes UVs, is not installed (Blender's Smart UV Project makes some too)"
    if mesh.triangle_count > MAX_TRIANGLES_TO_UNWRAP:
        return f"for {mesh.triangle_count:,} triangles it takes many minutes: use --unwrap to wait for it"
    return None


def _kept(mesh: Mesh, measure: UvMeasure, judgement: UvJudgement, advice: str) -> ChosenUvs:
    warnings: tuple[str, ...] = ()
    if judgement.verdict is UvVerdict.STACKED:
        warnings = (
            f"{_capital(judgement.sentence)}, as they are made to: they get the same picture "
            "(--unwrap gives each its own).",
        )
    elif judgement.verdict is UvVerdict.COLLAPSED:
        warnings = (f"{_capital(judgement.sentence)}: what has no texels gets one colour.{advice}",)
    elif judgement.sentence:
        warnings = (f"{_capital(judgement.sentence)}: places that share texels will look the same.{advice}",)
    report = UvReport(verdict=judgement.verdict.value, done="kept", given=measure, measure=measure)
    return ChosenUvs(mesh=mesh, report=report, warnings=warnings)


def _renewed(mesh: Mesh, measure: UvMeasure, judgement: UvJudgement, progress: Progress | None) -> ChosenUvs:
    """A new UV map over the whole mesh; the one it had stays beside it."""
    had = mesh.uvs is not None and measure.faces_without < measure.faces
    bare = replace(mesh, uvs=None, corner_uvs=None, uv_name=NEW_UV_NAME)
    result = unwrap(_as_second_set(mesh) if had else bare, progress)
    report = UvReport(verdict=judgement.verdict.value, done="new", given=measure, measure=measure_mesh(result)[0])
    if not had:
        text = "The mesh has no UVs: it was unwrapped, and the result carries the new UVs."
    elif judgement.remedy is UvRemedy.KEEP:
        text = f"A new UV map, {NEW_UV_NAME}, was made as asked; the mesh's own stays beside it."
    else:
        text = (
            f"{_capital(judgement.sentence)}: a new UV map, {NEW_UV_NAME}, is textured instead; "
            "the mesh's own stays beside it (--keep-uvs textures that)."
        )
    return ChosenUvs(mesh=result, report=report, warnings=(text,))


def _filled(
    mesh: Mesh,
    triangles: TriangleMesh,
    found: tuple[UvMeasure, UvFaces],
    judgement: UvJudgement,
    only_missing: bool,
    progress: Progress | None,
) -> ChosenUvs | None:
    """UVs for the faces that have none (and for collapsed ones); None where the layout has no place for them."""
    measure, faces = found
    polygons = _polygons_to_fill(mesh, triangles, faces, only_missing)
    collapsed = not only_missing and bool(faces.collapsed.any())
    start = _as_second_set(mesh) if collapsed else mesh
    filled = fill_uvs(start, polygons, chart_ids(triangles), measure.density_median, progress, parked=measure.parked)
    if filled is None:
        return None
    place = "in the layout's free room" if filled.new_tile is None else f"in a further UDIM tile, {filled.new_tile}"
    if collapsed:
        place += f", as a second UV map, {NEW_UV_NAME}; the mesh's own stays beside it"
    text = f"{_capital(judgement.sentence)}: only those faces got new UVs, {place}."
    report = UvReport(
        verdict=judgement.verdict.value, done="filled", given=measure, measure=measure_mesh(filled.mesh)[0]
    )
    return ChosenUvs(mesh=filled.mesh, report=report, warnings=(text,))


def _polygons_to_fill(
    mesh: Mesh, triangles: TriangleMesh, faces: UvFaces, only_missing: bool
) -> Bool[np.ndarray, " P"]:
    """Polygons with a corner without UV, and those whose every triangle collapsed."""
    count, owner = len(mesh.polygon_sizes), triangles.polygon_index
    missing = np.bincount(owner, faces.without, minlength=count) > 0
    if only_missing:
        return missing
    collapsed = np.bincount(owner, faces.collapsed, minlength=count)
    # Triangles without area in space are neither dense nor collapsed.
    solid = np.bincount(owner, (faces.density > 0.0) & ~faces.collapsed, minlength=count)
    return missing | ((collapsed > 0) & (solid == 0))


def _as_second_set(mesh: Mesh) -> Mesh:
    """The mesh's textured set among the others, and room for a new one behind them all."""
    pool, corners = pool_and_corners(mesh)
    own = UvSet(name=mesh.uv_name, uvs=pool, corner_uvs=corners, index=mesh.uv_index)
    others = tuple(sorted((*mesh.other_uv_sets, own), key=lambda uv_set: uv_set.index))
    return replace(mesh, uv_name=NEW_UV_NAME, uv_index=others[-1].index + 1, other_uv_sets=others)


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
