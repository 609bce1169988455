# SPDX-License-Identifier: Apache-2.0
"""Builds the bundled mesh: the Utah teapot, tessellated from its Bézier patches, with an atlas of UVs.

Martin Newell measured the patches in 1975 at the University of Utah and gave them away ("The Utilization of Procedure
Models in Digital Image Synthesis", PhD thesis). The file `teapot_patches.json` holds the ten from which symmetry
makes all 32: those of the rim, body, lid and bottom four times around the axis, those of handle and spout mirrored.

    python -m pgc.demo.teapot teapot.obj
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
from jaxtyping import Float

from pgc.mesh import Mesh
from pgc.mesh.patches import Patch, mesh_from_patches, weld
from pgc.whole_files import write_text

__all__ = ["CELLS", "obj_text", "part_normals", "teapot_patches"]

CELLS = 11
"""Quads along each side of a Bézier patch: 7,700 triangles in all."""
LID_FIT = 1.4 / 1.3
"""The lid, as measured, is narrower than the opening; stretched by this it closes the pot."""


def bernstein(t: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 4"]:
    """Evaluates the four cubic Bernstein polynomials."""
    s = 1.0 - t
    return np.stack([s**3, 3 * s**2 * t, 3 * s * t**2, t**3], axis=-1)


def tessellate(control: Float[np.ndarray, "4 4 3"], cells: int) -> Float[np.ndarray, "n m 3"]:
    """Returns points of a bicubic patch on a regular grid of (cells + 1)²."""
    weights = bernstein(np.linspace(0.0, 1.0, cells + 1))
    return np.einsum("ai,bj,ijk->abk", weights, weights, control)


def _stack(grids: Sequence[Float[np.ndarray, "n m 3"]], axis: int) -> Float[np.ndarray, "p q 3"]:
    """Neighbouring grids as one; the shared row or column is kept once."""
    parts = [grids[0]]
    for grid in grids[1:]:
        before, after = np.take(parts[-1], -1, axis), np.take(grid, 0, axis)
        assert np.allclose(before, after, atol=1e-9), "patches that do not meet"
        parts.append(np.delete(grid, 0, axis))
    return np.concatenate(parts, axis)


def _turned(points: Float[np.ndarray, "n m 3"]) -> Float[np.ndarray, "n m 3"]:
    """A quarter turn about Z, counter-clockwise seen from above; exact."""
    return np.stack([-points[..., 1], points[..., 0], points[..., 2]], axis=-1)


def _revolved(quarter: Float[np.ndarray, "n m 3"]) -> Float[np.ndarray, "p m 3"]:
    """Four quarters around the axis. In and out: [angle, profile], the angle counter-clockwise."""
    turns = [quarter]
    for _ in range(3):
        turns.append(_turned(turns[-1]))
    return _stack(turns, 0)


def _mirrored(half: Float[np.ndarray, "n m 3"]) -> Float[np.ndarray, "n q 3"]:
    """A tube from its half on one side of the plane y = 0. In and out: [along, around]."""
    return _stack([half, half[:, ::-1] * np.array([1.0, -1.0, 1.0])], 1)


def _lengths(points: Float[np.ndarray, "n m 3"], axis: int) -> Float[np.ndarray, " k"]:
    """Mean arc length along `axis` from its start."""
    steps = np.linalg.norm(np.diff(points, axis=axis), axis=-1).mean(axis=1 - axis)
    return np.concatenate([[0.0], np.cumsum(steps)])


def _strip(points: Float[np.ndarray, "n m 3"]) -> Patch:
    """A rectangular chart whose sides are the mean arc lengths."""
    u, v = _lengths(points, 0), _lengths(points, 1)
    return Patch(points=points, flat=np.stack(np.meshgrid(u, v, indexing="ij"), axis=-1))


def _disc(points: Float[np.ndarray, "n m 3"], *, pole_last: bool) -> Patch:
    """A round chart about the pole; the radius is the arc length from it. Seen from outside, nothing is mirrored."""
    length = _lengths(points, 1)
    radius = length[-1] - length if pole_last else length
    angle = np.linspace(0.0, 2.0 * math.pi, points.shape[0])
    sign = 1.0 if pole_last else -1.0
    flat = np.stack([np.outer(np.cos(angle), radius), sign * np.outer(np.sin(angle), radius)], axis=-1)
    return Patch(points=points, flat=flat)


def _outward(points: Float[np.ndarray, "n m 3"]) -> Float[np.ndarray, "n m 3"]:
    """A tube [along, around] that faces away from its own middle line."""
    facing = np.cross(np.diff(points, axis=0)[:, :-1], np.diff(points, axis=1)[:-1])
    middle = points[:, :-1].mean(axis=1, keepdims=True)
    outside = np.einsum("abk,abk->", facing, (points - middle)[:-1, :-1])
    return points if outside > 0 else points[:, ::-1]


def teapot_patches(cells: int = CELLS) -> list[Patch]:
    """Makes the charts: body in two halves, lid, bottom, handle, spout. Z-up, spout towards +X, front at -Y."""
    data = json.loads(files("pgc.demo").joinpath("teapot_patches.json").read_text(encoding="utf-8"))
    part = {name: tessellate(np.array(control), cells) for name, control in data.items()}
    # The quarters run clockwise from +X and, but for the bottom, downwards; turned into [angle, upwards].
    quarter = {name: np.swapaxes(grid[::-1, ::-1], 0, 1) for name, grid in part.items()}
    body = _revolved(_stack([quarter["body_lower"], quarter["body_upper"], quarter["rim"]], 1))
    lid = _revolved(_stack([quarter["lid"], quarter["knob"]], 1))
    radial = np.where(np.arange(lid.shape[1]) <= cells, LID_FIT, 1.0)
    radial[: cells + 1] = np.linspace(LID_FIT, 1.0, cells + 1)
    lid = lid * np.stack([radial, radial, np.ones_like(radial)], axis=-1)
    bottom = _revolved(np.swapaxes(part["bottom"], 0, 1))
    handle = _outward(_mirrored(_stack([part["handle_upper"], part["handle_lower"]], 0)))
    spout = _outward(_mirrored(_stack([part["spout_lower"], part["spout_upper"]], 0)))
    # `body` starts a quarter before +X, at -Y; the cuts go where handle and spout hide them.
    body = np.concatenate([body[cells:-1], body[: cells + 1]])
    half = 2 * cells
    return [
        _strip(body[: half + 1]),
        _strip(body[half:]),
        _disc(lid, pole_last=True),
        _disc(bottom, pole_last=False),
        _strip(handle),
        _strip(spout),
    ]


def _smooth_normals(points: Float[np.ndarray, "v 3"], cells: np.ndarray) -> Float[np.ndarray, "v 3"]:
    """Unit normals, area-weighted over the quads at each place of one part."""
    diagonals = points[cells[:, 2]] - points[cells[:, 0]], points[cells[:, 3]] - points[cells[:, 1]]
    facing = np.cross(*diagonals)
    places, index = weld(points)
    sums = np.zeros_like(places)
    for corner in range(4):
        np.add.at(sums, index[cells[:, corner]], facing)
    return (sums / np.linalg.norm(sums, axis=-1, keepdims=True))[index]


def _grid_cells(rows: int, columns: int) -> np.ndarray:
    base = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).reshape(-1)
    return np.stack([base, base + columns, base + columns + 1, base + 1], axis=-1)


def part_normals(patches: Sequence[Patch]) -> Float[np.ndarray, "v 3"]:
    """Computes the normals of every grid point. The two halves of the body are one part; edges between parts stay
    sharp."""
    groups = [patches[:2], *([patch] for patch in patches[2:])]
    normals = []
    for group in groups:
        cells, start = [], 0
        for patch in group:
            rows, columns = patch.points.shape[:2]
            cells.append(_grid_cells(rows, columns) + start)
            start += rows * columns
        points = np.concatenate([patch.points.reshape(-1, 3) for patch in group])
        normals.append(_smooth_normals(points, np.concatenate(cells)))
    return np.concatenate(normals)


class _Pool:
    """Lines of one kind in an OBJ file, each once."""

    def __init__(self, keyword: str) -> None:
        self.keyword = keyword
        self.lines: dict[str, int] = {}

    def add(self, values: Sequence[float | np.floating]) -> int:
        """Adds a row of numbers, unless an equal one is there; returns its number, counted from 1."""
        text = " ".join(f"{value:.5f}".replace("-0.00000", "0.00000") for value in values)
        return self.lines.setdefault(f"{self.keyword} {text}", len(self.lines) + 1)


def obj_text(mesh: Mesh, normals: Float[np.ndarray, "t 3"]) -> str:
    """Writes Wavefront OBJ, Y-up. `normals` has one row for each of the mesh's UVs."""
    assert mesh.uvs is not None
    assert mesh.corner_uvs is not None
    places, uvs, facings = _Pool("v"), _Pool("vt"), _Pool("vn")
    faces, start = [], 0
    for size in mesh.polygon_sizes:
        words = []
        for corner in range(start, start + int(size)):
            x, y, z = mesh.positions[mesh.corner_positions[corner]]
            point = int(mesh.corner_uvs[corner])
            nx, ny, nz = normals[point]
            numbers = places.add((x, z, -y)), uvs.add(tuple(mesh.uvs[point])), facings.add((nx, nz, -ny))
            words.append("/".join(map(str, numbers)))
        faces.append("f " + " ".join(words))
        start += int(size)
    head = ["# The Utah teapot (Martin Newell, 1975), tessellated by pgc/demo/teapot.py", "o teapot"]
    return "\n".join([*head, *places.lines, *uvs.lines, *facings.lines, *faces, ""])


def main() -> None:
    """Writes the OBJ file that is named on the command line."""
    patches = teapot_patches()
    text = obj_text(mesh_from_patches("teapot", patches), part_normals(patches))
    write_text(Path(sys.argv[1]), text)


if __name__ == "__main__":
    main()
