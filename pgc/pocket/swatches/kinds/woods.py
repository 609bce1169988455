# SPDX-License-Identifier: Apache-2.0
"""Woods: solid timber with rings and fibres through the whole body, boards cut from it, plywood and bark."""

import numpy as np

from pgc.pocket.data.palette import Rgb
from pgc.pocket.swatches.fields import Floats, cells, fractal, hashed, noise, ramp, ridges, warped
from pgc.pocket.swatches.recipe import Look, Recipe, Surface, Values, mixed, tinted, values

__all__ = ["WOODS"]


def _trunk(look: Look) -> Floats:
    """Rotation [3, 3] of object axes so that the grain runs along z: upright, or lying along x or y."""
    order = ((0, 1, 2), (1, 2, 0), (2, 0, 1))[int(look.variant * 4.0) % 3]
    lean = 0.10 * (hashed(look.seed, 4)[:3] - 0.5)
    turned = np.eye(3, dtype=np.float32)[list(order)]
    return (turned + np.outer(turned[2], lean) - np.outer(lean, turned[2])).astype(np.float32)


def _rings(p: Floats, seed: int, wobble: float) -> tuple[Floats, Floats]:
    """(phase within a ring [0, 1), which ring) at points whose z runs along the grain; the heart lies off to a side."""
    slow = p * np.array([1.0, 1.0, 0.22], np.float32)
    radius = np.hypot(p[:, 0] + 2.6, p[:, 1] + 0.9) * 3.0
    radius = radius + wobble * fractal(slow * 0.8, seed, 2) + 0.12 * noise(slow * 4.0, seed + 3)
    ring = np.floor(radius)
    return (radius - ring).astype(np.float32), ring.astype(np.float32)


def _fibres(p: Floats, seed: int, fine: float) -> Floats:
    """Streaks along z, deviation 1."""
    return fractal(p * np.array([fine, fine, 0.9], np.float32), seed, 2, 0.8)


def _timber(p: Floats, look: Look, pores: float, contrast: float, wobble: float) -> Values:
    """Early wood fades into late wood and breaks off at the next ring; pores are short dark streaks."""
    phase, ring = _rings(p, look.seed, wobble)
    late = ramp(phase, 0.62, 0.7) * (1.0 - ramp(phase, 0.97, 0.06))
    fibre = _fibres(p, look.seed + 5, 11.0)
    pore = ramp(_fibres(p, look.seed + 9, 26.0), 1.7 - 0.4 * pores, 0.7) * pores * (1.0 - 0.7 * late)
    tone = 1.0 + 0.05 * fibre + 0.05 * np.sin(ring * 2.4)
    color = tinted(mixed(look.main, look.second, contrast * late), tone)
    color = mixed(color, tinted(look.second, np.full(len(p), 0.6, np.float32)), 0.5 * pore)
    return values(color, 0.55 - 0.08 * late + 0.15 * pore, 0.002 * fibre - 0.006 * pore + 0.003 * late)


def _oak(s: Surface, look: Look) -> Values:
    return _timber(s.points @ _trunk(look).T, look, 1.0, 0.8, 0.8)


def _walnut(s: Surface, look: Look) -> Values:
    p = s.points @ _trunk(look).T
    plain = _timber(p, look, 0.45, 0.85, 1.0)
    streak = ramp(fractal(p * np.array([1.1, 1.1, 0.16], np.float32), look.seed + 21, 3), 0.5, 1.6)
    color = mixed(plain.base_color, tinted(look.second, np.full(len(p), 0.75, np.float32)), 0.55 * streak)
    return values(color, plain.roughness - 0.1, plain.height)


def _knots(p: Floats, seed: int) -> tuple[Floats, Floats]:
    """(distance to the nearest knot in its own size, how strongly it bends the grain) across flat coordinates."""
    found = cells(p * np.array([0.9, 0.42], np.float32), seed, 0.7)
    size = 0.05 + 0.09 * found.value(seed + 1)
    there = found.value(seed + 2) < 0.45
    distance = np.hypot(found.away[:, 0], found.away[:, 1] * 1.6) / size
    return np.where(there, distance, 99.0).astype(np.float32), np.exp(-0.5 * (distance / 2.2) ** 2) * there


def _pine(s: Surface, look: Look) -> Values:
    """Pale, with orange late wood and dark knots that the grain flows around."""
    p = s.points @ _trunk(look).T
    knot, bend = _knots(np.stack([s.flat[:, 0], s.flat[:, 1]], -1), look.seed + 40)
    moved = p + np.stack([0.35 * bend, 0.35 * bend, 0.0 * bend], -1).astype(np.float32)
    phase, _ = _rings(moved, look.seed, 0.7)
    late = ramp(phase, 0.6, 0.8) * (1.0 - ramp(phase, 0.96, 0.08))
    fibre = _fibres(moved, look.seed + 5, 12.0)
    color = tinted(mixed(look.main, look.second, 0.75 * late), 1.0 + 0.03 * fibre)
    rim = ramp(knot, 1.25, 0.5) * (1.0 - ramp(knot, 1.7, 0.9))
    inside = 1.0 - ramp(knot, 1.05, 0.3)
    heart: Rgb = (look.second[0] * 0.55, look.second[1] * 0.45, look.second[2] * 0.4)
    rings = 0.75 + 0.25 * np.sin(np.minimum(knot, 3.0) * 14.0)
    color = mixed(mixed(color, look.second, 0.6 * rim), tinted(heart, rings), inside)
    return values(color, 0.58 - 0.1 * inside, 0.006 * late - 0.012 * inside)


def _boards(flat: Floats, look: Look) -> tuple[Floats, Floats, Floats, Floats]:
    """(along, across, distance to the edge, board's number) of boards that run along u or v, in staggered joints."""
    upright = look.variant < 0.5
    across, along = (flat[:, 0], flat[:, 1]) if upright else (flat[:, 1], flat[:, 0])
    across = across * 2.2
    row = np.floor(across)
    length = 3.4
    start = along + row * 1.37
    piece = np.floor(start / length)
    inside = across - row
    ends = start - piece * length
    edge = np.minimum(np.minimum(inside, 1.0 - inside) / 2.2, np.minimum(ends, length - ends))
    return along, inside, edge.astype(np.float32), (row * 17.0 + piece * 5.0).astype(np.float32)


def _planks(s: Surface, look: Look) -> Values:
    """Weathered boards with gaps, nails' ends and a tone for each."""
    along, inside, edge, number = _boards(s.flat, look)
    seed = look.seed
    turn = np.sin(number * 12.9898) * 43758.547
    tone = turn - np.floor(turn)
    p = np.stack([inside * 0.5 + number * 3.1, number * 1.7 - 2.0 * tone, along], -1).astype(np.float32)
    wood = _timber(p, look, 0.8, 0.7, 0.5)
    crack = ramp(ridges(p * np.array([5.0, 5.0, 0.35], np.float32), seed + 61, 2), 0.96, 0.06)
    crack = crack * ramp(noise(p * np.array([1.0, 1.0, 0.7], np.float32), seed + 67), 0.3, 0.8)
    color = tinted(wood.base_color, 0.74 + 0.42 * tone)
    gap = 1.0 - ramp(edge, 0.016, 0.02)
    dark: Rgb = (look.second[0] * 0.3, look.second[1] * 0.28, look.second[2] * 0.26)
    color = mixed(mixed(color, dark, 0.8 * crack), dark, gap)
    height = wood.height * 1.5 - 0.02 * crack - 0.07 * (1.0 - ramp(edge, 0.02, 0.05)) + 0.015 * (tone - 0.5)
    return values(color, wood.roughness + 0.12 + 0.2 * gap, height)


def _plywood(s: Surface, look: Look) -> Values:
    """Rotary-cut faces with broad flames; on what is cut across, thin plies in turn."""
    p = s.points
    top = np.abs(s.normal[:, 2]) > 0.6
    flame = p * np.array([0.55, 0.55, 0.12], np.float32)
    level = 3.2 * fractal(flame, look.seed, 2) + 0.3 * p[:, 2]
    phase = level - np.floor(level)
    late = ramp(phase, 0.6, 0.8) * (1.0 - ramp(phase, 0.95, 0.1))
    face = tinted(mixed(look.main, look.second, 0.5 * late), 1.0 + 0.04 * _fibres(p, look.seed + 5, 14.0))
    at = p[:, 1] * 5.5
    ply = np.floor(at)
    line = np.minimum(at - ply, 1.0 + ply - at)
    layer = mixed(look.main, look.second, 0.25 + 0.75 * (ply % 2))
    layer = tinted(layer, 0.95 + 0.06 * noise(p * np.array([9.0, 1.0, 9.0], np.float32), look.seed + 8))
    layer = tinted(layer, 0.6 + 0.4 * ramp(line, 0.07, 0.1))
    cut = top | (np.abs(s.normal[:, 0]) > 0.75)
    color = np.where(cut[:, None], layer, face)
    return values(color, np.where(cut, 0.72, 0.5), np.where(cut, -0.01 * (ply % 2), 0.004 * late))


def _bark(s: Surface, look: Look) -> Values:
    """Long plates between deep winding furrows."""
    p = warped(s.points, look.seed, 0.05, 1.6)
    plates = cells(p * np.array([2.3, 2.3, 0.62], np.float32), look.seed + 3, 0.9)
    rough = fractal(p * np.array([5.0, 5.0, 1.8], np.float32), look.seed + 7, 4, 0.65)
    plate = ramp(plates.border + 0.03 * rough, 0.09, 0.13)
    tone = 0.80 + 0.30 * plates.value(look.seed + 11) + 0.11 * rough
    furrow: Rgb = (look.second[0] * 0.8, look.second[1] * 0.8, look.second[2] * 0.8)
    moss = ramp(fractal(p * 0.7, look.seed + 19, 2), 1.5, 0.6) * plate
    color = mixed(mixed(furrow, tinted(look.main, tone), plate), (0.36, 0.40, 0.22), 0.5 * moss)
    return values(color, 0.92, 0.07 * plate + 0.014 * rough)


WOODS: tuple[Recipe, ...] = (
    Recipe(
        "oak",
        ("oak wood", "solid oak"),
        _oak,
        (0.30, 0.42),
        (((0.76, 0.58, 0.37), (0.52, 0.34, 0.18)), ((0.66, 0.48, 0.29), (0.42, 0.26, 0.13))),
        "stained",
    ),
    Recipe(
        "walnut",
        ("walnut wood", "dark walnut"),
        _walnut,
        (0.32, 0.46),
        (((0.42, 0.27, 0.17), (0.20, 0.11, 0.07)), ((0.36, 0.23, 0.15), (0.17, 0.10, 0.06))),
        "own",
    ),
    Recipe(
        "pine",
        ("pine wood", "knotty pine"),
        _pine,
        (0.34, 0.46),
        (((0.88, 0.72, 0.47), (0.72, 0.46, 0.22)), ((0.84, 0.66, 0.40), (0.66, 0.40, 0.18))),
        "own",
    ),
    Recipe(
        "planks",
        ("wooden planks", "wood planks", "boards", "weathered planks"),
        _planks,
        (0.34, 0.46),
        (
            ((0.58, 0.42, 0.28), (0.34, 0.22, 0.13)),
            ((0.55, 0.52, 0.48), (0.34, 0.31, 0.28)),
            ((0.47, 0.30, 0.18), (0.26, 0.15, 0.08)),
        ),
        adjective="wooden plank",
        sized=True,
    ),
    Recipe("plywood", ("layered plywood",), _plywood, (0.30, 0.42), (((0.86, 0.71, 0.50), (0.62, 0.43, 0.25)),), "own"),
    Recipe(
        "bark",
        ("tree bark", "rough bark"),
        _bark,
        (0.34, 0.48),
        (((0.45, 0.35, 0.27), (0.22, 0.16, 0.12)), ((0.52, 0.47, 0.41), (0.26, 0.22, 0.19))),
    ),
)
