# SPDX-License-Identifier: Apache-2.0
"""Meshes of known shape: four to be textured in the prompt evaluation, and many others for the judge's training.

None of the four is a primitive or a union of primitives, which is what the pocket prior was trained on; and none
of them, nor anything of their families, is among the judge's training meshes.
"""

from __future__ import annotations

import importlib.resources
import itertools
from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from pgc.mesh import Mesh, load_mesh
from pgc.mesh.patches import Patch, mesh_from_patches

__all__ = ["EVALUATION_MESHES", "EvaluationMeshName", "evaluation_mesh", "judge_meshes"]

EvaluationMeshName = Literal["teapot", "trefoil", "star", "blossom"]
EVALUATION_MESHES: tuple[EvaluationMeshName, ...] = get_args(EvaluationMeshName)

Curve = Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, "n 3"]]


def evaluation_mesh(name: EvaluationMeshName) -> Mesh:
    """Returns one of the four meshes of `pgc eval prompts`: the bundled teapot, or one built here. Always the same."""
    match name:
        case "teapot":
            with importlib.resources.as_file(importlib.resources.files("pgc.demo") / "teapot.obj") as path:
                return load_mesh(path)
        case "trefoil":
            return _tube("trefoil", _trefoil, radius=0.2, sides=20, steps=168, charts=6)
        case "star":
            return _star()
        case "blossom":
            return _radial("blossom", _blossom_radius, cells=28)


def judge_meshes(count: int, seed: int) -> list[Mesh]:
    """Makes meshes for the judge's training: lumps, lathes, closed tubes and twisted prisms, drawn from `seed`."""
    makers = (_random_lump, _random_lathe, _random_tube, _random_prism)
    return [makers[index % len(makers)](index, np.random.default_rng([seed, index])) for index in range(count)]


def _trefoil(t: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
    """The trefoil knot, upright and facing the front (-Y)."""
    x, z = np.sin(t) + 2.0 * np.sin(2.0 * t), np.cos(t) - 2.0 * np.cos(2.0 * t)
    return np.stack([x, 1.3 * np.sin(3.0 * t), z], axis=-1) * 0.26


def _frames(
    points: Float[np.ndarray, "n 3"], tangents: Float[np.ndarray, "n 3"]
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3"]]:
    """Two unit vectors across a closed curve, carried along it without twist except what closes it evenly."""
    first = np.zeros_like(points)
    start = np.cross(tangents[0], np.eye(3)[np.abs(tangents[0]).argmin()])
    first[0] = start / np.linalg.norm(start)
    for at in range(1, len(points)):
        moved = first[at - 1] - tangents[at] * (first[at - 1] @ tangents[at])
        first[at] = moved / np.linalg.norm(moved)
    second = np.cross(tangents, first)
    # The last point is the first again: what is missing to close the frame is spread over the whole length.
    missing = np.arctan2(first[-1] @ second[0], first[-1] @ first[0])
    turn = -missing * np.linspace(0.0, 1.0, len(points))[:, None]
    return first * np.cos(turn) + second * np.sin(turn), second * np.cos(turn) - first * np.sin(turn)


def _tube(name: str, curve: Curve, *, radius: float, sides: int, steps: int, charts: int) -> Mesh:
    """A round tube along a closed curve of period 2 pi, cut into `charts` pieces."""
    t = np.linspace(0.0, 2.0 * np.pi, steps + 1)
    points = curve(t)
    tangents = curve(t + 1e-4) - curve(t - 1e-4)
    tangents /= np.linalg.norm(tangents, axis=-1, keepdims=True)
    first, second = _frames(points, tangents)
    angle = np.linspace(0.0, 2.0 * np.pi, sides + 1)
    ring = first[:, None] * np.cos(angle)[:, None] + second[:, None] * np.sin(angle)[:, None]
    surface = points[:, None] + radius * ring
    surface[-1], surface[:, -1] = surface[0], surface[:, 0]
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=-1))])
    flat = np.stack(np.broadcast_arrays(length[:, None], radius * angle[None, :]), axis=-1)
    cuts = np.linspace(0, steps, charts + 1).round().astype(int)
    pieces = [slice(low, high + 1) for low, high in itertools.pairwise(cuts)]
    # (d/d t) x (d/d angle) points inwards, so the grid is handed over with the angle running backwards.
    return mesh_from_patches(
        name, [Patch(points=surface[piece][:, ::-1], flat=flat[piece][:, ::-1] * [1, -1]) for piece in pieces]
    )


def _star_outline(points: int, inner: float, per_edge: int) -> Float[np.ndarray, "n 2"]:
    """A closed star, counter-clockwise, first point repeated at the end."""
    angle = np.pi * np.arange(2 * points + 1) / points
    tips = np.stack([np.cos(angle), np.sin(angle)], -1) * np.where(np.arange(2 * points + 1) % 2, inner, 1.0)[:, None]
    share = np.arange(per_edge)[:, None] / per_edge
    edges = [a + (b - a) * share for a, b in itertools.pairwise(tips)]
    return np.concatenate([*edges, tips[:1]])


def _prism(name: str, outline: Float[np.ndarray, "n 2"], height: float, twist: float, taper: float) -> Mesh:
    """An extrusion of a closed outline along Z with flat caps; `taper` is the size at the top."""
    levels = np.linspace(0.0, 1.0, 17)
    turned = twist * levels
    rotation = np.stack([np.cos(turned), -np.sin(turned), np.sin(turned), np.cos(turned)], -1).reshape(-1, 2, 2)
    rings = (1.0 + (taper - 1.0) * levels)[:, None, None] * (outline @ rotation.swapaxes(-1, -2))
    z = np.broadcast_to(height * (levels - 0.5)[:, None, None], (*rings.shape[:2], 1))
    wall = np.concatenate([rings, z], axis=-1).swapaxes(0, 1)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(outline, axis=0), axis=-1))])
    flat = np.stack(np.broadcast_arrays(along[:, None], height * levels[None, :]), axis=-1)
    half = len(outline) // 2
    patches = [
        Patch(points=wall[: half + 1], flat=flat[: half + 1]),
        Patch(points=wall[half:], flat=flat[half:]),
        _cap(rings[-1], height / 2, upward=True),
        _cap(rings[0], -height / 2, upward=False),
    ]
    return mesh_from_patches(name, patches)


def _cap(ring: Float[np.ndarray, "n 2"], z: float, *, upward: bool) -> Patch:
    """Spokes from the middle to the rim; the middle point repeats, so its cells become triangles."""
    share = np.linspace(0.0, 1.0, 6)
    plane = share[:, None, None] * ring[None]
    points = np.concatenate([plane, np.full((*plane.shape[:2], 1), z)], axis=-1)
    mirrored = plane * [1.0 if upward else -1.0, 1.0]
    return Patch(points=points, flat=mirrored) if upward else Patch(points=points[:, ::-1], flat=mirrored[:, ::-1])


def _star() -> Mesh:
    """A five-pointed star, thick, upright like a badge on a shelf, with a slight twist and taper."""
    outline = 0.8 * _star_outline(5, 0.52, 8)
    mesh = _prism("star", outline @ np.array([[0.0, 1.0], [-1.0, 0.0]]), 0.62, 0.35, 0.8)
    # Lay the axis along -Y, so that the star looks at the front.
    turned = np.stack([mesh.positions[:, 0], -mesh.positions[:, 2], mesh.positions[:, 1]], -1)
    return _with_positions(mesh, turned)


def _with_positions(mesh: Mesh, positions: Float[np.ndarray, "v 3"]) -> Mesh:
    from dataclasses import replace

    return replace(mesh, positions=np.ascontiguousarray(positions, np.float64))


def _blossom_radius(d: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
    """Petals around, buds above and below: no sphere, and no union of anything."""
    azimuth = np.arctan2(d[:, 1], d[:, 0])
    around = 1.0 - d[:, 2] ** 2
    return 0.56 + 0.17 * around * np.cos(5.0 * azimuth) + 0.13 * np.cos(5.0 * np.arccos(np.clip(d[:, 2], -1, 1)))


_CUBE_SIDES = (((0, 1, 0), (0, 0, 1)), ((0, 0, 1), (1, 0, 0)), ((1, 0, 0), (0, 1, 0)))


def _radial(name: str, radius: Callable[[Float[np.ndarray, "n 3"]], Float[np.ndarray, " n"]], cells: int) -> Mesh:
    """A star-shaped body over the six sides of a cube, one chart a side."""
    # Equal angles rather than equal lengths on the cube's side keep the cells of about one size.
    ticks = np.tan(np.linspace(-np.pi / 4, np.pi / 4, cells + 1))
    a, b = np.meshgrid(ticks, ticks, indexing="ij")
    patches = []
    for first, second in _CUBE_SIDES:
        u, v = np.array(first, np.float64), np.array(second, np.float64)
        for side in (1.0, -1.0):
            out = side * np.cross(u, v)
            cube = out + side * a[..., None] * u + b[..., None] * v
            direction = (cube / np.linalg.norm(cube, axis=-1, keepdims=True)).reshape(-1, 3)
            surface = (direction * radius(direction)[:, None]).reshape(cells + 1, cells + 1, 3)
            width = np.linalg.norm(np.diff(surface, axis=0), axis=-1).sum(axis=0).mean()
            grid = np.stack(np.meshgrid(*[np.linspace(0.0, width, cells + 1)] * 2, indexing="ij"), axis=-1)
            patches.append(Patch(points=surface, flat=grid))
    return mesh_from_patches(name, patches)


def _random_lump(index: int, rng: np.random.Generator) -> Mesh:
    """A rounded box or ball with a few broad waves."""
    waves, shift = rng.normal(0.0, 2.0, (4, 3)), rng.uniform(0, 2 * np.pi, 4)
    strength, power = float(rng.uniform(0.0, 0.09)), float(rng.choice([2.0, 4.0, 8.0]))
    stretch = rng.uniform(0.7, 1.0, 3)

    def radius(d: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Returns the distance of the surface from the middle, in unit directions."""
        size = 0.72 * (np.abs(d / stretch) ** power).sum(axis=-1) ** (-1.0 / power)
        return size * (1.0 + strength * np.sin(d @ waves.T * 1.6 + shift).sum(axis=-1))

    return _radial(f"lump{index}", radius, 24)


def _random_lathe(index: int, rng: np.random.Generator) -> Mesh:
    """A turned body; its outline is round or softly cornered, so that walls and edges both occur."""
    corners, depth = int(rng.integers(3, 7)), float(rng.choice([0.0, 0.12]))
    knots = rng.uniform(0.3, 0.8, 5)
    height = float(rng.uniform(0.8, 1.5))

    def radius(d: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Returns the distance of the surface from the middle, in unit directions."""
        # A body of revolution about Z, reached along the direction d: r(z) by a fixed point of a few rounds.
        length = np.full(len(d), 0.6)
        across = np.maximum(np.hypot(d[:, 0], d[:, 1]), 1e-3)
        for _ in range(12):
            z = np.clip(length * d[:, 2] / height + 0.5, 0.0, 1.0)
            profile = np.interp(z, np.linspace(0, 1, 5), knots)
            profile = profile * (1.0 + depth * np.cos(corners * np.arctan2(d[:, 1], d[:, 0])))
            cap = 0.5 * height / np.maximum(np.abs(d[:, 2]), 1e-3)
            length = 0.5 * length + 0.5 * np.minimum(profile / across, cap)
        return length

    return _radial(f"lathe{index}", radius, 32)


def _random_tube(index: int, rng: np.random.Generator) -> Mesh:
    """A closed tube along a wavy ring (never knotted)."""
    lobes, wave = int(rng.integers(2, 5)), float(rng.uniform(0.05, 0.25))
    rise, tilt = float(rng.uniform(0.0, 0.3)), rng.permutation(3)

    def curve(t: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
        """Returns the points of the tube's axis."""
        size = 0.52 + wave * np.cos(lobes * t) * 0.6
        ring = np.stack([size * np.cos(t), size * np.sin(t), rise * np.sin(lobes * t)], axis=-1)
        return ring[:, tilt]

    return _tube(f"tube{index}", curve, radius=float(rng.uniform(0.15, 0.28)), sides=20, steps=96, charts=4)


def _random_prism(index: int, rng: np.random.Generator) -> Mesh:
    """An extruded regular polygon of three to six corners, twisted and tapered."""
    corners = int(rng.integers(3, 7))
    angle = 2.0 * np.pi * np.arange(corners + 1) / corners + np.pi / 4
    tips = float(rng.uniform(0.5, 0.8)) * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    share = np.arange(8)[:, None] / 8
    edges = [a + (b - a) * share for a, b in itertools.pairwise(tips)]
    outline = np.concatenate([*edges, tips[:1]])
    twist, taper = float(rng.choice([0.0, rng.uniform(-0.6, 0.6)])), float(rng.uniform(0.45, 1.0))
    return _prism(f"prism{index}", outline, float(rng.uniform(0.7, 1.4)), twist, taper)
