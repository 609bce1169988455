# SPDX-License-Identifier: Apache-2.0
"""Printed or painted patterns of two colours and more: checks, stripes, dots, zigzags, camouflage."""

import numpy as np

from pgc.pocket.swatches.fields import Floats, fractal, noise, ramp, share, warped
from pgc.pocket.swatches.kinds.made import hexagons
from pgc.pocket.swatches.recipe import Look, Recipe, Surface, Values, mixed, tinted, values

__all__ = ["PRINTS"]

_SURFACES = (0.34, 0.60, 0.85)
"""Roughness of what a pattern may be printed on: plastic, paint, cloth."""


def _printed(s: Surface, look: Look, weight: Floats) -> Values:
    kind = int(look.variant * 2.999)
    thread = noise(s.points * 26.0, look.seed + 77) * (0.03 if kind == 2 else 0.0)
    return values(tinted(mixed(look.main, look.second, weight), 1.0 + thread), _SURFACES[kind], 0.02 * thread)


def _checks(s: Surface, look: Look) -> Values:
    return _printed(s, look, np.floor(s.flat * 2.0).sum(-1) % 2)


def _stripes(s: Surface, look: Look) -> Values:
    """Level or upright, as wide as the gaps; a few slant."""
    turn = (look.variant * 7.0) % 1.0
    u, v = s.flat[:, 0], s.flat[:, 1]
    at = v if turn < 0.45 else u if turn < 0.85 else (u + v) * np.float32(0.7071)
    return _printed(s, look, ramp(np.abs((at * 1.25) % 1.0 - 0.5) * 2.0, 0.5, 0.03))


def _dots(s: Surface, look: Look) -> Values:
    at = s.flat * np.array([1.2, 1.2], np.float32)
    row = np.floor(at[:, 1])
    local = np.stack([(at[:, 0] + 0.5 * (row % 2)) % 1.0, at[:, 1] - row], -1) - 0.5
    return _printed(s, look, 1.0 - ramp(np.linalg.norm(local, axis=-1), 0.27, 0.03))


def _zigzag(s: Surface, look: Look) -> Values:
    u = s.flat[:, 0] * 1.4
    tooth = np.abs(u - np.floor(u) - 0.5)
    return _printed(s, look, ramp(np.abs((s.flat[:, 1] * 1.5 + tooth * 1.3) % 1.0 - 0.5) * 2.0, 0.5, 0.04))


def _hexagon_print(s: Surface, look: Look) -> Values:
    border, _ = hexagons(s.flat * 1.6)
    return _printed(s, look, 1.0 - ramp(border, 0.06, 0.02))


def _camouflage(s: Surface, look: Look) -> Values:
    """Four tones in sharp-edged blots that overlap."""
    tones = [look.main, look.second, np.asarray(look.main) * 0.42, np.asarray(look.second) * 0.55]
    p = warped(s.points, look.seed, 0.18, 1.2) * np.array([0.85, 0.85, 1.25], np.float32)
    color = np.tile(np.asarray(tones[0], np.float32), (len(p), 1))
    for level, (tone, covered) in enumerate(zip(tones[1:], (0.34, 0.30, 0.20), strict=True)):
        blot = share(fractal(p * 1.15, look.seed + 211 * (level + 1), 3, 0.42))
        color = mixed(color, tone, 1.0 - ramp(blot, covered, 0.012))
    thread = noise(s.points * 26.0, look.seed + 77)
    return values(tinted(color, 1.0 + 0.025 * thread), 0.85, 0.001 * thread)


_WHITE_BLACK = (((0.94, 0.93, 0.91), (0.08, 0.08, 0.08)),)
PRINTS: tuple[Recipe, ...] = (
    Recipe(
        "checks",
        ("checker pattern", "checkers", "checkerboard"),
        _checks,
        (0.34, 0.48),
        _WHITE_BLACK,
        paired=True,
        adjective="checkered",
        finishes=("glossy", "matte"),
        sized=True,
        weight=1.4,
    ),
    Recipe(
        "stripes",
        ("striped pattern", "bands"),
        _stripes,
        (0.30, 0.44),
        _WHITE_BLACK,
        paired=True,
        adjective="striped",
        finishes=("glossy", "matte"),
        sized=True,
        weight=1.4,
    ),
    Recipe(
        "polka dots",
        ("dots", "dotted pattern", "spots"),
        _dots,
        (0.26, 0.38),
        (((0.80, 0.12, 0.14), (0.95, 0.94, 0.92)), ((0.94, 0.93, 0.91), (0.10, 0.10, 0.12))),
        second="dots",
        adjective="polka dot",
        finishes=("glossy", "matte"),
        sized=True,
        weight=1.4,
    ),
    Recipe("zigzag", ("zigzag pattern", "chevrons"), _zigzag, (0.32, 0.46), _WHITE_BLACK, paired=True, sized=True),
    Recipe(
        "hexagons",
        ("hexagon pattern", "hexagonal tiles"),
        _hexagon_print,
        (0.34, 0.46),
        _WHITE_BLACK,
        second="lines",
        sized=True,
    ),
    Recipe(
        "camouflage",
        ("camo", "army camouflage", "camouflage pattern"),
        _camouflage,
        (0.36, 0.52),
        (((0.36, 0.40, 0.24), (0.62, 0.56, 0.38)), ((0.66, 0.58, 0.42), (0.48, 0.38, 0.26))),
        paired=True,
        sized=True,
    ),
)
