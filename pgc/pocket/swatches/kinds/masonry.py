# SPDX-License-Identifier: Apache-2.0
"""What is laid piece by piece: bricks, tiles, mosaic, cobblestones, a wall of field stones."""

import numpy as np

from pgc.pocket.data.noise import Ints, hash_lattice
from pgc.pocket.swatches.fields import Floats, cells, fractal, hashed, ramp, share, warped
from pgc.pocket.swatches.recipe import Look, Recipe, Surface, Values, mixed, tinted, values

__all__ = ["MASONRY"]


def _courses(flat: Floats, aspect: float, bond: float) -> tuple[Floats, Floats, Ints]:
    """(local u, local v, cells [N, 2]) of pieces one period long and 1 / ``aspect`` high; rows shifted by ``bond``."""
    v = flat[:, 1] * aspect
    row = np.floor(v)
    u = flat[:, 0] + bond * row
    column = np.floor(u)
    return u - column, (v - row) / aspect, np.stack([column, row], -1).astype(np.int64)


def _edge(u: Floats, v: Floats, height: float) -> Floats:
    """Distance to the nearest joint of a piece 1 long and ``height`` high."""
    return np.minimum(np.minimum(u, 1.0 - u), np.minimum(v, height - v)).astype(np.float32)


def _bricks(s: Surface, look: Look) -> Values:
    """Fired bricks, chipped at the edges, a tone for each, in rough mortar."""
    aspect = 2.9
    u, v, key = _courses(s.flat, aspect, 0.5 if look.variant < 0.8 else 0.0)
    grain = fractal(s.points * 9.0, look.seed, 4, 0.7)
    edge = _edge(u, v, 1.0 / aspect) + 0.006 * fractal(s.points * 6.0, look.seed + 4, 2)
    brick = ramp(edge, 0.034, 0.022)
    tone = 0.80 + 0.34 * hash_lattice(key, look.seed) + 0.06 * grain
    burnt = (hash_lattice(key, look.seed, 1) > 0.86) * 0.35
    body = tinted(mixed(look.main, (0.20, 0.14, 0.13), np.asarray(burnt, np.float32)), tone)
    mortar = tinted(look.second, 0.94 + 0.06 * grain)
    lift = (hash_lattice(key, look.seed, 2) - 0.5) * 0.014
    height = (0.045 + lift) * ramp(edge, 0.040, 0.05) + 0.006 * grain
    return values(mixed(mortar, body, brick), 0.9 - 0.08 * brick, height)


def _tiles(s: Surface, look: Look) -> Values:
    """Square glazed tiles with rounded edges and even grout."""
    u, v, key = _courses(s.flat, 1.0, 0.0)
    edge = _edge(u, v, 1.0)
    tile = ramp(edge, 0.035, 0.015)
    tone = 0.93 + 0.10 * hash_lattice(key, look.seed) + 0.02 * fractal(s.points * 2.0, look.seed + 3, 2)
    grout = tinted(look.second, 0.95 + 0.05 * fractal(s.points * 16.0, look.seed, 2))
    height = 0.05 * ramp(edge, 0.05, 0.08)
    return values(mixed(grout, tinted(look.main, tone), tile), 0.85 - 0.72 * tile, height)


def _mosaic(s: Surface, look: Look) -> Values:
    """Small hand-set square stones of several tones in wavy rows."""
    flat = warped(s.flat, look.seed, 0.05, 1.2) * 4.0
    u, v, key = _courses(flat, 1.0, 0.0)
    slack = hash_lattice(key, look.seed, 5) * 0.05
    edge = _edge(u, v, 1.0) - slack
    stone = ramp(edge, 0.07, 0.05)
    pick = hash_lattice(key, look.seed)[:, None]
    light = np.asarray(look.main) * 0.45 + 0.55 * np.array([0.93, 0.90, 0.84])
    color = np.where(pick < 0.55, np.asarray(look.main), np.where(pick < 0.80, np.asarray(look.second), light))
    color = tinted(color, 0.82 + 0.32 * hash_lattice(key, look.seed, 1))
    tilt = (u - 0.5) * (hash_lattice(key, look.seed, 2) - 0.5) + (v - 0.5) * (hash_lattice(key, look.seed, 3) - 0.5)
    height = 0.018 * ramp(edge, 0.1, 0.12) + 0.02 * tilt * stone
    return values(mixed((0.62, 0.60, 0.56), color, stone), 0.85 - 0.6 * stone, height)


def _rounded_stones(s: Surface, look: Look, stretch: Floats, gap: float, bulge: float) -> tuple[Floats, Floats, Floats]:
    """(stone 0 to 1, tone, height) of stones that fill space like cells."""
    p = warped(s.points, look.seed + 2, 0.06, 1.5) * stretch
    found = cells(p, look.seed, 0.72)
    rough = fractal(s.points * 6.0, look.seed + 7, 4, 0.65)
    border = found.border + 0.008 * rough
    dome = np.sqrt(np.clip((border - gap) / bulge, 0.0, 1.0))
    tone = 0.70 + 0.48 * found.value(look.seed + 3) + 0.06 * rough
    return ramp(border, gap, 0.035), tone.astype(np.float32), (0.16 * dome + 0.010 * rough).astype(np.float32)


def _cobblestone(s: Surface, look: Look) -> Values:
    stone, tone, height = _rounded_stones(s, look, np.ones(3, np.float32) * np.float32(1.55), 0.055, 0.42)
    soil = tinted(look.second, 0.85 + 0.2 * share(fractal(s.points * 14.0, look.seed + 9, 3)))
    return values(mixed(soil, tinted(look.main, tone), stone), 0.92 - 0.2 * stone, height)


def _stone_wall(s: Surface, look: Look) -> Values:
    """Flat field stones in rough courses, some warm, some cold."""
    stretch = np.array([1.15, 1.15, 2.3], np.float32)
    stone, tone, height = _rounded_stones(s, look, stretch, 0.07, 0.16)
    warm = share(fractal(s.points * 0.9, look.seed + 12, 3))
    body = tinted(mixed(look.main, (look.main[0] * 1.05, look.main[1] * 0.92, look.main[2] * 0.78), warm), tone)
    joint = tinted(look.second, 0.9 + 0.1 * share(fractal(s.points * 12.0, look.seed + 9, 3)))
    return values(mixed(joint, body, stone), 0.9, height)


def _roof_tiles(s: Surface, look: Look) -> Values:
    """Overlapping round-ended clay tiles."""
    v = s.flat[:, 1] * 1.7
    color = np.tile(np.asarray(look.second, np.float32) * 0.35, (len(v), 1))
    height, done = np.zeros(len(v), np.float32), np.zeros(len(v), bool)
    grain = fractal(s.points * 7.0, look.seed, 3, 0.7)
    for above in (1, 0, -1):
        row = np.floor(v) + above
        u = s.flat[:, 0] * 1.5 + 0.5 * (row % 2)
        column = np.floor(u)
        key = np.stack([column, row], -1).astype(np.int64)
        local, drop = u - column - 0.5, (row + 0.55 - v)
        end = 0.5 + 0.62 * np.sqrt(np.clip(0.25 - local**2, 0.0, 1.0))
        hit = (np.abs(local) < 0.475) & (drop < end) & (drop > -0.9) & ~done
        tone = 0.78 + 0.36 * hash_lattice(key, look.seed) + 0.06 * grain
        shade = 0.72 + 0.28 * np.clip((drop + 0.2) / 0.6, 0.0, 1.0)
        color = np.where(hit[:, None], np.asarray(look.main) * (tone * shade)[:, None], color)
        height = np.where(hit, 0.10 + 0.09 * drop - 0.22 * local**2 + 0.004 * grain, height).astype(np.float32)
        done |= hit
    return values(color.astype(np.float32), 0.82, height + 0.02 * hashed(look.seed, 1)[0])


MASONRY: tuple[Recipe, ...] = (
    Recipe(
        "bricks",
        ("brick", "brickwork", "brick wall"),
        _bricks,
        (0.30, 0.42),
        (
            ((0.62, 0.28, 0.20), (0.74, 0.71, 0.66)),
            ((0.55, 0.25, 0.17), (0.62, 0.60, 0.57)),
            ((0.71, 0.44, 0.30), (0.80, 0.77, 0.72)),
        ),
        second="mortar",
        sized=True,
        adjective="brick",
    ),
    Recipe(
        "tiles",
        ("glazed tiles", "ceramic tiles", "bathroom tiles"),
        _tiles,
        (0.20, 0.32),
        (((0.90, 0.90, 0.88), (0.60, 0.60, 0.59)), ((0.36, 0.60, 0.66), (0.88, 0.87, 0.84))),
        second="grout",
        adjective="tiled",
        sized=True,
    ),
    Recipe(
        "mosaic",
        ("mosaic tiles", "stone mosaic"),
        _mosaic,
        (0.34, 0.46),
        (((0.20, 0.42, 0.62), (0.82, 0.66, 0.32)), ((0.66, 0.30, 0.22), (0.30, 0.46, 0.44))),
        second="stones",
        sized=True,
    ),
    Recipe(
        "cobblestone",
        ("cobblestones", "cobbles", "cobbled street"),
        _cobblestone,
        (0.36, 0.50),
        (((0.54, 0.52, 0.50), (0.30, 0.27, 0.23)), ((0.47, 0.46, 0.46), (0.24, 0.23, 0.21))),
        second="gaps",
        sized=True,
        finishes=("wet", "wet", "matte"),
    ),
    Recipe(
        "stone wall",
        ("field stones", "stacked stones", "rough stones"),
        _stone_wall,
        (0.36, 0.50),
        (((0.62, 0.58, 0.51), (0.70, 0.67, 0.60)), ((0.50, 0.49, 0.47), (0.36, 0.35, 0.33))),
        second="joints",
        adjective="stone",
        sized=True,
    ),
    Recipe(
        "roof tiles",
        ("clay roof tiles", "clay tiles", "shingles"),
        _roof_tiles,
        (0.26, 0.36),
        (((0.70, 0.36, 0.22), (0.30, 0.18, 0.12)), ((0.42, 0.40, 0.40), (0.20, 0.20, 0.20))),
        sized=True,
        finishes=("wet",),
    ),
)
