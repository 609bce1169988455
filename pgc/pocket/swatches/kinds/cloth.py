# SPDX-License-Identifier: Apache-2.0
"""Cloth: woven, knitted, piled. Threads lie in the box-mapped coordinates, so that they run level and upright."""

import numpy as np

from pgc.pocket.data.noise import hash_lattice
from pgc.pocket.data.palette import Rgb
from pgc.pocket.swatches.fields import Floats, cells, fractal, hashed, noise, ramp, share, warped
from pgc.pocket.swatches.recipe import Look, Recipe, Surface, Values, mixed, tinted, values

__all__ = ["CLOTH"]


def _layered(flat: Floats, layer: float) -> Floats:
    """Flat coordinates as points of noise; ``layer`` tells one use from another."""
    return np.concatenate([flat, np.full((len(flat), 1), layer, np.float32)], -1).astype(np.float32)


def _fabric(s: Surface, look: Look) -> Values:
    """Plain weave: threads over and under one another, rounded, each a little different."""
    at = s.flat * 7.0
    cell = np.floor(at)
    local = at - cell - 0.5
    over = cell.sum(-1) % 2 > 0.5
    across, along = np.where(over, local[:, 0], local[:, 1]), np.where(over, local[:, 1], local[:, 0])
    thread = np.where(over, cell[:, 0], cell[:, 1])
    tone = 0.88 + 0.2 * hash_lattice(np.stack([thread, over * 1], -1).astype(np.int64), look.seed)
    round_ = (1.0 - (across / 0.52) ** 2) * (1.0 - 0.55 * (along / 0.5) ** 2)
    gap = ramp(np.abs(across), 0.44, 0.1)
    color = tinted(mixed(look.main, look.second, 0.35 * over), tone * (0.62 + 0.42 * np.clip(round_, 0.0, 1.0)))
    color = tinted(color, 1.0 - 0.55 * gap)
    return values(color, 0.9, 0.022 * np.clip(round_, 0.0, 1.0))


def _knit(s: Surface, look: Look) -> Values:
    """Rows of V-shaped stitches of thick yarn."""
    at = s.flat * np.array([4.2, 4.8], np.float32)
    column = np.floor(at[:, 0])
    x = at[:, 0] - column - 0.5
    side = np.abs(x)
    rise = at[:, 1] - 1.25 * side
    stitch = np.floor(rise)
    along = rise - stitch - 0.5
    body = (1.0 - ((side - 0.25) / 0.26) ** 2) * (1.0 - (along / 0.52) ** 2)
    body = np.clip(body, 0.0, 1.0)
    strand = noise(_layered(np.stack([side * 9.0 + along * 3.0, rise * 1.2], -1), 3.0) * np.float32(1.6), look.seed)
    key = np.stack([column, stitch], -1).astype(np.int64)
    tone = 0.92 + 0.1 * hash_lattice(key, look.seed) + 0.05 * strand
    return values(tinted(look.main, tone * (0.42 + 0.62 * np.sqrt(body))), 0.95, 0.085 * np.sqrt(body) + 0.004 * strand)


def _twill(flat: Floats, count: float) -> tuple[Floats, Floats, Floats]:
    """(warp shows 0 to 1, rounded thread, thread number) of a diagonal twill with ``count`` threads a period."""
    at = flat * np.float32(count)
    cell = np.floor(at)
    local = at - cell - 0.5
    phase = np.remainder(cell[:, 0] - cell[:, 1], 3.0)
    warp = phase < 1.5
    across = np.where(warp, local[:, 0], local[:, 1])
    return (
        warp.astype(np.float32),
        np.clip(1.0 - (across / 0.55) ** 2, 0.0, 1.0),
        np.where(warp, cell[:, 0], cell[:, 1]),
    )


def _denim(s: Surface, look: Look) -> Values:
    """Indigo twill over pale weft, faded where it wears."""
    warp, thread, number = _twill(s.flat, 13.0)
    slub = hash_lattice(np.stack([number, warp], -1).astype(np.int64), look.seed)
    streak = noise(_layered(s.flat * np.array([9.0, 1.2], np.float32), 5.0), look.seed + 3)
    fade = ramp(share(fractal(s.points * 0.8, look.seed + 7, 3)), 0.8, 0.9) * 0.35
    pale: Rgb = (0.80, 0.83, 0.87)
    dyed = mixed(look.main, pale, np.clip(0.10 * slub + 0.05 * streak + fade, 0.0, 1.0))
    color = mixed(tinted(pale, 0.82 + 0.1 * slub), dyed, 0.30 + 0.70 * warp)
    return values(tinted(color, 0.72 + 0.30 * thread), 0.92, 0.014 * thread)


def _velvet(s: Surface, look: Look) -> Values:
    """Pile that lies this way and that: broad soft lights and deep shadows, hardly a thread to be seen."""
    nap = fractal(
        warped(s.points, look.seed, 0.2, 0.8) * np.array([0.9, 0.9, 0.55], np.float32), look.seed + 3, 2, 0.35
    )
    pile = noise(s.points * 24.0, look.seed + 7)
    lie = ramp(nap, 0.1, 3.6)
    deep: Rgb = (look.main[0] * 0.5, look.main[1] * 0.46, look.main[2] * 0.48)
    bright: Rgb = (min(1.0, look.main[0] * 1.06 + 0.06), min(1.0, look.main[1] * 1.06 + 0.06),
                   min(1.0, look.main[2] * 1.06 + 0.06))  # fmt: skip
    return values(tinted(mixed(deep, bright, lie), 1.0 + 0.05 * pile), 0.82 - 0.14 * lie, 0.012 * nap + 0.0015 * pile)


def _sett(at: Floats, look: Look) -> Floats:
    """Colours [N, 3] of a tartan's threads along one axis: broad bands, and lines of two more colours."""
    dark = np.asarray(look.main) * 0.28
    line = np.array([0.93, 0.90, 0.82]) if look.variant < 0.6 else np.array([0.92, 0.76, 0.22])
    bands = ((0.26, look.main), (0.31, dark), (0.53, look.second), (0.58, dark), (0.86, look.main), (0.89, line),
             (0.97, look.main), (1.0, line))  # fmt: skip
    place = np.remainder(at, 1.0)
    color = np.zeros((len(at), 3), np.float32)
    start = 0.0
    for end, tone in bands:
        color[(place >= start) & (place < end)] = np.asarray(tone, np.float32)
        start = end
    return color


def _tartan(s: Surface, look: Look) -> Values:
    warp, thread, _ = _twill(s.flat, 17.0)
    upright, level = _sett(s.flat[:, 0] * 1.15, look), _sett(s.flat[:, 1] * 1.15, look)
    color = mixed(level, upright, 0.35 + 0.30 * warp)
    return values(tinted(color, 0.88 + 0.14 * thread), 0.92, 0.008 * thread)


def _carpet(s: Surface, look: Look) -> Values:
    """Short tufts of yarn, no two alike."""
    tuft = cells(warped(s.points, look.seed, 0.04, 3.0) * 8.0, look.seed + 3, 0.9)
    head = np.clip(1.0 - tuft.first / 0.75, 0.0, 1.0)
    twist = noise(s.points * 30.0, look.seed + 5)
    lean = share(fractal(s.points * 0.9, look.seed + 9, 2))
    tone = 0.55 + 0.42 * head + 0.18 * (tuft.value(look.seed + 7) - 0.5) + 0.05 * twist + 0.12 * (lean - 0.5)
    color = mixed(look.main, look.second, 0.5 * (tuft.value(look.seed + 8) > 0.75))
    return values(tinted(color, tone), 1.0, 0.05 * head)


def _wicker(s: Surface, look: Look) -> Values:
    """Basket weave: round rods in front of and behind upright stakes."""
    at = s.flat * np.array([2.4, 7.0], np.float32)
    row = np.floor(at[:, 1])
    rod = at[:, 1] - row - 0.5
    wave = np.cos(np.pi * (at[:, 0] + row))
    front = np.clip(1.0 - (rod / 0.5) ** 2, 0.0, 1.0)
    stake = np.clip(1.0 - ((at[:, 0] - np.round(at[:, 0])) / 0.13) ** 2, 0.0, 1.0) * (wave < 0.0)
    shown = np.maximum(np.sqrt(front) * (0.55 + 0.45 * wave), 0.75 * stake)
    key = np.stack([row, np.floor(0.5 * (at[:, 0] + row))], -1).astype(np.int64)
    streak = noise(_layered(at * np.array([0.6, 7.0], np.float32), 9.0), look.seed + 3)
    tone = 0.80 + 0.24 * hash_lattice(key, look.seed) + 0.05 * streak
    color = tinted(
        mixed(look.second, look.main, ramp(shown, 0.3, 0.5)), tone * (0.40 + 0.62 * np.clip(shown, 0.0, 1.0))
    )
    return values(color, 0.66, 0.075 * shown + 0.001 * hashed(look.seed, 1)[0])


CLOTH: tuple[Recipe, ...] = (
    Recipe(
        "fabric",
        ("woven fabric", "cloth", "linen", "textile"),
        _fabric,
        (0.24, 0.34),
        (((0.80, 0.74, 0.62), (0.70, 0.63, 0.51)), ((0.62, 0.60, 0.57), (0.50, 0.49, 0.47))),
    ),
    Recipe(
        "knit",
        ("knitted wool", "wool", "knitwear"),
        _knit,
        (0.24, 0.36),
        (((0.84, 0.80, 0.72), (0.6, 0.6, 0.6)), ((0.56, 0.55, 0.54), (0.4, 0.4, 0.4))),
        adjective="knitted",
    ),
    Recipe(
        "denim",
        ("blue denim", "jeans", "denim fabric"),
        _denim,
        (0.26, 0.38),
        (((0.20, 0.30, 0.50), (0.8, 0.83, 0.87)), ((0.13, 0.19, 0.33), (0.8, 0.83, 0.87))),
        "own",
    ),
    Recipe(
        "velvet",
        ("soft velvet", "velvet cloth"),
        _velvet,
        (0.40, 0.60),
        (((0.50, 0.06, 0.12), (0.2, 0.0, 0.0)), ((0.10, 0.16, 0.44), (0.0, 0.0, 0.2))),
    ),
    Recipe(
        "tartan",
        ("tartan cloth", "plaid", "tartan wool"),
        _tartan,
        (0.40, 0.56),
        (((0.70, 0.10, 0.12), (0.10, 0.28, 0.18)), ((0.10, 0.30, 0.22), (0.12, 0.16, 0.42))),
        paired=True,
    ),
    Recipe(
        "carpet",
        ("rug", "shaggy carpet", "wool carpet"),
        _carpet,
        (0.34, 0.48),
        (((0.72, 0.66, 0.56), (0.56, 0.49, 0.40)), ((0.48, 0.47, 0.47), (0.36, 0.36, 0.36))),
        adjective="carpeted",
    ),
    Recipe(
        "wicker",
        ("woven wicker", "rattan", "basket weave"),
        _wicker,
        (0.34, 0.46),
        (((0.74, 0.55, 0.33), (0.30, 0.19, 0.10)), ((0.52, 0.33, 0.18), (0.20, 0.12, 0.07))),
    ),
)
