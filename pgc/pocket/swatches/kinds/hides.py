# SPDX-License-Identifier: Apache-2.0
"""Hides: leather, scales, and the coats of zebra, tiger, leopard, giraffe and cow."""

import numpy as np

from pgc.pocket.data.noise import hash_lattice
from pgc.pocket.swatches.fields import Floats, cells, fractal, noise, ramp, ridges, share, warped
from pgc.pocket.swatches.recipe import Look, Recipe, Surface, Values, mixed, tinted, values

__all__ = ["HIDES"]


def _hair(s: Surface, seed: int) -> Floats:
    """Short hair that lies downwards, deviation 1."""
    return fractal(s.points * np.array([22.0, 22.0, 5.0], np.float32), seed, 2, 0.7)


def _leather(s: Surface, look: Look) -> Values:
    """Pebbled grain between fine creases, rubbed here and there."""
    p = warped(s.points, look.seed, 0.05, 2.5)
    pebble = cells(p * 12.0, look.seed + 1, 0.95)
    crease = ramp(ridges(p * 1.5, look.seed + 3, 3), 0.93, 0.10)
    rise = ramp(pebble.border, 0.10, 0.22) * (1.0 - 0.7 * crease)
    rub = ramp(share(fractal(s.points * 0.9, look.seed + 5, 3)), 0.74, 0.4)
    tone = 0.80 + 0.16 * rise + 0.12 * rub + 0.06 * (pebble.value(look.seed + 7) - 0.5)
    return values(tinted(look.main, tone), 0.56 - 0.14 * rub - 0.06 * rise, 0.009 * rise - 0.006 * crease)


def _scales(s: Surface, look: Look) -> Values:
    """Overlapping rounded scales in staggered rows, each with a keel and a dark rim."""
    u, v = s.flat[:, 0] * 1.9, s.flat[:, 1] * 3.4
    tone, done, height = np.zeros(len(u), np.float32), np.zeros(len(u), bool), np.zeros(len(u), np.float32)
    for above in (1, 0, -1):
        row = np.floor(v) + above
        shifted = u + 0.5 * (row % 2)
        column = np.floor(shifted)
        across, up = shifted - column - 0.5, (row + 0.5 - v) * 0.56
        distance = np.hypot(across, np.maximum(up, 0.0) * 0.98)
        hit = (distance < 0.53) & (up > -0.9) & ~done
        key = np.stack([column, row], -1).astype(np.int64)
        own = 0.84 + 0.26 * hash_lattice(key, look.seed)
        keel = np.clip(1.0 - np.abs(across) / 0.10, 0.0, 1.0)
        shade = own * (0.62 + 0.42 * np.clip(up / 0.45 + 0.3, 0.0, 1.0) + 0.10 * keel)
        tone = np.where(hit, shade * (1.0 - 0.85 * ramp(distance, 0.47, 0.06)), tone).astype(np.float32)
        lift = 0.05 + 0.09 * up - 0.16 * across**2 + 0.012 * keel - 0.06 * ramp(distance, 0.50, 0.06)
        height = np.where(hit, lift, height).astype(np.float32)
        done |= hit
    back = share(fractal(s.points * 0.7, look.seed + 4, 2))
    return values(tinted(mixed(look.main, look.second, 0.45 * back), tone), 0.38, height)


def _zebra(s: Surface, look: Look) -> Values:
    """Wavering stripes that fork, black on white."""
    p = s.points
    bend = fractal(p * np.array([0.7, 0.7, 0.5], np.float32), look.seed, 2, 0.4)
    phase = 2.5 * s.flat[:, 0] * 0.5 + 1.9 * p[:, 2] * (look.variant < 0.5) + 0.85 * bend
    phase = phase + 1.9 * (p[:, 0] + p[:, 1]) * 0.5 * (look.variant >= 0.5)
    wave = np.sin(2.0 * np.pi * phase) + 0.32 * fractal(p * 1.7, look.seed + 3, 2)
    stripe = ramp(wave, 0.05, 0.22)
    hair = _hair(s, look.seed + 9)
    return values(tinted(mixed(look.main, look.second, stripe), 1.0 + 0.045 * hair), 0.72, 0.004 * hair)


def _tiger(s: Surface, look: Look) -> Values:
    """Thin black stripes that taper and break on orange; pale below."""
    p = s.points
    bend = 0.6 * fractal(p * np.array([0.9, 0.9, 0.5], np.float32), look.seed, 2, 0.5)
    wave = np.sin(2.0 * np.pi * (1.7 * p[:, 2] + bend))
    fade = fractal(p * np.array([1.5, 1.5, 0.8], np.float32), look.seed + 5, 2)
    stripe = ramp(wave + 0.42 * fade, 0.62, 0.16)
    hair = _hair(s, look.seed + 9)
    below = ramp(-s.normal[:, 2] + 0.25 * fade, 0.55, 0.6)
    coat = mixed(mixed(look.main, (0.72, 0.38, 0.10), 0.35 * share(fade)), (0.95, 0.90, 0.80), 0.9 * below)
    return values(tinted(mixed(coat, look.second, stripe), 1.0 + 0.05 * hair), 0.74, 0.004 * hair)


def _leopard(s: Surface, look: Look) -> Values:
    """Rosettes: broken dark rings around a deeper ground, small solid spots between them."""
    found = cells(warped(s.points, look.seed, 0.06, 1.6) * 2.3, look.seed + 1, 0.5)
    wobble = 0.05 * fractal(s.points * 3.2, look.seed + 3, 2)
    radius = 0.31 + 0.10 * found.value(look.seed + 5)
    distance = found.first + wobble
    ring = 1.0 - ramp(np.abs(distance - radius), 0.10, 0.035)
    broken = ramp(noise(s.points * 4.6, look.seed + 7), -0.9, 0.35)
    inside = 1.0 - ramp(distance - radius, 0.0, 0.06)
    spots = cells(warped(s.points, look.seed + 60, 0.04, 3.0) * 4.4, look.seed + 11, 0.8)
    spot = (1.0 - ramp(spots.first, 0.24, 0.05)) * ramp(distance, 0.52, 0.04) * (spots.value(look.seed + 12) < 0.8)
    hair = _hair(s, look.seed + 9)
    coat = mixed(look.main, (look.main[0] * 0.82, look.main[1] * 0.66, look.main[2] * 0.46), 0.8 * inside)
    mark = np.maximum(ring * broken, spot)
    return values(tinted(mixed(coat, look.second, mark), 1.0 + 0.05 * hair), 0.74, 0.004 * hair)


def _giraffe(s: Surface, look: Look) -> Values:
    """Brown patches with ragged edges, close together on cream."""
    found = cells(warped(s.points, look.seed, 0.05, 1.8, 2) * 1.35, look.seed + 1, 0.65)
    edge = found.border + 0.010 * fractal(s.points * 6.0, look.seed + 3, 2)
    patch = ramp(edge, 0.07, 0.025)
    tone = 0.82 + 0.28 * found.value(look.seed + 5) - 0.16 * ramp(found.first, 0.1, 0.4) * (look.variant < 0.6)
    hair = _hair(s, look.seed + 9)
    return values(tinted(mixed(look.second, tinted(look.main, tone), patch), 1.0 + 0.04 * hair), 0.75, 0.004 * hair)


def _cow(s: Surface, look: Look) -> Values:
    """Large dark islands with smooth outlines on white."""
    island = fractal(warped(s.points, look.seed, 0.15) * 0.62, look.seed + 1, 3, 0.38)
    mark = ramp(share(island), 0.54 + 0.08 * look.variant, 0.02)
    hair = _hair(s, look.seed + 9)
    return values(tinted(mixed(look.main, look.second, mark), 0.98 + 0.04 * hair), 0.76, 0.004 * hair)


HIDES: tuple[Recipe, ...] = (
    Recipe(
        "leather",
        ("smooth leather", "worn leather", "leather hide"),
        _leather,
        (0.34, 0.48),
        (
            ((0.46, 0.26, 0.14), (0.2, 0.1, 0.05)),
            ((0.62, 0.40, 0.22), (0.3, 0.2, 0.1)),
            ((0.13, 0.12, 0.12), (0.05, 0.05, 0.05)),
        ),
        finishes=("polished", "worn", "dusty"),
    ),
    Recipe(
        "scales",
        ("dragon scales", "reptile scales", "fish scales", "snake skin"),
        _scales,
        (0.26, 0.38),
        (((0.34, 0.44, 0.24), (0.46, 0.42, 0.24)), ((0.42, 0.40, 0.36), (0.30, 0.28, 0.24))),
        adjective="scaly",
        sized=True,
        finishes=("glossy", "wet", "matte"),
    ),
    Recipe(
        "zebra stripes",
        ("zebra fur", "zebra skin", "zebra pattern"),
        _zebra,
        (0.34, 0.46),
        (((0.94, 0.93, 0.90), (0.09, 0.08, 0.08)),),
        "own",
        adjective="zebra striped",
        sized=True,
    ),
    Recipe(
        "tiger stripes",
        ("tiger fur", "tiger skin", "tiger pattern"),
        _tiger,
        (0.34, 0.48),
        (((0.90, 0.52, 0.16), (0.10, 0.07, 0.06)), ((0.82, 0.46, 0.14), (0.08, 0.06, 0.05))),
        "own",
        adjective="tiger striped",
        sized=True,
    ),
    Recipe(
        "leopard spots",
        ("leopard fur", "leopard skin", "leopard print"),
        _leopard,
        (0.34, 0.48),
        (((0.88, 0.69, 0.40), (0.15, 0.10, 0.08)), ((0.82, 0.62, 0.36), (0.12, 0.08, 0.06))),
        "own",
        adjective="leopard spotted",
        sized=True,
    ),
    Recipe(
        "giraffe patches",
        ("giraffe fur", "giraffe skin", "giraffe pattern"),
        _giraffe,
        (0.34, 0.48),
        (((0.58, 0.33, 0.16), (0.92, 0.84, 0.66)), ((0.48, 0.26, 0.13), (0.88, 0.78, 0.58))),
        "own",
        adjective="giraffe patterned",
        sized=True,
    ),
    Recipe(
        "cow hide",
        ("cow fur", "cow skin", "cow spots"),
        _cow,
        (0.42, 0.58),
        (((0.94, 0.93, 0.90), (0.08, 0.07, 0.07)), ((0.93, 0.90, 0.85), (0.38, 0.20, 0.11))),
        "own",
        adjective="cow spotted",
        sized=True,
    ),
)
