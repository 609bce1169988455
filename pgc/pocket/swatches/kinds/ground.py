# SPDX-License-Identifier: Apache-2.0
"""What lies on the ground: snow, ice, lava, moss, grass, sand, dirt, gravel."""

import numpy as np

from pgc.pocket.data.noise import hash_lattice
from pgc.pocket.swatches.fields import Floats, cells, fractal, noise, ramp, ridges, share, warped
from pgc.pocket.swatches.recipe import Look, Recipe, Surface, Values, mixed, tinted, values

__all__ = ["GROUND"]


def _snow(s: Surface, look: Look) -> Values:
    """Soft drifts, bluish hollows, single crystals that glint."""
    drift = fractal(warped(s.points, look.seed, 0.3) * 0.9, look.seed + 1, 3, 0.42)
    crumb = fractal(s.points * 6.0, look.seed + 3, 4, 0.7)
    glint = noise(s.points * 34.0, look.seed + 5) > 2.3
    color = mixed(look.second, look.main, ramp(drift + 0.25 * crumb, -0.4, 2.4))
    color = mixed(color, (1.0, 1.0, 1.0), 1.0 * glint)
    return values(color, 0.85 - 0.7 * glint, 0.07 * drift + 0.010 * crumb)


def _ice(s: Surface, look: Look) -> Values:
    """Clear and bluish in depth, white along cracks and in clouds of bubbles."""
    deep = share(fractal(warped(s.points, look.seed, 0.4) * 0.8, look.seed + 1, 3))
    bent = warped(s.points, look.seed + 8, 0.16, 1.6)
    crack = np.maximum(ramp(1.0 - cells(bent * 1.15, look.seed + 3, 0.95).border, 0.965, 0.05),
                       0.6 * ramp(ridges(bent * 1.3 + 4.0, look.seed + 5, 2), 0.965, 0.06))  # fmt: skip
    frost = ramp(share(fractal(s.points * 1.5, look.seed + 7, 5, 0.7)), 0.72, 0.3)
    color = mixed(mixed(look.main, look.second, deep), (0.95, 0.98, 1.0), np.maximum(0.85 * crack, 0.55 * frost))
    return values(color, 0.07 + 0.40 * frost + 0.15 * crack, -0.012 * crack + 0.008 * frost)


def _lava(s: Surface, look: Look) -> Values:
    """A black crust in plates, red to yellow where it has broken."""
    bent = warped(s.points, look.seed, 0.14, 1.5, 3)
    plate = cells(bent * 1.7, look.seed + 1, 0.85)
    crumb = fractal(s.points * 5.0, look.seed + 3, 4, 0.65)
    open_ = plate.border + 0.025 * crumb - 0.05 * share(fractal(s.points * 0.8, look.seed + 5, 2))
    heat = 1.0 - ramp(open_, 0.03, 0.13)
    glow = mixed(mixed((0.55, 0.06, 0.02), look.main, ramp(heat, 0.45, 0.6)), look.second, ramp(heat, 0.88, 0.3))
    crust = tinted((0.13, 0.11, 0.11), 0.8 + 0.35 * plate.value(look.seed + 7) + 0.22 * crumb)
    return values(mixed(crust, glow, ramp(heat, 0.22, 0.3)), 0.88 - 0.3 * heat, 0.07 * (1.0 - heat) + 0.02 * crumb)


def _moss(s: Surface, look: Look) -> Values:
    """Cushions of fine leaves, bright at the tips, brown between them."""
    cushion = cells(warped(s.points, look.seed, 0.12, 2.0) * 2.2, look.seed + 1, 0.9)
    dome = np.sqrt(np.clip(cushion.border / 0.45, 0.0, 1.0))
    leaf = fractal(s.points * 15.0, look.seed + 3, 3, 0.8)
    tone = 0.55 + 0.42 * dome + 0.20 * leaf
    color = mixed(look.main, look.second, 0.7 * share(fractal(s.points * 1.1, look.seed + 5, 3)))
    color = tinted(mixed((0.24, 0.19, 0.11), color, ramp(dome + 0.10 * leaf, 0.22, 0.3)), tone)
    return values(color, 0.97, 0.09 * dome + 0.014 * leaf)


def _blades(flat: Floats, seed: int, layer: int) -> tuple[Floats, Floats]:
    """(how far up its blade [0, 1], -1 where there is none; the blade's number) for one layer of slanted blades."""
    lean = 0.30 * noise(np.concatenate([flat * 0.8, np.full((len(flat), 1), 5.0 * layer)], -1), seed + layer)
    at = np.stack([(flat[:, 0] + 0.16 * lean) * 13.0 + 0.37 * layer, flat[:, 1] * 2.6 + 0.29 * layer], -1)
    column = np.floor(at[:, 0])
    start = at[:, 1] + hash_lattice(np.stack([column, column * 0 + layer], -1).astype(np.int64), seed)
    row = np.floor(start)
    up = start - row
    across = np.abs(at[:, 0] - column - 0.5)
    inside = across < 0.46 * (1.0 - up) + 0.04
    name = hash_lattice(np.stack([column, row], -1).astype(np.int64), seed + 9, layer)
    return np.where(inside, up, -1.0).astype(np.float32), name


def _grass(s: Surface, look: Look) -> Values:
    """Blades over blades, darker below."""
    color = tinted(look.second, np.full(len(s.flat), 0.35, np.float32))
    height = np.zeros(len(s.flat), np.float32)
    for layer in range(4):
        up, name = _blades(s.flat, look.seed, layer)
        there = up >= 0.0
        dry = ((name * 7.0) % 1.0) < 0.14
        own = np.where(dry[:, None], np.array([0.62, 0.58, 0.28]), np.asarray(look.main))
        shade = (0.42 + 0.12 * layer + 0.42 * up) * (0.82 + 0.36 * name)
        color = np.where(there[:, None], own * shade[:, None], color)
        height = np.where(there, 0.02 * layer + 0.05 * up, height).astype(np.float32)
    return values(color.astype(np.float32), 0.7, height)


def _sand(s: Surface, look: Look) -> Values:
    """Wind ripples with a sharp lee side, and single grains."""
    bend = fractal(s.points * np.array([0.5, 0.5, 0.7], np.float32), look.seed, 2, 0.4)
    slant = s.points @ np.array([1.0, 0.45, 1.5], np.float32)
    phase = 1.5 * slant + 0.75 * bend
    place = phase - np.floor(phase)
    ripple = np.where(place < 0.7, place / 0.7, (1.0 - place) / 0.3)
    ripple = ripple * ripple * (3.0 - 2.0 * ripple)
    grain = fractal(s.points * 26.0, look.seed + 3, 2, 0.9)
    color = tinted(mixed(look.second, look.main, 0.35 + 0.65 * ripple), 1.0 + 0.075 * grain)
    return values(color, 0.93, 0.05 * ripple + 0.0015 * grain)


def _pebbles(s: Surface, seed: int, scale: float, kept: float) -> tuple[Floats, Floats, Floats]:
    """(inside 0 to 1, dome height, tone) of loose round stones, a share ``kept`` of all places filled."""
    found = cells(s.points * np.float32(scale), seed, 0.9)
    size = 0.20 + 0.25 * found.value(seed + 1)
    distance = found.first / size + 0.12 * noise(s.points * np.float32(2.4 * scale), seed + 2)
    there = (found.value(seed + 3) < kept) * np.float32(1.0)
    inside = (1.0 - ramp(distance, 0.95, 0.12)) * there
    dome = np.sqrt(np.clip(1.0 - distance**2, 0.0, 1.0)) * there * size
    return inside.astype(np.float32), dome.astype(np.float32), 0.72 + 0.5 * found.value(seed + 5)


def _dirt(s: Surface, look: Look) -> Values:
    """Clods, crumbs, damp patches and a few pebbles."""
    clod = fractal(s.points * 2.6, look.seed + 1, 5, 0.62)
    damp = ramp(share(fractal(s.points * 0.8, look.seed + 3, 3)), 0.6, 0.5)
    inside, dome, tone = _pebbles(s, look.seed + 7, 3.6, 0.35)
    soil = tinted(mixed(look.main, look.second, 0.7 * damp), 0.94 + 0.13 * clod)
    stone = tinted((0.55, 0.52, 0.48), tone * 0.95)
    return values(mixed(soil, stone, inside), 0.96 - 0.14 * inside, 0.020 * clod + 0.10 * dome)


def _gravel(s: Surface, look: Look) -> Values:
    """Crushed stones of mixed grays, one beside the other."""
    bent = warped(s.points, look.seed, 0.04, 3.0)
    found = cells(bent * 4.4, look.seed + 1, 0.95)
    facet = noise(s.points * 7.0, look.seed + 3)
    dome = np.clip(found.border / 0.32, 0.0, 1.0) ** 0.7
    tone = 0.50 + 0.75 * found.value(look.seed + 5)
    color = mixed(look.main, look.second, 1.0 * (found.value(look.seed + 6) < 0.3))
    return values(tinted(color, tone * (0.30 + 0.72 * dome) + 0.03 * facet), 0.9, 0.11 * dome + 0.008 * facet)


GROUND: tuple[Recipe, ...] = (
    Recipe(
        "snow", ("fresh snow", "packed snow"), _snow, (0.40, 0.60), (((0.97, 0.98, 1.0), (0.80, 0.86, 0.95)),), "own"
    ),
    Recipe(
        "ice",
        ("cracked ice", "frozen ice", "blue ice"),
        _ice,
        (0.42, 0.60),
        (((0.70, 0.87, 0.94), (0.34, 0.62, 0.78)), ((0.80, 0.91, 0.95), (0.50, 0.74, 0.84))),
        "own",
        adjective="icy",
    ),
    Recipe(
        "lava",
        ("molten lava", "magma", "glowing lava"),
        _lava,
        (0.40, 0.56),
        (((0.95, 0.30, 0.04), (1.0, 0.80, 0.25)), ((0.90, 0.20, 0.03), (1.0, 0.66, 0.14))),
        "own",
    ),
    Recipe(
        "moss",
        ("green moss", "mossy ground"),
        _moss,
        (0.34, 0.48),
        (((0.34, 0.46, 0.14), (0.50, 0.56, 0.18)), ((0.26, 0.40, 0.14), (0.40, 0.50, 0.20))),
        "own",
        adjective="mossy",
    ),
    Recipe(
        "grass",
        ("green grass", "lawn", "turf"),
        _grass,
        (0.34, 0.46),
        (((0.36, 0.56, 0.16), (0.20, 0.30, 0.10)), ((0.44, 0.58, 0.20), (0.24, 0.30, 0.10))),
        "own",
        adjective="grassy",
    ),
    Recipe(
        "sand",
        ("desert sand", "beach sand", "rippled sand"),
        _sand,
        (0.36, 0.50),
        (((0.90, 0.77, 0.54), (0.72, 0.56, 0.36)), ((0.86, 0.78, 0.64), (0.68, 0.58, 0.44))),
        adjective="sandy",
        finishes=("wet",),
    ),
    Recipe(
        "dirt",
        ("soil", "earth", "mud"),
        _dirt,
        (0.38, 0.54),
        (((0.46, 0.33, 0.22), (0.28, 0.19, 0.12)), ((0.40, 0.30, 0.22), (0.24, 0.17, 0.12))),
        "own",
        finishes=("wet",),
    ),
    Recipe(
        "gravel",
        ("crushed stones", "pebbles"),
        _gravel,
        (0.34, 0.48),
        (((0.60, 0.58, 0.56), (0.50, 0.44, 0.38)), ((0.52, 0.53, 0.55), (0.40, 0.40, 0.41))),
        finishes=("wet", "dusty"),
    ),
)
