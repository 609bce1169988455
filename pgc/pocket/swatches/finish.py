# SPDX-License-Identifier: Apache-2.0
"""What a word of finish does to a material: gloss, water, dust, wear."""

import numpy as np

from pgc.pocket.swatches.fields import Floats, fractal, ramp, share
from pgc.pocket.swatches.recipe import Finish, Surface, Values, mixed, values

__all__ = ["FINISH_WORDS", "ROUGHNESS", "finished"]

ROUGHNESS: dict[Finish, tuple[float, float]] = {
    "polished": (0.05, 0.16), "glossy": (0.07, 0.18), "satin": (0.30, 0.42), "matte": (0.72, 0.95),
    "wet": (0.05, 0.20), "dusty": (0.80, 0.95), "worn": (0.45, 0.65),
}  # fmt: skip
"""Mean roughness that each word stands for; dust and wear lie in patches."""

FINISH_WORDS: dict[Finish, tuple[str, ...]] = {
    "polished": ("polished", "polished", "shiny", "mirror polished"), "glossy": ("glossy", "glossy", "shiny"),
    "satin": ("satin",), "matte": ("matte", "matte", "dull"), "wet": ("wet", "wet", "rain wet"),
    "dusty": ("dusty",), "worn": ("worn", "scratched"),
}  # fmt: skip


def _level(roughness: Floats, target: float) -> Floats:
    """The same unevenness about another mean, fainter where the surface is smooth."""
    return np.float32(target) * (0.7 + 0.6 * roughness)


def _dusty(s: Surface, made: Values, target: float, seed: int) -> Values:
    """Pale dust, more of it where the surface looks up."""
    lies = share(fractal(s.points * 1.3, seed, 4, 0.6) + 1.1 * s.normal[:, 2])
    dust = 0.75 * ramp(lies, 0.55, 0.5)
    color = mixed(made.base_color, (0.66, 0.61, 0.54), dust)
    roughness = made.roughness + (target - made.roughness) * np.maximum(dust, 0.3)
    return values(color, roughness, made.height, made.metallic * (1.0 - dust))


def _worn(s: Surface, made: Values, target: float, seed: int) -> Values:
    """Rubbed patches and scratches that are duller and paler."""
    rub = ramp(share(fractal(s.points * 1.6, seed, 4, 0.6)), 0.55, 0.25)
    line = fractal(s.points * np.array([1.2, 7.0, 26.0], np.float32), seed + 5, 2, 0.8)
    scratch = ramp(line, 1.5, 0.3)
    paler = np.clip(0.16 * rub + 0.30 * scratch, 0.0, 1.0)
    color = mixed(made.base_color, (0.80, 0.78, 0.75), paler * (1.0 - 0.8 * made.metallic))
    roughness = made.roughness + (target - made.roughness) * np.maximum(rub, scratch)
    return values(color, roughness, made.height - 0.004 * scratch, made.metallic)


def finished(s: Surface, made: Values, finish: Finish, target: float, seed: int) -> Values:
    """Puts ``made`` under ``finish``, its roughness about ``target`` (see ``ROUGHNESS``)."""
    match finish:
        case "dusty":
            return _dusty(s, made, target, seed)
        case "worn":
            return _worn(s, made, target, seed)
        case "wet":
            # Water fills pores: darker, deeper colour and a smooth film over half of the relief.
            return values(made.base_color**1.25 * 0.86, _level(made.roughness, target), made.height * 0.6,
                          made.metallic)  # fmt: skip
        case _:
            return values(made.base_color, _level(made.roughness, target), made.height, made.metallic)
