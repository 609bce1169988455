# SPDX-License-Identifier: Apache-2.0
"""Made things: honeycomb, carbon fibre, porcelain, plastic, rubber, paint, paper, glass tiles of a disco ball."""

import numpy as np

from pgc.pocket.data.noise import Ints, hash_lattice
from pgc.pocket.swatches.fields import Floats, cells, fractal, noise, ramp, share, warped
from pgc.pocket.swatches.recipe import Look, Recipe, Surface, Values, mixed, tinted, values

__all__ = ["MADE", "hexagons"]


def hexagons(flat: Floats) -> tuple[Floats, Ints]:
    """Returns (distance to the border, lattice key [N, 2]) of regular hexagons one unit wide."""
    step = np.array([1.0, np.sqrt(3.0)], np.float32)
    near = np.floor(flat / step + 0.5)
    far = np.floor(flat / step) + 0.5
    to_near, to_far = flat - near * step, flat - far * step
    closer = (np.linalg.norm(to_near, axis=-1) < np.linalg.norm(to_far, axis=-1))[:, None]
    local = np.abs(np.where(closer, to_near, to_far))
    border = 0.5 - np.maximum(local[:, 0], local[:, 0] * 0.5 + local[:, 1] * np.sqrt(0.75))
    return border.astype(np.float32), (np.where(closer, near, far) * 2.0).astype(np.int64)


def _honeycomb(s: Surface, look: Look) -> Values:
    """Wax walls around cells, some filled with honey, some capped, some empty."""
    border, key = hexagons(warped(s.flat, look.seed, 0.012, 2.0) * 3.2)
    wall = 1.0 - ramp(border, 0.07, 0.06)
    kind = hash_lattice(key, look.seed)
    grain = fractal(s.points * 10.0, look.seed + 3, 2)
    depth = ramp(border, 0.1, 0.5)
    honey = mixed(look.main, (look.main[0] * 0.72, look.main[1] * 0.46, look.main[2] * 0.10), 0.75 * depth)
    dark = mixed((0.52, 0.30, 0.08), (0.20, 0.10, 0.03), depth)
    inside = np.where((kind < 0.62)[:, None], honey, np.where((kind < 0.80)[:, None], dark,
                      tinted(look.second, 0.92 + 0.05 * grain)))  # fmt: skip
    color = mixed(inside, tinted(look.second, 0.95 + 0.03 * grain), wall)
    rough = np.where(kind < 0.62, 0.14, 0.6) * (1.0 - wall) + 0.55 * wall
    return values(color, rough, 0.06 * wall - 0.05 * depth * (kind > 0.62) * (kind < 0.80))


def _carbon_fibre(s: Surface, look: Look) -> Values:
    """Two-by-two twill of flat dark tows under clear lacquer."""
    at = s.flat * 7.0
    cell = np.floor(at)
    local = at - cell - 0.5
    warp = np.remainder(cell[:, 0] - cell[:, 1], 4.0) < 1.5
    across, along = np.where(warp, local[:, 0], local[:, 1]), np.where(warp, local[:, 1], local[:, 0])
    strand = noise(np.stack([across * 16.0, along * 0.8, cell.sum(-1) * 3.0], -1).astype(np.float32), look.seed)
    tone = np.where(warp, 1.0, 0.50) * (1.0 - 0.5 * np.abs(across) ** 2) + 0.10 * strand
    color = tinted(mixed(look.second, look.main, np.where(warp, 1.0, 0.45)), tone)
    return values(color, 0.20 + 0.06 * np.where(warp, 0.0, 1.0), 0.006 * (1.0 - (across / 0.5) ** 2), 0.25)


def _smooth(s: Surface, look: Look, roughness: float, wave: float) -> Values:
    """One colour with a faint unevenness of form and gloss."""
    soft = fractal(s.points * 1.3, look.seed, 2)
    return values(tinted(look.main, np.ones(len(soft), np.float32)), roughness + 0.02 * soft, wave * soft)


def _plastic(s: Surface, look: Look) -> Values:
    return _smooth(s, look, 0.30 + 0.14 * look.variant, 0.0)


def _porcelain(s: Surface, look: Look) -> Values:
    """Glazed, with a painted vine of the second colour on some pieces."""
    plain = _smooth(s, look, 0.09, 0.004)
    if look.variant < 0.45:
        return plain
    bent = warped(s.points, look.seed, 0.35, 1.1)
    stem = 1.0 - ramp(np.abs(fractal(bent * 0.8, look.seed + 3, 2, 0.4)), 0.07, 0.05)
    blossom = cells(s.points * 1.5, look.seed + 5, 0.8)
    angle = np.arctan2(blossom.away[:, 2], blossom.away[:, 0] + blossom.away[:, 1])
    petal = 0.17 + 0.07 * np.cos(5.0 * angle)
    flower = (1.0 - ramp(blossom.first - petal, 0.0, 0.03)) * ramp(blossom.first, 0.05, 0.03)
    brush = 0.75 + 0.25 * share(noise(s.points * 6.0, look.seed + 7))
    return values(mixed(plain.base_color, look.second, np.maximum(stem, flower) * brush), plain.roughness, plain.height)


def _rubber(s: Surface, look: Look) -> Values:
    """Dull, with a fine moulded grain."""
    grain = fractal(s.points * 18.0, look.seed, 2, 0.8)
    return values(tinted(look.main, 0.97 + 0.035 * grain), 0.86, 0.004 * grain)


def _paint(s: Surface, look: Look) -> Values:
    """Brush strokes in thick paint."""
    p = warped(s.points, look.seed, 0.12, 0.8)
    stroke = fractal(p * np.array([9.0, 9.0, 0.7], np.float32), look.seed + 3, 2, 0.7)
    return values(tinted(look.main, 1.0 + 0.03 * stroke), 0.45 + 0.04 * stroke, 0.006 * stroke)


def _cracked_paint(s: Surface, look: Look) -> Values:
    """Old paint in curling flakes, the ground dark in the cracks."""
    p = warped(s.points, look.seed, 0.05, 3.0)
    flake = cells(p * 3.4, look.seed + 1, 0.95)
    edge = flake.border + 0.008 * noise(s.points * 14.0, look.seed + 3)
    whole = ramp(edge, 0.030, 0.02)
    gone = flake.value(look.seed + 5) < 0.10
    curl = 0.05 * np.exp(-np.clip(edge, 0.0, 1.0) / 0.07)
    tone = 0.90 + 0.12 * flake.value(look.seed + 7)
    paint = whole * (1.0 - 1.0 * gone)
    ground = tinted(look.second, 0.9 + 0.08 * fractal(s.points * 8.0, look.seed + 9, 3))
    return values(mixed(ground, tinted(look.main, tone), paint), 0.85 - 0.3 * paint, paint * (0.03 + curl))


def _mirror_tiles(s: Surface, look: Look) -> Values:
    """Small flat mirrors in rows, each tilted a little."""
    at = s.flat * 5.0
    key = np.floor(at).astype(np.int64)
    local = at - key
    edge = np.minimum(local, 1.0 - local).min(-1)
    glass = ramp(edge, 0.05, 0.03)
    tilt = (hash_lattice(key, look.seed)[:, None] - 0.5) * (local - 0.5)
    slope = tilt[:, 0] + (hash_lattice(key, look.seed, 1) - 0.5) * (local[:, 1] - 0.5)
    tone = 0.86 + 0.14 * hash_lattice(key, look.seed, 2)
    return values(mixed((0.22, 0.22, 0.23), tinted(look.main, tone), glass), 0.85 - 0.80 * glass, 0.05 * slope, glass)


MADE: tuple[Recipe, ...] = (
    Recipe(
        "honeycomb",
        ("honey comb", "bee wax cells"),
        _honeycomb,
        (0.36, 0.50),
        (((0.96, 0.66, 0.12), (0.93, 0.76, 0.36)), ((0.90, 0.58, 0.10), (0.88, 0.70, 0.32))),
        "own",
        sized=True,
    ),
    Recipe(
        "carbon fibre",
        ("carbon fiber", "carbon weave"),
        _carbon_fibre,
        (0.30, 0.44),
        (((0.26, 0.26, 0.28), (0.07, 0.07, 0.08)),),
        "own",
    ),
    Recipe(
        "porcelain",
        ("glazed porcelain", "china", "ceramic"),
        _porcelain,
        (0.42, 0.58),
        (((0.95, 0.95, 0.93), (0.13, 0.24, 0.60)),),
        second="flowers",
    ),
    Recipe(
        "plastic",
        ("smooth plastic", "molded plastic"),
        _plastic,
        (0.5, 0.8),
        (((0.85, 0.85, 0.84), (0.5, 0.5, 0.5)), ((0.30, 0.31, 0.33), (0.5, 0.5, 0.5))),
        finishes=("glossy", "matte", "matte", "satin", "worn"),
        weight=1.5,
    ),
    Recipe(
        "rubber",
        ("black rubber", "soft rubber"),
        _rubber,
        (0.34, 0.50),
        (((0.12, 0.12, 0.12), (0.1, 0.1, 0.1)),),
        finishes=("matte", "dusty", "wet"),
    ),
    Recipe(
        "paint",
        ("thick paint", "brushed paint"),
        _paint,
        (0.36, 0.54),
        (((0.90, 0.88, 0.83), (0.5, 0.5, 0.5)),),
        adjective="painted",
        finishes=("glossy", "matte", "satin"),
    ),
    Recipe(
        "cracked paint",
        ("crackled paint", "flaking paint"),
        _cracked_paint,
        (0.36, 0.50),
        (((0.88, 0.85, 0.77), (0.36, 0.27, 0.19)), ((0.52, 0.66, 0.64), (0.30, 0.24, 0.20))),
    ),
    Recipe(
        "mirror tiles",
        ("disco ball mirrors", "glass mosaic"),
        _mirror_tiles,
        (0.32, 0.46),
        (((0.95, 0.96, 0.97), (0.2, 0.2, 0.2)),),
        sized=True,
    ),
)
