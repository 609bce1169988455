# SPDX-License-Identifier: Apache-2.0
"""Stones, and what is poured or spread like them: granite, marble, slate, sandstone, terrazzo, concrete, plaster."""

import numpy as np

from pgc.pocket.swatches.fields import Floats, cells, fractal, noise, ramp, ridges, share, warped
from pgc.pocket.swatches.recipe import Look, Recipe, Surface, Values, mixed, tinted, values

__all__ = ["STONES"]


def _granite(s: Surface, look: Look) -> Values:
    """Close grains of three minerals: coloured feldspar, pale quartz, black mica."""
    coarse = cells(warped(s.points, look.seed, 0.02, 3.0) * 15.0, look.seed + 1, 0.95)
    kind = coarse.value(look.seed + 2)
    tone = 0.82 + 0.34 * coarse.value(look.seed + 3)
    fine = share(noise(s.points * 30.0, look.seed + 5))
    pale = (0.78, 0.76, 0.73)
    color = np.where((kind < 0.62)[:, None], tinted(look.main, tone), tinted(pale, tone * 0.95))
    mica = (kind > 0.82) | (fine > 0.93)
    color = np.where(mica[:, None], tinted(look.second, 0.5 + tone * 0.4), color)
    return values(color, 0.32 + 0.12 * mica, 0.0)


def _veins(points: Floats, seed: int, width: float) -> Floats:
    """Sharp winding veins whose width comes and goes."""
    bent = warped(points, seed, 0.55, 0.9, 3)
    ridge = np.abs(fractal(bent * 0.75, seed + 7, 2, 0.4))
    reach = width * (0.35 + share(noise(points * 0.9, seed + 9)) ** 2 * 1.8)
    return np.clip(1.0 - ridge / reach, 0.0, 1.0) ** 1.3


def _marble(s: Surface, look: Look) -> Values:
    cloud = share(fractal(warped(s.points, look.seed + 90, 0.5) * 0.8, look.seed + 4, 3))
    vein = np.maximum(_veins(s.points, look.seed, 0.12), 0.55 * _veins(s.points * 2.1 + 5.0, look.seed + 50, 0.07))
    halo = 0.25 * _veins(s.points, look.seed, 0.55)
    color = tinted(look.main, 0.93 + 0.09 * cloud)
    return values(mixed(color, look.second, np.maximum(0.92 * vein, halo)), 0.14 + 0.06 * vein, 0.0)


def _slate(s: Surface, look: Look) -> Values:
    """Split along thin layers that end in steps."""
    p = s.points
    rise = 2.6 * (0.35 * p[:, 2] + 0.5 * fractal(p * np.array([0.9, 0.9, 0.7], np.float32), look.seed + 3, 3, 0.4))
    rise = rise + 0.10 * fractal(p * 3.5, look.seed + 4, 2)
    layer = np.floor(rise)
    within = rise - layer
    tone = np.sin(layer * 78.233 + look.seed) * 0.5 + 0.5
    grain = fractal(p * np.array([9.0, 9.0, 5.0], np.float32), look.seed + 9, 3, 0.7)
    lip = 1.0 - ramp(within, 0.05, 0.09)
    color = tinted(mixed(look.main, look.second, 0.75 * tone), 0.96 + 0.07 * grain - 0.30 * lip)
    rust = ramp(fractal(p * 0.8, look.seed + 23, 3), 1.45, 0.8)
    color = mixed(color, (0.46, 0.33, 0.22), 0.4 * rust)
    return values(color, 0.62 + 0.05 * grain, 0.045 * ramp(within, 0.06, 0.12) + 0.003 * grain)


def _sandstone(s: Surface, look: Look) -> Values:
    """Wavy beds of sand, one above the other, and the grain of it."""
    z = s.points[:, 2] + 0.20 * fractal(s.points * np.array([0.7, 0.7, 0.5], np.float32), look.seed, 3)
    at = np.stack([z * 0.0, z * 0.0 + 3.0, z], -1)
    bed = fractal(at * 2.6, look.seed + 5, 4, 0.75)
    grain = fractal(s.points * 20.0, look.seed + 9, 2, 0.8)
    color = tinted(mixed(look.main, look.second, share(bed)), 0.98 + 0.055 * grain)
    return values(color, 0.88, 0.02 * bed + 0.007 * grain)


def _terrazzo(s: Surface, look: Look) -> Values:
    """Chips of several colours and sizes, ground flush with their bed."""
    color, done = tinted(look.main, 0.98 + 0.02 * noise(s.points * 9.0, look.seed)), np.zeros(len(s.points), bool)
    chips = np.array([look.second, (0.88, 0.85, 0.80), (0.30, 0.28, 0.27), (0.72, 0.50, 0.38), (0.55, 0.60, 0.58)])
    for level, scale in enumerate((2.6, 4.6, 8.5)):
        found = cells(warped(s.points, look.seed + level, 0.03, 4.0) * scale, look.seed + 11 * level, 0.85)
        big = found.value(look.seed + 3, 1) < 0.62
        inside = (found.border > 0.10 + 0.12 * found.value(look.seed + 5)) & big & ~done
        pick = (found.value(look.seed + 7) * 7.0).astype(np.int64)
        chip = chips[np.where(pick < 5, pick, 0)] * (0.9 + 0.2 * found.value(look.seed + 9)[:, None])
        color = np.where(inside[:, None], chip, color)
        done |= inside
    return values(color, 0.22, 0.0)


def _concrete(s: Surface, look: Look) -> Values:
    """Blotches, fine grain, air holes, and now and then a crack."""
    blotch = fractal(s.points * 0.9, look.seed, 4, 0.6)
    grain = fractal(s.points * 15.0, look.seed + 3, 3, 0.8)
    holes = cells(s.points * 4.2, look.seed + 5, 0.9)
    hole = (1.0 - ramp(holes.first, 0.04 + 0.05, 0.05)) * (holes.value(look.seed + 6) < 0.5)
    crack = ramp(ridges(warped(s.points, look.seed + 8, 0.12, 3.0) * 0.7, look.seed + 9, 2), 0.985, 0.02)
    crack = crack * (look.variant > 0.4)
    color = tinted(mixed(look.main, look.second, 0.45 * share(blotch)), 1.0 + 0.045 * grain - 0.5 * hole - 0.5 * crack)
    return values(color, 0.86, 0.006 * grain - 0.03 * hole - 0.03 * crack + 0.006 * blotch)


def _plaster(s: Surface, look: Look) -> Values:
    """Trowelled: overlapping strokes with low ridges, one tone."""
    p = warped(s.points, look.seed, 0.12, 1.2)
    stroke = np.maximum(
        ridges(p * np.array([1.1, 1.1, 2.4], np.float32), look.seed + 3, 1),
        ridges(p * np.array([2.2, 2.2, 1.0], np.float32), look.seed + 5, 1),
    )
    lump = fractal(p * 3.0, look.seed + 7, 4, 0.6)
    color = tinted(mixed(look.main, look.second, 0.3 * share(lump)), 0.95 + 0.05 * stroke)
    return values(color, 0.9, 0.022 * ramp(stroke, 0.85, 0.3) + 0.011 * lump)


STONES: tuple[Recipe, ...] = (
    Recipe(
        "granite",
        ("granite stone", "speckled granite", "solid granite"),
        _granite,
        (0.34, 0.50),
        (
            ((0.60, 0.58, 0.57), (0.16, 0.16, 0.17)),
            ((0.70, 0.52, 0.46), (0.17, 0.15, 0.15)),
            ((0.36, 0.37, 0.39), (0.10, 0.10, 0.11)),
        ),
        finishes=("polished", "matte", "wet"),
    ),
    Recipe(
        "marble",
        ("veined marble", "marble stone"),
        _marble,
        (0.42, 0.62),
        (
            ((0.94, 0.93, 0.91), (0.42, 0.42, 0.44)),
            ((0.93, 0.90, 0.84), (0.58, 0.46, 0.32)),
            ((0.10, 0.10, 0.11), (0.82, 0.80, 0.76)),
        ),
        second="veins",
        finishes=("polished", "matte"),
    ),
    Recipe(
        "slate",
        ("slate stone", "rough slate"),
        _slate,
        (0.36, 0.50),
        (((0.30, 0.33, 0.37), (0.22, 0.24, 0.27)), ((0.33, 0.36, 0.34), (0.24, 0.27, 0.26))),
        finishes=("wet", "wet", "dusty"),
    ),
    Recipe(
        "sandstone",
        ("layered sandstone", "sand stone"),
        _sandstone,
        (0.40, 0.56),
        (((0.84, 0.68, 0.46), (0.68, 0.46, 0.28)), ((0.80, 0.58, 0.42), (0.62, 0.36, 0.24))),
    ),
    Recipe(
        "terrazzo",
        ("terrazzo stone", "colorful terrazzo"),
        _terrazzo,
        (0.34, 0.48),
        (((0.90, 0.88, 0.84), (0.66, 0.38, 0.30)), ((0.80, 0.80, 0.78), (0.32, 0.40, 0.42))),
        second="chips",
        finishes=("polished", "matte"),
    ),
    Recipe(
        "concrete",
        ("raw concrete", "cement"),
        _concrete,
        (0.40, 0.56),
        (((0.64, 0.63, 0.61), (0.50, 0.49, 0.47)), ((0.56, 0.56, 0.55), (0.42, 0.42, 0.41))),
        finishes=("wet", "polished", "dusty"),
    ),
    Recipe(
        "plaster",
        ("stucco", "rough plaster", "plaster wall"),
        _plaster,
        (0.34, 0.50),
        (((0.91, 0.88, 0.82), (0.82, 0.78, 0.70)), ((0.86, 0.76, 0.62), (0.76, 0.64, 0.50))),
    ),
)
