# SPDX-License-Identifier: Apache-2.0
"""What the UVs of a mesh can carry, as numbers of the mesh and of each face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .charts import welded
from .layout import Layout
from .raster import corner_bounds
from .sampling import Sampled, Shape, sample
from .sharing import Sharing, all_parked, find_sharing

__all__ = ["UvFaces", "UvMeasure", "measure_uvs"]

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.signedinteger[Any]]

_FINE_GRID, _QUICK_GRID = 1024, 512
_CLEAR_SHARE = 0.001
"""Of the surface: a fifth of the least that any verdict asks for."""
_CLEAR_USED = 0.02
"""Of the texture: 5,000 samples of the quick grid."""
_MAX_EXTENT = 2.0
"""A triangle that spans more of the texture than this repeats it upon itself; it needs no counting."""
_COLLAPSED = 0.02
"""Of the median density: with fewer texels a unit, a face is a streak of one colour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UvMeasure:
    """The UVs of a mesh in numbers. Shares are parts of the surface's area in [0, 1]; those of faces without UVs, of
    collapsed, tiled, crossed and stacked ones do not overlap."""

    faces: int
    faces_without: int
    """Triangles with a corner that has no UV."""
    area_without: float = 0.0
    area_collapsed: float = 0.0
    """UVs without area, or with under a fiftieth of the median density."""
    area_tiled: float = 0.0
    """Its texels repeat: on one surface, or since its UVs lie beyond the unit square."""
    area_crossed: float = 0.0
    """Its texels serve places of different shape or material within one square: charts lie upon each other by accident,
    or each has a picture of its own."""
    area_stacked: float = 0.0
    """Its texels serve congruent places of one material only: mirrored or stacked on purpose."""
    density_median: float = 0.0
    """Side of a unit square of the surface in UV units; times the texture's side, texels a unit of length."""
    density_least: float = 0.0
    """Of all but the poorest hundredth of the surface; faces without UVs and collapsed ones are left out."""
    uses_mean: float = 0.0
    """Places that a texel in use serves."""
    uses_most: int = 0
    used: float = 0.0
    """Part of the texture that is in use; of all its tiles together."""
    shared: float = 0.0
    """Part of the used texels that serve more than one place, whatever it is."""
    charts: int = 0
    tiles: int = 1
    """UDIM tiles in use."""
    parked: bool = False
    """All that lies in other unit squares are copies of what lies in the first, put there to be out of the way: they
    take their texels from the first, and the layout is no UDIM one."""
    grid: int = 0
    """Samples along the side of a tile, for the shares' precision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UvFaces:
    """What was measured, by triangle [F]."""

    without: Bools
    collapsed: Bools
    tiled: Bools
    """Most of its texels repeat."""
    crossed: Bools
    stacked: Bools
    density: Floats
    """UV units a unit of length; 0 without UVs or area."""


def measure_uvs(
    positions: Floats,
    faces: Ints,
    corner_uvs: Floats,
    without: Bools | None = None,
    *,
    material: Ints | None = None,
    grid: int | None = None,
) -> tuple[UvMeasure, UvFaces]:
    """Measures a triangulated mesh, in about two seconds a million triangles.

    Most UVs have nothing the matter with them, and a quarter of the samples shows that.

    Args:
        positions: [V, 3], in any unit; equal positions count as one vertex.
        faces: [F, 3], indices into `positions`.
        corner_uvs: [F, 3, 2], origin bottom-left. UVs outside the unit square repeat the texture, unless every chart
            lies inside one square of a UDIM layout.
        without: [F], triangles that have no UVs; None: all have.
        material: [F], a number for each material; None: all have one.
        grid: samples along the side of the texture; fewer are taken where there would be too many. None: 512, and
            1024 where at 512 anything is the matter.
    """
    without = np.zeros(len(faces), dtype=bool) if without is None else without
    material = np.zeros(len(faces), dtype=np.int64) if material is None else material
    given = _Given(positions, faces, corner_uvs, without, material)
    if grid is not None:
        return _measured(given, grid)
    quick = _measured(given, _QUICK_GRID)
    return quick if _is_clear(quick[0]) else _measured(given, _FINE_GRID)


@dataclass(frozen=True, slots=True)
class _Given:
    """The arrays of `measure_uvs`, with nothing left out."""

    positions: Floats
    faces: Ints
    corner_uvs: Floats
    without: Bools
    material: Ints


def _is_clear(measure: UvMeasure) -> bool:
    """Whether nothing is the matter with the UVs, by so much that more samples would not find it."""
    shared = measure.area_tiled + measure.area_crossed + measure.area_stacked
    lacking = measure.area_without + measure.area_collapsed
    return measure.used >= _CLEAR_USED and shared < _CLEAR_SHARE and lacking == 0.0 and measure.faces_without == 0


def _measured(given: _Given, grid: int) -> tuple[UvMeasure, UvFaces]:
    positions, faces, corner_uvs, without = given.positions, given.faces, given.corner_uvs, given.without
    count = len(faces)
    extent = float(np.ptp(positions, axis=0).max()) if len(positions) else 0.0
    scale = extent if extent > 0.0 else 1.0
    places = (positions.astype(np.float64) - positions.min(axis=0)) / scale if len(positions) else positions
    faces = welded(places, faces)
    shape = Shape(places[faces], np.where(without[:, None, None], 0.0, corner_uvs.astype(np.float64)), given.material)
    corners, uvs = shape.corners, shape.uvs
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    signed = _signed_areas(uvs)
    density, median, least, collapsed = _densities(area, np.abs(signed), without)
    total = max(float(area.sum()), 1e-300)
    layout = Layout.of(faces, corner_uvs, signed < 0.0, len(positions), ~(without | collapsed))
    low, high = corner_bounds(uvs)
    wide = layout.usable & (np.maximum(high[:, 0] - low[:, 0], high[:, 1] - low[:, 1]) > _MAX_EXTENT)
    layout, sampled, sharing = _settled(shape, layout, np.flatnonzero(layout.usable & ~wide), grid)
    tiled, crossed, stacked = (
        np.bincount(sampled.face[chosen], minlength=count) / np.maximum(sampled.hits(count), 1)
        for chosen in (sharing.tiled, sharing.crossed, sharing.stacked)
    )
    tiled[wide] = 1.0
    measure = UvMeasure(
        faces=count,
        faces_without=int(without.sum()),
        area_without=float(area[without].sum()) / total,
        area_collapsed=float(area[collapsed].sum()) / total,
        **_shares(sampled, sharing, area, np.abs(signed), layout.usable, wide),
        density_median=median / scale,
        density_least=least / scale,
        **_uses(sampled, sharing, float(np.abs(signed[wide]).sum()), layout.tile_count),
        charts=layout.chart_count,
        tiles=layout.tile_count,
        parked=layout.parked,
        grid=sampled.grid,
    )
    return measure, UvFaces(
        without=without,
        collapsed=collapsed,
        tiled=tiled > 0.5,
        crossed=crossed > 0.5,
        stacked=stacked > 0.5,
        density=density / scale,
    )


def _signed_areas(uvs: Floats) -> Floats:
    a, b = uvs[:, 1] - uvs[:, 0], uvs[:, 2] - uvs[:, 0]
    return 0.5 * (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])


def _densities(area: Floats, uv_area: Floats, without: Bools) -> tuple[Floats, float, float, Bools]:
    """Density of each face, the median and the least over the surface, and which faces are collapsed."""
    solid = area > 1e-14
    density = np.where(solid & ~without, np.sqrt(uv_area / np.where(solid, area, 1.0)), 0.0)
    spread = solid & (density > 0.0)
    if not spread.any():
        return density, 0.0, 0.0, solid & ~without
    median = _quantile(density[spread], area[spread], 0.5)
    collapsed = solid & ~without & (density < _COLLAPSED * median)
    kept = spread & ~collapsed
    return density, median, _quantile(density[kept], area[kept], 0.01), collapsed


def _quantile(values: Floats, weights: Floats, share: float) -> float:
    order = np.argsort(values)
    sums = np.cumsum(weights[order])
    return float(values[order[min(int(np.searchsorted(sums, share * sums[-1])), len(order) - 1)]])


def _settled(shape: Shape, layout: Layout, chosen: Ints, grid: int) -> tuple[Layout, Sampled, Sharing]:
    """The layout, or, where its other tiles are none, the one that it is; what was sampled of it, and how it shares."""
    if layout.tile_count > 1:
        folded = layout.folded()
        sampled = sample(shape, folded, chosen, grid)
        sharing = find_sharing(sampled.samples, folded.cuts, folded.chart_count)
        flipped = _signed_areas(shape.uvs[sampled.face]) < 0.0
        if all_parked(sampled.samples, sharing, layout.tile[sampled.face], flipped):
            return folded, sampled, sharing
    sampled = sample(shape, layout, chosen, grid)
    return layout, sampled, find_sharing(sampled.samples, layout.cuts, layout.chart_count)


def _shares(
    sampled: Sampled, sharing: Sharing, area: Floats, uv_area: Floats, usable: Bools, wide: Bools
) -> dict[str, float]:
    """Shares of the surface. A sample stands for as much surface as a texel covers there; all together stand for all
    faces that were sampled, those among them too that were too small to be met."""
    weight = area[sampled.face] / np.maximum(uv_area[sampled.face], 1e-300) / sampled.grid**2
    reached, whole = float(weight.sum()), max(float(area.sum()), 1e-300)
    factor = float(area[usable & ~wide].sum()) / whole / reached if reached > 0.0 else 0.0
    return {
        "area_tiled": float(weight[sharing.tiled].sum()) * factor + float(area[wide & usable].sum()) / whole,
        "area_crossed": float(weight[sharing.crossed].sum()) * factor,
        "area_stacked": float(weight[sharing.stacked].sum()) * factor,
    }


def _uses(sampled: Sampled, sharing: Sharing, repeated: float, tiles: int) -> dict[str, Any]:
    """How often texels are used; `repeated` is the UV area of triangles that repeat the texture upon themselves."""
    cells = sampled.grid**2
    texels = cells if repeated > 0.0 else len(sharing.uses)
    most = int(sharing.uses.max(initial=0)) + int(np.ceil(repeated))
    shared = 1.0 if repeated > 1.0 else float((sharing.uses > 1).sum()) / max(texels, 1)
    return {
        "uses_mean": (len(sampled.face) + repeated * cells) / max(texels, 1),
        "uses_most": most,
        "used": min(texels / (cells * max(tiles, 1)), 1.0),
        "shared": shared,
    }
