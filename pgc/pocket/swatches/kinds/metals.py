# SPDX-License-Identifier: Apache-2.0
"""Metals, bare and treated, and what time and paint make of them. Metals carry their colour in the base colour."""

import numpy as np

from pgc.pocket.data.palette import Rgb
from pgc.pocket.swatches.fields import Floats, cells, fractal, noise, ramp, ridges, share, warped
from pgc.pocket.swatches.recipe import Look, Recipe, Surface, Tones, Values, mixed, tinted, values

__all__ = ["METALS", "METAL_TONES", "bare_metal"]

METAL_TONES: dict[str, Rgb] = {
    "gold": (1.0, 0.86, 0.57), "silver": (0.98, 0.975, 0.96), "copper": (0.96, 0.70, 0.58),
    "bronze": (0.85, 0.69, 0.50), "brass": (0.95, 0.87, 0.64), "steel": (0.80, 0.79, 0.78),
    "iron": (0.73, 0.725, 0.72), "chrome": (0.84, 0.85, 0.86), "aluminium": (0.96, 0.96, 0.965),
}  # fmt: skip
"""Reflectance at normal incidence, sRGB, rounded from published optical constants."""

_RUST: tuple[Rgb, Rgb, Rgb] = ((0.62, 0.31, 0.12), (0.40, 0.18, 0.08), (0.26, 0.13, 0.08))


def bare_metal(s: Surface, look: Look) -> Values:
    """Makes smooth metal with faint smudges in its gloss."""
    smudge = share(fractal(s.points * 1.2, look.seed, 3))
    return values(tinted(look.main, np.ones(len(smudge), np.float32)), 0.16 + 0.16 * look.variant + 0.05 * smudge,
                  0.0, 1.0)  # fmt: skip


def _brushed(s: Surface, look: Look) -> Values:
    """Fine parallel scratches along one direction of the surface."""
    across, along = (1, 0) if look.variant < 0.6 else (0, 1)
    at = np.stack([s.flat[:, across] * 26.0, s.flat[:, along] * 0.8, s.flat[:, across] * 0.0], -1).astype(np.float32)
    scratch = fractal(at, look.seed, 2, 0.8)
    return values(tinted(look.main, 0.95 + 0.055 * scratch), 0.38 + 0.06 * scratch, 0.0018 * scratch, 1.0)


def _hammered(s: Surface, look: Look) -> Values:
    """Round dents side by side, as a hammer leaves them."""
    found = cells(s.points * 3.2, look.seed, 0.6)
    dent = np.clip(found.first / 0.62, 0.0, 1.0) ** 2
    tone = 0.90 + 0.10 * found.value(look.seed + 3) - 0.06 * (1.0 - dent)
    return values(tinted(look.main, tone), 0.20 + 0.10 * look.variant, 0.075 * dent, 1.0)


def _galvanised(s: Surface, look: Look) -> Values:
    """Zinc: large flat crystals, each gray and glossy in its own way."""
    found = cells(warped(s.points, look.seed, 0.05, 3.0) * 2.7, look.seed + 1, 0.95)
    tone = 0.70 + 0.30 * found.value(look.seed + 2)
    feather = noise(s.points * np.array([4.0, 4.0, 14.0], np.float32), look.seed + 5)
    color = tinted(look.main, tone + 0.03 * feather)
    return values(color, 0.30 + 0.28 * found.value(look.seed + 3), 0.0, 1.0)


def rust_colors(s: Surface, seed: int) -> Floats:
    """Returns the base colour of rust: orange to dark brown, in layers and grains."""
    layer, grain = share(fractal(s.points * 2.3, seed, 4, 0.6)), share(fractal(s.points * 11.0, seed + 5, 3, 0.8))
    return mixed(mixed(_RUST[0], _RUST[1], layer), _RUST[2], 0.65 * ramp(grain, 0.62, 0.5))


def _rusty(s: Surface, look: Look) -> Values:
    """Iron or steel that rust eats in rough patches; it is no metal where it is rust."""
    patch = fractal(warped(s.points, look.seed + 2, 0.2) * 1.1, look.seed, 5, 0.62)
    covered = ramp(share(patch), 0.30 + 0.25 * look.variant, 0.07)
    grain = fractal(s.points * 10.0, look.seed + 7, 3, 0.75)
    metal = tinted((look.main[0] * 0.72, look.main[1] * 0.70, look.main[2] * 0.68), 0.94 + 0.05 * grain)
    color = mixed(metal, rust_colors(s, look.seed + 9), covered)
    return values(color, 0.42 + 0.48 * covered, covered * (0.012 + 0.012 * grain), 1.0 - covered)


def _patina(s: Surface, look: Look) -> Values:
    """Copper or bronze under streaks of green verdigris that run down."""
    run = s.points * np.array([2.2, 2.2, 0.5], np.float32)
    streak = fractal(warped(run, look.seed, 0.25), look.seed + 3, 4, 0.6) + 0.6 * fractal(s.points, look.seed + 5, 3)
    covered = ramp(share(streak / 1.17), 0.36 + 0.2 * look.variant, 0.16)
    chalk = share(fractal(s.points * 8.0, look.seed + 7, 3, 0.7))
    green = mixed(look.second, (0.62, 0.80, 0.72), 0.6 * chalk)
    brown = mixed(look.main, (0.40, 0.27, 0.19), 0.65 * ramp(share(streak / 1.17), 0.18, 0.3))
    return values(mixed(brown, green, covered), 0.34 + 0.52 * covered, 0.010 * covered * chalk, 1.0 - covered)


def _chipped_paint(s: Surface, look: Look) -> Values:
    """Paint with sharp-edged chips down to gray metal, rust along some of the edges."""
    chip = fractal(warped(s.points, look.seed, 0.16, 2.5) * 1.25, look.seed + 3, 5, 0.66)
    level = share(chip)
    lost = 0.24 + 0.14 * look.variant
    paint = ramp(level, lost, 0.018)
    fine = fractal(s.points * 9.0, look.seed + 8, 3, 0.7)
    rim = ramp(level, lost - 0.11, 0.10) * (1.0 - paint)
    metal = tinted((0.56, 0.55, 0.54), 0.95 + 0.06 * fine)
    below = mixed(metal, rust_colors(s, look.seed + 9), 0.85 * rim)
    coat = tinted(look.main, 0.97 + 0.025 * fine - 0.10 * ramp(share(fractal(s.points, look.seed + 12, 3)), 0.8, 0.3))
    rough = (1.0 - paint) * (0.40 + 0.45 * rim) + paint * 0.42
    return values(mixed(below, coat, paint), rough, 0.022 * paint + 0.002 * fine, (1.0 - paint) * (1.0 - rim))


def _gold_leaf(s: Surface, look: Look) -> Values:
    """Square leaves with wrinkles and torn overlaps over a red ground that shows in the cracks."""
    flat = warped(s.flat, look.seed, 0.03, 3.0, 3) * 1.6
    local = flat - np.floor(flat)
    seam = np.minimum(np.minimum(local[:, 0], 1.0 - local[:, 0]), np.minimum(local[:, 1], 1.0 - local[:, 1]))
    wrinkle = ridges(warped(s.points, look.seed + 3, 0.2, 2.0) * 2.6, look.seed + 5, 3)
    lost = ramp(share(fractal(s.points * 3.4, look.seed + 9, 4, 0.75)) - 0.35 * (seam < 0.04), 0.07, 0.04)
    tone = 0.95 + 0.06 * fractal(flat[:, [0, 1, 1]] * 0.5, look.seed + 11, 2)
    gold = mixed(tinted(look.main, tone), (0.88, 0.66, 0.34), 0.5 * ramp(seam, 0.02, 0.03) * (seam < 0.035))
    height = 0.008 * ramp(wrinkle, 0.85, 0.3) + 0.01 * lost
    return values(mixed(look.second, gold, lost), 0.75 - 0.50 * lost, height, lost)


def _diamond_plate(s: Surface, look: Look) -> Values:
    """Sheet metal with raised lozenges that lie crosswise in turn."""
    flat = s.flat * 3.4
    cell = np.floor(flat)
    local = flat - cell - 0.5
    turned = (cell.sum(-1) % 2) > 0.5
    slant = np.where(turned, 1.0, -1.0)
    along = (local[:, 0] + slant * local[:, 1]) * np.float32(0.7071)
    across = (local[:, 1] - slant * local[:, 0]) * np.float32(0.7071)
    bump = np.clip(1.0 - (along / 0.46) ** 2 - (across / 0.13) ** 2, 0.0, 1.0) ** 0.6
    worn = share(fractal(s.points * 2.0, look.seed, 3))
    tone = 0.80 + 0.12 * bump + 0.05 * worn
    return values(tinted(look.main, tone), 0.38 - 0.14 * bump + 0.1 * worn, 0.05 * bump, 1.0)


def _tones(*names: str) -> tuple[Tones, ...]:
    return tuple((METAL_TONES[name], METAL_TONES[name]) for name in names)


_STEEL = _tones("steel", "iron")
_MORE_NOUNS = {"aluminium": ("aluminum",), "steel": ("stainless steel",)}
METALS: tuple[Recipe, ...] = (
    *(
        Recipe(
            name,
            (f"{name} metal", *_MORE_NOUNS.get(name, ())),
            bare_metal,
            (0.5, 0.8),
            _tones(name),
            "own",
            finishes=("polished", "polished", "matte", "satin", "worn"),
            weight=1.0 if name == "gold" else 0.5,
        )
        for name in METAL_TONES
    ),
    Recipe(
        "metal",
        ("smooth metal",),
        bare_metal,
        (0.5, 0.8),
        _STEEL,
        adjective="metallic",
        finishes=("polished", "matte", "satin", "worn"),
    ),
    *(
        Recipe(f"brushed {name}", (f"brushed {name} metal",), _brushed, (0.34, 0.50), _tones(name), "own", weight=0.4)
        for name in ("steel", "aluminium", "brass", "copper", "gold")
    ),
    *(
        Recipe(
            f"hammered {name}", (f"hammered {name} metal",), _hammered, (0.30, 0.44), _tones(name), "own", weight=0.4
        )
        for name in ("copper", "silver", "gold", "iron", "bronze")
    ),
    Recipe(
        "galvanised steel",
        ("galvanized steel", "galvanised metal", "zinc"),
        _galvanised,
        (0.36, 0.54),
        (((0.82, 0.83, 0.84), (0.70, 0.71, 0.72)),),
        "own",
    ),
    *(
        Recipe(f"rusty {noun}", (f"rusted {noun}",), _rusty, (0.40, 0.60), _STEEL, "own", weight=0.6)
        for noun in ("iron", "metal", "steel")
    ),
    Recipe(
        "copper patina",
        ("verdigris", "oxidized copper", "green patina"),
        _patina,
        (0.40, 0.60),
        (((0.86, 0.60, 0.48), (0.33, 0.62, 0.54)), ((0.70, 0.52, 0.34), (0.36, 0.60, 0.50))),
        "own",
    ),
    Recipe(
        "chipped paint",
        ("peeling paint", "chipped painted metal", "old paint"),
        _chipped_paint,
        (0.40, 0.60),
        (((0.36, 0.52, 0.58), (0.5, 0.5, 0.5)), ((0.62, 0.20, 0.16), (0.5, 0.5, 0.5))),
    ),
    Recipe(
        "gold leaf",
        ("gilded wood", "gold leaf gilding"),
        _gold_leaf,
        (0.40, 0.56),
        (((1.0, 0.85, 0.52), (0.48, 0.17, 0.11)),),
        "own",
    ),
    Recipe(
        "diamond plate",
        ("checker plate", "tread plate"),
        _diamond_plate,
        (0.40, 0.54),
        _tones("steel", "aluminium"),
        "own",
    ),
)
