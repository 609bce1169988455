# SPDX-License-Identifier: Apache-2.0
"""All materials, family by family."""

from pgc.pocket.swatches.cloth import CLOTH
from pgc.pocket.swatches.ground import GROUND
from pgc.pocket.swatches.hides import HIDES
from pgc.pocket.swatches.made import MADE
from pgc.pocket.swatches.masonry import MASONRY
from pgc.pocket.swatches.metals import METALS
from pgc.pocket.swatches.prints import PRINTS
from pgc.pocket.swatches.recipe import Recipe
from pgc.pocket.swatches.stones import STONES
from pgc.pocket.swatches.woods import WOODS

__all__ = ["RECIPES"]

RECIPES: tuple[Recipe, ...] = (*WOODS, *STONES, *MASONRY, *METALS, *CLOTH, *HIDES, *GROUND, *MADE, *PRINTS)
