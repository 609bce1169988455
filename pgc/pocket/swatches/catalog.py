# SPDX-License-Identifier: Apache-2.0
"""All materials, family by family."""

from pgc.pocket.swatches.kinds.cloth import CLOTH
from pgc.pocket.swatches.kinds.ground import GROUND
from pgc.pocket.swatches.kinds.hides import HIDES
from pgc.pocket.swatches.kinds.made import MADE
from pgc.pocket.swatches.kinds.masonry import MASONRY
from pgc.pocket.swatches.kinds.metals import METALS
from pgc.pocket.swatches.kinds.prints import PRINTS
from pgc.pocket.swatches.kinds.stones import STONES
from pgc.pocket.swatches.kinds.woods import WOODS
from pgc.pocket.swatches.recipe import Recipe

__all__ = ["RECIPES"]

RECIPES: tuple[Recipe, ...] = (*WOODS, *STONES, *MASONRY, *METALS, *CLOTH, *HIDES, *GROUND, *MADE, *PRINTS)
