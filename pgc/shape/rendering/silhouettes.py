# SPDX-License-Identifier: Apache-2.0
"""Analytic antialiasing, from which outlines get their gradient.

Laine et al., "Modular Primitives for High-Performance Differentiable Rendering", SIGGRAPH Asia 2020, section 3.6. Two
pixels side by side that see different triangles have an outline between them where the nearer surface has an edge that
crosses the line between their centres, and whose other triangle, if it has one, lies on the same side in the picture.
The crossing says how far the nearer surface reaches: up to the middle both pixels are as they should be; where it ends
before, its own pixel takes up the difference from the other one's colour, and where it reaches beyond, the other from
its. The amount is a function of the edge's ends, so that colours have gradients by them.

The paper looks at the edges of the triangle that the nearer pixel sees. At the limb of a round shape triangles are
slivers that no pixel's centre need see, and nine in ten outlines of a fine mesh would be missed. So we walk: from the
seen triangle along the line between the centres, over edges that are no outline, to the one that is.

Edges that are nearer to upright are looked for between pixels side by side, flat ones between pixels one above the
other: so each row, or column, counts an edge once, and the sum over the picture moves as the true area does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

__all__ = ["EdgeTable", "Outlines", "antialias", "find_outlines"]

_MOST_STEPS = 24
"""Triangles that a walk crosses within a pixel; beyond, the outline is given up for this step."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EdgeTable:
    """Triangles, and for each edge what is beyond it."""

    faces: Int[Tensor, "f 3"]
    mates: Int[Tensor, "f 3"]
    """`pgc.shape.rendering.moving_mesh.edge_mates` of the faces."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outlines:
    """Pairs of pixels with an outline between them; pixels by their number among all of all views, rows first."""

    near: Int[Tensor, " n"]
    """The pixel that sees the nearer surface."""
    far: Int[Tensor, " n"]
    reach: Float[Tensor, " n"]
    """How far the nearer surface goes from its pixel's centre to the other one's, in [0, 1], on the graph."""


def antialias(image: Float[Tensor, "b c h w"], outlines: Outlines) -> Float[Tensor, "b c h w"]:
    """Blends pixels across outlines; differentiable by the picture and by what the outlines come from."""
    views, channels, height, width = image.shape
    flat = image.movedim(1, -1).reshape(-1, channels)
    near, far, reach = flat[outlines.near], flat[outlines.far], outlines.reach.to(image.dtype)[:, None]
    difference = near - far
    # One of the two is zero.
    mixed = flat.index_add(0, outlines.far, difference * (reach - 0.5).clamp_min(0.0))
    mixed = mixed.index_add(0, outlines.near, -difference * (0.5 - reach).clamp_min(0.0))
    return mixed.reshape(views, height, width, channels).movedim(-1, 1)


def find_outlines(
    points: Float[Tensor, "b v 2"],
    usable: Bool[Tensor, "b v"],
    table: EdgeTable,
    face_index: Int[Tensor, "b h w"],
    depth: Float[Tensor, "b h w"],
) -> Outlines:
    """Finds all outlines of a step's views.

    Args:
        points: picture coordinates of the vertices (`picture_positions`), on the graph.
        usable: whether a vertex is in front of the camera, so that it has any.
        table: the mesh.
        face_index: visible triangle of each pixel, -1 where there is none.
        depth: of what is seen, where something is.
    """
    far_away = torch.where(face_index >= 0, depth.detach(), torch.inf)
    found = [_between(points, usable, table, face_index, far_away, axis=axis) for axis in (0, 1)]
    near, far, reach = (torch.cat(parts) for parts in zip(*found, strict=True))
    return Outlines(near=near, far=far, reach=reach)


def _between(
    points: Tensor, usable: Tensor, table: EdgeTable, face_index: Tensor, depth: Tensor, *, axis: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Outlines between pixels side by side (axis 0) or one above the other (axis 1)."""
    _, height, width = face_index.shape
    if axis == 0:
        one, two, step = face_index[..., :-1], face_index[..., 1:], 1
    else:
        one, two, step = face_index[:, :-1], face_index[:, 1:], width
    view, row, column = torch.nonzero(one != two, as_tuple=True)
    first = (view * height + row) * width + column
    second = first + step
    depths = depth.reshape(-1)
    forward = depths[first] <= depths[second]
    near, far = torch.where(forward, first, second), torch.where(forward, second, first)
    walk = _Walk(
        view=view,
        face=face_index.reshape(-1).long()[near],
        center=torch.stack([near % width + 0.5, near // width % height + 0.5], dim=1).to(points.dtype),
        sign=torch.where(forward, 1.0, -1.0).to(points.dtype),
    )
    pair, start, end = _outline_edges(points.detach(), usable, table, walk, axis)
    ends = [points[view[pair], corner] - walk.center[pair] for corner in (start, end)]
    reach = _crossing(ends[0], ends[1], axis) * walk.sign[pair]
    return near[pair], far[pair], reach


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Walk:
    """Where walks stand: one a pair of pixels, from the nearer one's centre to the other's."""

    view: Tensor
    face: Tensor
    center: Tensor
    sign: Tensor
    """1 where the walk goes to the right, or down."""

    def select(self, rows: Tensor) -> _Walk:
        """Returns some of the walks."""
        return _Walk(view=self.view[rows], face=self.face[rows], center=self.center[rows], sign=self.sign[rows])


@torch.no_grad()
def _outline_edges(
    points: Tensor, usable: Tensor, table: EdgeTable, walk: _Walk, axis: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Number of the pair, start and end vertex of each outline that is met within a pixel."""
    pair = torch.arange(len(walk.view), device=points.device)
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    for _ in range(_MOST_STEPS):
        if not len(pair):
            break
        corners = table.faces[walk.face]
        place = points[walk.view[:, None], corners] - walk.center[:, None]
        start, end = place[:, [1, 2, 0]], place[:, [2, 0, 1]]
        # Half open, so that a line through a vertex crosses one of its two edges.
        crosses = (start[..., 1 - axis] <= 0.0) != (end[..., 1 - axis] <= 0.0)
        reach = torch.where(crosses, _crossing(start, end, axis) * walk.sign[:, None], -torch.inf)
        # A line meets a triangle in two of its edges; the farther one is where it leaves.
        away, leaving = reach.max(dim=1)
        going = (away >= 0.0) & (away <= 1.0) & usable[walk.view[:, None], corners].all(dim=1)
        rows = torch.arange(len(pair), device=points.device)
        mate = table.mates[walk.face, leaving]
        beyond = points[walk.view, table.faces.reshape(-1)[mate.clamp_min(0)]] - walk.center
        edge = start[rows, leaving], end[rows, leaving]
        outline = (mate < 0) | (_side(*edge, place[rows, leaving]) * _side(*edge, beyond) > 0.0)
        ends = [corners[rows, (leaving + turn) % 3] for turn in (1, 2)]
        # Of the points themselves, so that both axes round alike; of an edge at 45 degrees the first axis takes care.
        run = (points[walk.view, ends[1]] - points[walk.view, ends[0]]).abs()
        steep = run[:, 1] >= run[:, 0]
        here = going & outline & (steep if axis == 0 else ~steep)
        found.append((pair[here], ends[0][here], ends[1][here]))
        goes_on = going & ~outline
        walk = replace(walk, face=mate.clamp_min(0) // 3).select(goes_on)
        pair = pair[goes_on]
    if not found:
        return pair, pair, pair
    pairs, starts, ends = (torch.cat(parts) for parts in zip(*found, strict=True))
    return pairs, starts, ends


def _crossing(start: Tensor, end: Tensor, axis: int) -> Tensor:
    """Where the line through two points crosses the axis through the origin."""
    run = end - start
    rise = run[..., 1 - axis]
    rise = torch.where(rise == 0.0, 1.0, rise)
    return start[..., axis] - start[..., 1 - axis] * run[..., axis] / rise


def _side(start: Tensor, end: Tensor, point: Tensor) -> Tensor:
    """Positive on one side of an edge in the picture, negative on the other."""
    run, away = end - start, point - start
    return run[..., 0] * away[..., 1] - run[..., 1] * away[..., 0]
