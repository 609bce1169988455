# SPDX-License-Identifier: Apache-2.0
"""Two materials on one thing: bands of one on the other, patches that peel or grow, what lies on top."""

from typing import Literal, get_args

import numpy as np

from pgc.pocket.swatches.fields import Floats, fractal, hashed, ramp, share, warped
from pgc.pocket.swatches.recipe import Values, mixed, values

__all__ = ["LAYOUTS", "Layout", "composed", "coverage"]

Layout = Literal["bands", "patches", "top"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)

_RAISED: dict[Layout, float] = {"bands": 0.02, "patches": 0.008, "top": 0.02}
"""Object units by which the second material stands out."""


def coverage(layout: Layout, positions: Floats, normals: Floats, seed: int, period: float) -> Floats:
    """Says how far the second material covers the first, [N] in [0, 1]; ``period`` is the layout's own, in object
    units."""
    drawn = hashed(seed, 4)
    points = np.asarray(positions, np.float32) / np.float32(period)
    match layout:
        case "bands":
            # Level hoops, now and then upright straps as well.
            at = points[:, 2] + drawn[0]
            place = np.abs(at - np.floor(at) - 0.5)
            band = 1.0 - ramp(place, 0.13 + 0.09 * float(drawn[1]), 0.02)
            return band
        case "patches":
            field = share(fractal(warped(points, seed, 0.16, 2.0), seed + 3, 5, 0.62))
            return ramp(field, 0.58 - 0.2 * float(drawn[1]), 0.02)
        case "top":
            lies = np.asarray(normals)[:, 2] + 0.30 * fractal(points * np.float32(1.4), seed, 4, 0.6)
            return ramp(lies, 0.25 + 0.2 * float(drawn[1]), 0.14)


def composed(first: Values, second: Values, cover: Floats, layout: Layout) -> Values:
    """Lays ``second`` over ``first`` where ``cover`` [N] is 1; heights in object units."""

    def between(a: Floats, b: Floats) -> Floats:
        """Mixes two values by the cover."""
        return a + (b - a) * cover

    return values(
        mixed(first.base_color, second.base_color, cover),
        between(first.roughness, second.roughness),
        between(first.height, second.height + _RAISED[layout]),
        between(first.metallic, second.metallic),
    )
