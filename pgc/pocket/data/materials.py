# SPDX-License-Identifier: Apache-2.0
"""Procedural materials: eleven colours times twelve patterns, as pure functions of surface points.

Patterns are solid (functions of position) or box-mapped (the two coordinates across the dominant
axis of the normal), so that they sit on any mesh without UVs. Positions are in the units of the
normalised mesh ([-0.8, 0.8]^3); the features are 0.1 to 0.5 wide, which is 8 to 28 pixels in a
128-pixel render by the usual cameras.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pgc.pocket.data.noise import cell_distances, fractal_noise, hash_lattice, value_noise
from pgc.pocket.data.palette import COLORS, ColorName, Rgb, jittered, mixed, scaled, second_tone, third_tone

Floats = NDArray[np.floating[Any]]  # float32 in effect; some steps pass through float64
MaterialName = Literal[
    "brick", "wood", "marble", "checker", "stripes", "dots",
    "camouflage", "rust", "cobblestone", "fabric", "scales", "plain",
]  # fmt: skip
MATERIALS: tuple[MaterialName, ...] = get_args(MaterialName)
__all__ = ["COLORS", "MATERIALS", "ColorName", "MaterialName", "MaterialParams", "sample_material", "shade_points"]

_PERIOD_RANGES: dict[MaterialName, tuple[float, float]] = {
    "brick": (0.40, 0.54),
    "wood": (0.30, 0.40),
    "marble": (0.50, 0.70),
    "checker": (0.34, 0.46),
    "stripes": (0.24, 0.34),
    "dots": (0.26, 0.34),
    "camouflage": (0.30, 0.42),
    "rust": (0.34, 0.48),
    "cobblestone": (0.24, 0.32),
    "fabric": (0.20, 0.26),
    "scales": (0.26, 0.34),
    "plain": (1.0, 1.0),
}


@dataclass(frozen=True)
class MaterialParams:
    """One concrete material. Colours are sRGB in [0, 1]; ``period`` is in object units."""

    material: MaterialName
    color: ColorName
    main: Rgb
    second: Rgb
    third: Rgb
    period: float
    offset: tuple[float, float, float]
    direction: tuple[float, float, float]
    noise_seed: int


@dataclass(frozen=True)
class _Surface:
    """Points as a pattern sees them: in periods, with box-mapped coordinates beside them."""

    points: Floats  # [N, 3], in periods, offset applied
    uv: Floats  # [N, 2], box-mapped, in periods
    params: MaterialParams


def sample_material(rng: np.random.Generator, color: ColorName, material: MaterialName) -> MaterialParams:
    """Draws the jittered colours, size, offset and direction of one material."""
    main, second = jittered(rng, color), second_tone(rng, color)
    period = float(rng.uniform(*_PERIOD_RANGES[material]))
    # Mostly axis-aligned directions: "stripes" on real objects seldom run askew.
    direction = np.eye(3)[rng.choice(3, p=[0.25, 0.25, 0.5])] + rng.normal(0.0, 0.12, 3)
    if rng.random() < 0.2:
        direction = rng.normal(0.0, 1.0, 3)
    direction = direction / np.linalg.norm(direction)
    return MaterialParams(
        material=material,
        color=color,
        main=main,
        second=second,
        third=third_tone(color, main),
        period=period,
        offset=(float(rng.uniform(0, 1)), float(rng.uniform(0, 1)), float(rng.uniform(0, 1))),
        direction=(float(direction[0]), float(direction[1]), float(direction[2])),
        noise_seed=int(rng.integers(1, 2**20)),
    )


def _box_uv(positions: Floats, normals: Floats) -> Floats:
    """Coordinates [N, 2] across the dominant normal axis: v runs up walls, u around them."""
    axis = np.abs(normals).argmax(axis=-1)[:, None]
    x, y, z = positions[:, 0], positions[:, 1], positions[:, 2]
    side_x, side_y, top = np.stack([y, z], -1), np.stack([x, z], -1), np.stack([x, y], -1)
    return np.where(axis == 0, side_x, np.where(axis == 1, side_y, top)).astype(np.float32)


def _step(value: Floats, edge: float, width: float) -> Floats:
    """Smooth 0 to 1 ramp of ``width`` centred on ``edge``."""
    t = np.clip((value - edge) / width + 0.5, 0.0, 1.0)
    return (t * t * (3.0 - 2.0 * t)).astype(np.float32)


def _blend(first: Rgb | Floats, second: Rgb | Floats, weight: Floats) -> Floats:
    a, b = np.asarray(first, np.float32), np.asarray(second, np.float32)
    return (a + (b - a) * weight[:, None]).astype(np.float32)


def _brick(s: _Surface) -> Floats:
    row = np.floor(s.uv[:, 1] * 2.2)
    along = s.uv[:, 0] + 0.5 * (row % 2)
    column = np.floor(along)
    in_u, in_v = along - column, (s.uv[:, 1] * 2.2 - row) / 2.2
    edge = np.minimum(np.minimum(in_u, 1.0 - in_u), np.minimum(in_v, 1.0 / 2.2 - in_v))
    tone = 0.80 + 0.26 * hash_lattice(np.stack([column, row], -1).astype(np.int64), s.params.noise_seed)
    grain = 0.94 + 0.12 * value_noise(s.points * 14.0, s.params.noise_seed)
    brick = np.asarray(s.params.main, np.float32) * (tone * grain)[:, None]
    return _blend(s.params.second, brick, _step(edge, 0.045, 0.02))


def _wood(s: _Surface) -> Floats:
    """Planks with streaks along the grain and thin dark gaps."""
    across, along = s.uv[:, 0], s.uv[:, 1]
    plank = np.floor(across)
    inside = across - plank
    plank_tone = hash_lattice(np.stack([plank, plank * 0], -1).astype(np.int64), s.params.noise_seed)
    bend = 0.22 * value_noise(np.stack([across * 1.2, along * 0.9 + plank * 7.0, plank], -1), s.params.noise_seed + 5)
    streak_at = np.stack([(across + bend) * 8.0, along * 0.7 + plank * 13.0, plank * 3.0], -1)
    streak = fractal_noise(streak_at.astype(np.float32), s.params.noise_seed, 2)
    weight = 0.75 * _step(streak, 0.54, 0.22)
    wood = _blend(s.params.main, s.params.third, weight) * (0.88 + 0.18 * plank_tone)[:, None]
    gap = _step(np.minimum(inside, 1.0 - inside), 0.04, 0.02)
    return _blend(scaled(s.params.third, 0.5), wood, gap)


def _marble(s: _Surface) -> Floats:
    """A few strong winding veins, and faint clouds."""
    warp = np.stack([fractal_noise(s.points * 1.6 + shift, s.params.noise_seed + 3) for shift in (0.0, 31.0, 67.0)], -1)
    warped = s.points * 0.9 + 1.6 * (warp - 0.5)
    ridge = np.abs(2.0 * fractal_noise(warped, s.params.noise_seed, 2) - 1.0)
    fine = np.abs(2.0 * value_noise(warped * 2.3 + 9.0, s.params.noise_seed + 9) - 1.0)
    vein = np.maximum(1.0 - _step(ridge, 0.09, 0.10), 0.6 * (1.0 - _step(fine, 0.06, 0.08)))
    cloud = 0.9 + 0.2 * warp[:, :1]
    return _blend(np.asarray(s.params.main, np.float32) * cloud, s.params.second, vein)


def _checker(s: _Surface) -> Floats:
    parity = np.floor(s.uv * 2.0).sum(-1) % 2
    return _blend(s.params.main, s.params.second, parity.astype(np.float32))


def _stripes(s: _Surface) -> Floats:
    """Box-mapped, so that no flat face lies inside one stripe; mostly level or upright."""
    x, y, z = s.params.direction
    phase = s.uv @ np.array([np.hypot(x, y), z], np.float32)
    wave = np.abs((phase % 1.0) - 0.5) * 2.0
    return _blend(s.params.main, s.params.second, _step(wave, 0.52, 0.06))


def _dots(s: _Surface) -> Floats:
    row = np.floor(s.uv[:, 1])
    local = np.stack([(s.uv[:, 0] + 0.5 * (row % 2)) % 1.0, s.uv[:, 1] - row], -1) - 0.5
    return _blend(s.params.second, s.params.main, _step(np.linalg.norm(local, axis=-1), 0.29, 0.05))


def _camouflage(s: _Surface) -> Floats:
    dark = _step(fractal_noise(s.points * 1.1, s.params.noise_seed, 2), 0.56, 0.03)
    light = _step(fractal_noise(s.points * 1.1 + 40.0, s.params.noise_seed + 7, 2), 0.58, 0.03)
    paler = mixed(s.params.main, (0.80, 0.76, 0.64), 0.6)
    deeper = scaled(s.params.main, 0.42)
    if s.params.color == "black":
        paler, deeper = (0.52, 0.52, 0.50), (0.28, 0.28, 0.27)
    elif s.params.color == "white":
        paler, deeper = (0.78, 0.78, 0.76), (0.55, 0.55, 0.54)
    return _blend(_blend(s.params.main, paler, light), deeper, dark)


def _rust(s: _Surface) -> Floats:
    """Paint with rough orange-brown patches (darker ones where the paint itself is close to rust)."""
    patch = fractal_noise(s.points * 1.2, s.params.noise_seed, 4)
    rough = fractal_noise(s.points * 7.0 + 20.0, s.params.noise_seed + 11, 2)
    close = s.params.color in ("orange", "brown", "red")
    bright, deep = ((0.45, 0.20, 0.07), (0.16, 0.08, 0.05)) if close else ((0.66, 0.32, 0.10), (0.30, 0.13, 0.06))
    if s.params.color == "brown":
        bright, deep = (0.78, 0.40, 0.14), (0.55, 0.24, 0.08)
    rust = _blend(bright, deep, _step(rough, 0.5, 0.35))
    return _blend(s.params.main, rust, _step(patch + 0.10 * (rough - 0.5), 0.535, 0.035))


def _cobblestone(s: _Surface) -> Floats:
    first, second, identity = cell_distances(s.points, s.params.noise_seed)
    edge = second - first
    tone = (0.72 + 0.36 * identity) * (0.78 + 0.30 * _step(edge, 0.30, 0.5))
    gap = (0.26, 0.25, 0.24) if s.params.color != "black" else (0.60, 0.59, 0.57)
    return _blend(gap, np.asarray(s.params.main, np.float32) * tone[:, None], _step(edge, 0.13, 0.06))


def _fabric(s: _Surface) -> Floats:
    """Plain weave: threads over and under one another, rounded, with dark gaps."""
    cell = np.floor(s.uv * 2.0)
    local = s.uv * 2.0 - cell - 0.5
    over = (cell.sum(-1) % 2).astype(np.float32)
    across = np.where(over > 0.5, local[:, 0], local[:, 1])
    along = np.where(over > 0.5, local[:, 1], local[:, 0])
    thread = _blend(s.params.main, mixed(s.params.main, s.params.second, 0.6), over)
    shade = (1.0 - 1.5 * across**2) * (1.0 - 0.9 * along**2)
    gap = _step(np.abs(across), 0.40, 0.10)
    return _blend(thread * shade[:, None], scaled(s.params.third, 0.6), 0.85 * gap)


def _scales(s: _Surface) -> Floats:
    """Overlapping rounded scales in staggered rows: bright towards the tip, with a dark rim."""
    u, v = s.uv[:, 0], s.uv[:, 1] * 2.0
    tone = np.zeros(len(u), dtype=np.float32)
    done = np.zeros(len(u), dtype=bool)
    # A scale of an upper row lies over the rows below it, so the first hit from above wins.
    for above in (1, 0, -1):
        row = np.floor(v) + above
        local_u = (u + 0.5 * (row % 2)) % 1.0 - 0.5
        local_v = (row + 0.5 - v) * 0.5
        distance = np.hypot(local_u, np.maximum(local_v, 0.0) * 0.95)
        hit = (distance < 0.52) & ~done
        edge = _step(distance, 0.43, 0.05)
        shade = (0.60 + 0.40 * np.clip(local_v / 0.45 + 0.25, 0.0, 1.0)) * (1.0 - edge)
        tone = np.where(hit, shade, tone).astype(np.float32)
        done |= hit
    rim = s.params.second if s.params.color == "black" else scaled(s.params.third, 0.5)
    return _blend(rim, np.asarray(s.params.main, np.float32) * np.float32(1.1), tone)


def _plain(s: _Surface) -> Floats:
    return np.broadcast_to(np.asarray(s.params.main, np.float32), s.points.shape)


_PATTERNS: dict[MaterialName, Callable[[_Surface], Floats]] = {
    "brick": _brick, "wood": _wood, "marble": _marble, "checker": _checker, "stripes": _stripes, "dots": _dots,
    "camouflage": _camouflage, "rust": _rust, "cobblestone": _cobblestone, "fabric": _fabric, "scales": _scales,
    "plain": _plain,
}  # fmt: skip


def shade_points(params: MaterialParams, positions: Floats, normals: Floats) -> Floats:
    """Computes the base colour, sRGB in [0, 1], float32 [N, 3], of surface points.

    ``positions`` [N, 3] are in normalised object units ([-0.8, 0.8]^3), ``normals`` [N, 3] unit
    vectors in the same axes (Z up). The same point always gets the same colour.
    """
    positions = np.asarray(positions, np.float32)
    scale, offset = np.float32(1.0 / params.period), np.asarray(params.offset, np.float32)
    # Box-mapped patterns look at the same offset, so that a wall's u and its neighbour's agree.
    points = positions * scale + offset
    surface = _Surface(points, _box_uv(points, np.asarray(normals, np.float32)), params)
    return np.clip(_PATTERNS[params.material](surface), 0.0, 1.0).astype(np.float32)
