# SPDX-License-Identifier: Apache-2.0
"""Which materials go together in which layout, and how that is said."""

import functools

from pgc.pocket.swatches.catalog import RECIPES
from pgc.pocket.swatches.compose import Layout
from pgc.pocket.swatches.recipe import Recipe

__all__ = ["LAYOUT_PHRASES", "partners"]

_BASES: dict[Layout, tuple[str, ...]] = {
    "bands": ("oak", "walnut", "pine", "planks", "leather", "marble", "granite", "slate", "porcelain", "steel",
              "iron", "copper", "velvet", "concrete", "plastic", "wicker"),
    "patches": ("rusty iron", "rusty metal", "steel", "iron", "planks", "concrete", "plaster", "bricks", "stone wall",
                "oak", "galvanised steel"),
    "top": ("cobblestone", "stone wall", "bricks", "planks", "bark", "concrete", "slate", "granite", "roof tiles",
            "rusty iron", "sandstone", "oak"),
}  # fmt: skip
_OTHERS: dict[Layout, tuple[str, ...]] = {
    "bands": ("gold", "brass", "copper", "steel", "iron", "silver", "bronze", "leather", "hammered copper"),
    "patches": ("paint",),
    "top": ("snow", "moss", "snow", "moss", "sand", "ice"),
}
LAYOUT_PHRASES: dict[Layout, tuple[str, ...]] = {
    "bands": ("{a} with {b}", "{a} with {b} bands", "{a} with {b} fittings", "{a} with {b} trim"),
    "patches": ("{a} with peeling {b}", "{a} with old {b}", "{a} with patches of {b}", "{a} with flaking {b}"),
    "top": ("{a} with {b} on top", "{b} covered {a}", "{a} under {b}", "{a} with {b}"),
}


def _named(names: tuple[str, ...]) -> tuple[Recipe, ...]:
    found = tuple(recipe for name in names for recipe in RECIPES if recipe.name == name)
    if len(found) != len(names):
        raise ValueError(f"{set(names) - {recipe.name for recipe in found}} are no materials of the catalog.")
    return found


@functools.cache
def partners(layout: Layout) -> tuple[tuple[Recipe, ...], tuple[Recipe, ...]]:
    """Returns the (materials below, materials above) that a layout is drawn of."""
    return _named(_BASES[layout]), _named(_OTHERS[layout])
