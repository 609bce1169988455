# SPDX-License-Identifier: Apache-2.0
"""A grid of tetrahedra, and the surface where a value on its vertices crosses zero.

Cubes are cut into six tetrahedra each around a diagonal (Freudenthal, 1942; Kuhn, 1960), which fits across cubes
without mirroring any. Surfaces are those of marching tetrahedra (Doi and Koide, 1991). The table of its cases is not
written down but found: in a reference tetrahedron each case's polygon is put in order and turned outward.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pgc.errors import MeshError

__all__ = ["EDGES", "TetrahedralGrid", "case_triangles", "kuhn_grid", "marching_tetrahedra"]

EDGES = tuple(itertools.combinations(range(4), 2))
"""The corners at the ends of a tetrahedron's six edges."""
_REFERENCE = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TetrahedralGrid:
    """Vertices, tetrahedra and their edges; all tensors share a device."""

    positions: Float[Tensor, "n 3"]
    tetrahedra: Int[Tensor, "t 4"]
    """Corners; (b - a) × (c - a) · (d - a) > 0."""
    edges: Int[Tensor, "e 2"]
    """All edges, once each."""
    own_edges: Int[Tensor, "t 6"]
    """Each tetrahedron's edges, in the order of `EDGES`."""
    cell: float
    """Side of a cube."""
    at_border: Tensor
    """Which vertices lie on the outside of the grid."""

    def to(self, device: torch.device | str) -> TetrahedralGrid:
        """Returns the same grid on a device."""
        return TetrahedralGrid(
            positions=self.positions.to(device),
            tetrahedra=self.tetrahedra.to(device),
            edges=self.edges.to(device),
            own_edges=self.own_edges.to(device),
            cell=self.cell,
            at_border=self.at_border.to(device),
        )


def kuhn_grid(cubes: int, half_extent: float) -> TetrahedralGrid:
    """Builds a grid of `cubes`³ cubes that fills [-half_extent, half_extent]³; edges are in the order of their ends."""
    line = torch.arange(cubes + 1)
    places = torch.cartesian_prod(line, line, line)
    strides = torch.tensor([(cubes + 1) ** 2, cubes + 1, 1])
    first = torch.cartesian_prod(line[:-1], line[:-1], line[:-1]) @ strides
    corners = torch.stack([_path(order) for order in itertools.permutations(range(3))])
    tetrahedra = (first[:, None, None] + (corners @ strides)[None]).reshape(-1, 4)
    # From each vertex seven edges go to later ones, as far as there is a grid: they are counted and not looked up,
    # since to sort the 36 edges of each cube takes longer than all the rest.
    steps = torch.cartesian_prod(*[torch.arange(2)] * 3)[1:]
    there = (places[:, None] + steps <= cubes).all(dim=2)
    number = there.reshape(-1).cumsum(0) - 1
    start, step = there.nonzero().unbind(dim=1)
    ends = corners[:, torch.tensor(EDGES)]
    nearer = ends.amin(dim=2)
    # A step of (1, 0, 1) is binary 5, and so the fifth.
    which = (ends.amax(dim=2) - nearer) @ torch.tensor([4, 2, 1]) - 1
    own = number[(first[:, None, None] + nearer @ strides) * len(steps) + which]
    return TetrahedralGrid(
        positions=(places / cubes * 2.0 - 1.0) * half_extent,
        tetrahedra=tetrahedra,
        edges=torch.stack([start, start + (steps @ strides)[step]], dim=1),
        own_edges=own.reshape(-1, len(EDGES)),
        cell=2.0 * half_extent / cubes,
        at_border=((places == 0) | (places == cubes)).any(dim=1),
    )


def _path(order: tuple[int, ...]) -> Int[Tensor, "4 3"]:
    """A tetrahedron's corners in a cube of side 1: from its first corner to its last one, an axis at a time."""
    corners = torch.cat([torch.zeros(1, 3, dtype=torch.long), torch.eye(3, dtype=torch.long)[list(order)].cumsum(0)])
    # Odd permutations run the other way round.
    return corners if _is_even(order) else corners[[0, 2, 1, 3]]


def _is_even(order: tuple[int, ...]) -> bool:
    return sum(a > b for a, b in itertools.combinations(order, 2)) % 2 == 0


def case_triangles(inside: tuple[bool, bool, bool, bool]) -> list[tuple[int, int, int]]:
    """Returns the triangles of a case, each of three numbers of `EDGES`, counter-clockwise seen from outside."""
    within = [corner for corner in range(4) if inside[corner]]
    without = [corner for corner in range(4) if not inside[corner]]
    if not within or not without:
        return []
    if len(within) == 2:
        (a, b), (c, d) = within, without
        ring = [(a, c), (a, d), (b, d), (b, c)]
    else:
        ring = [(one, other) for one in within for other in without]
    numbers = [EDGES.index((min(ends), max(ends))) for ends in ring]
    middles = torch.stack([_REFERENCE[list(ends)].mean(dim=0) for ends in ring])
    outward = _REFERENCE[without].mean(dim=0) - _REFERENCE[within].mean(dim=0)
    normal = torch.linalg.cross(middles[1] - middles[0], middles[2] - middles[0])
    if float(normal @ outward) < 0.0:
        numbers.reverse()
    return [(numbers[0], numbers[at], numbers[at + 1]) for at in range(1, len(numbers) - 1)]


_CASES = [case_triangles((bool(code & 1), bool(code & 2), bool(code & 4), bool(code & 8))) for code in range(16)]


def marching_tetrahedra(
    grid: TetrahedralGrid, places: Float[Tensor, "n 3"], values: Float[Tensor, " n"], carried: Float[Tensor, "n c"]
) -> tuple[Float[Tensor, "v 3"], Int[Tensor, "f 3"], Float[Tensor, "v c"]]:
    """Returns the surface where values change their sign; negative is inside.

    Args:
        grid: how vertices hang together.
        places: where they are, which may differ from the grid's own positions.
        values: signed, on the graph.
        carried: what else a vertex has, such as colours.

    Returns:
        vertices, triangles, and what vertices carry, interpolated.

    Raises:
        MeshError: no value changes its sign.
    """
    inside = values.detach() < 0.0
    crossed = inside[grid.edges[:, 0]] != inside[grid.edges[:, 1]]
    if not bool(crossed.any()):
        raise MeshError(
            "The shape has vanished: no part of the grid is inside it any more. Use a lower learning rate, more views "
            "a step, or a stronger regulariser."
        )
    first, second = grid.edges[crossed].unbind(dim=1)
    share = values[first] / (values[first] - values[second])
    vertices = torch.lerp(places[first], places[second], share[:, None])
    number = crossed.long().cumsum(0) - 1
    code = (inside[grid.tetrahedra].long() << torch.arange(4, device=values.device)).sum(dim=1)
    faces = []
    for which, triangles in enumerate(_CASES):
        if triangles:
            own = number[grid.own_edges[code == which]]
            faces.append(own[:, torch.tensor(triangles, device=own.device)].reshape(-1, 3))
    return vertices, torch.cat(faces), torch.lerp(carried[first], carried[second], share[:, None])
