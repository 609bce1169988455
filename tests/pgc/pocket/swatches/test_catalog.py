# SPDX-License-Identifier: Apache-2.0
"""Every material: repeatable, in range, with the contrast, the metal and the relief that its name promises."""

import numpy as np
import pytest

from pgc.pocket.swatches.catalog import RECIPES
from pgc.pocket.swatches.draw import Substance, substance
from pgc.pocket.swatches.recipe import Recipe, Surface, Values, box_mapped, surface_of

ASKED = {
    "oak", "walnut", "pine", "planks", "plywood", "granite", "marble", "slate", "sandstone", "cobblestone", "terrazzo",
    "concrete", "plaster", "bricks", "tiles", "gold", "silver", "copper", "brushed steel", "hammered copper",
    "galvanised steel", "rusty iron", "copper patina", "chipped paint", "gold leaf", "leather", "knit", "denim",
    "velvet", "tartan", "carpet", "scales", "zebra stripes", "tiger stripes", "leopard spots", "giraffe patches",
    "cow hide", "camouflage", "snow", "ice", "lava", "moss", "bark", "sand", "dirt", "honeycomb", "carbon fibre",
    "porcelain", "plastic", "rubber", "checks", "stripes", "polka dots",
}  # fmt: skip
SMOOTH = {"plastic", "rubber", "paint", "porcelain", "metal"}


def ball(count: int = 4000) -> np.ndarray:
    points = np.random.default_rng(0).normal(size=(count, 3))
    return (points / np.linalg.norm(points, axis=-1, keepdims=True)).astype(np.float32)


def made(recipe: Recipe, seed: int = 4) -> tuple[Substance, Surface, Values]:
    one = substance(np.random.default_rng(seed), recipe, 0.0)
    surface = surface_of(ball() * 0.7, ball(), one.look)
    return one, surface, recipe.paint(surface, one.look)


def test_all_materials_that_were_asked_for_are_there() -> None:
    names = [recipe.name for recipe in RECIPES]
    assert set(names) >= ASKED
    assert len(set(names)) == len(names) >= 70


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_material_is_a_pure_function_in_range(recipe: Recipe) -> None:
    one, surface, values = made(recipe)
    assert values.base_color.shape == (4000, 3)
    for part in (values.base_color, values.roughness, values.metallic, values.height):
        assert part.dtype == np.float32
        assert np.isfinite(part).all()
    assert 0.0 <= values.base_color.min() <= values.base_color.max() <= 1.0
    assert 0.03 <= values.roughness.min() <= values.roughness.max() <= 1.0
    assert 0.0 <= values.metallic.min() <= values.metallic.max() <= 1.0
    assert np.abs(values.height).max() < 0.6
    few = Surface(surface.points[:60], surface.flat[:60], surface.normal[:60])
    again = recipe.paint(few, one.look)
    assert again.base_color == pytest.approx(values.base_color[:60], abs=1e-5)
    assert again.height == pytest.approx(values.height[:60], abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_material_shows_something(recipe: Recipe) -> None:
    """Base colour, gloss or relief vary over every thing but the smooth ones, and no two seeds are alike."""
    _, _, values = made(recipe)
    _, _, other = made(recipe, 5)
    spread = max(values.base_color.std(0).max(), values.roughness.std(), 4.0 * values.height.std())
    bare = recipe.name in SMOOTH or recipe.paint.__name__ == "bare_metal"
    assert spread > (0.005 if bare else 0.03)
    assert not np.array_equal(values.base_color, other.base_color)


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_small_steps_on_the_surface_change_little(recipe: Recipe) -> None:
    """Patterns have edges, but nearly everywhere the next point over is like this one: no noise of single points."""
    one = substance(np.random.default_rng(4), recipe, 0.0)
    normal = np.tile(np.array([[0.0, -1.0, 0.0]], np.float32), (6000, 1))
    at = np.random.default_rng(1).uniform(-0.7, 0.7, (6000, 3)).astype(np.float32)
    at[:, 1] = -0.3
    step = np.array([3e-4, 0.0, 2e-4], np.float32)
    here, there = (recipe.paint(surface_of(points, normal, one.look), one.look) for points in (at, at + step))
    change = np.abs(here.base_color - there.base_color).max(-1)
    assert np.median(change) < 0.02
    assert (change > 0.15).mean() < 0.04


@pytest.mark.slow
def test_metals_are_metal_and_rust_is_not() -> None:
    shares = {recipe.name: float(made(recipe)[2].metallic.mean()) for recipe in RECIPES}
    assert all(shares[name] == 1.0 for name in ("gold", "brushed steel", "hammered copper", "chrome", "metal"))
    assert all(shares[name] == 0.0 for name in ("oak", "bricks", "plastic", "snow", "checks", "leather"))
    assert all(0.1 < shares[name] < 0.9 for name in ("rusty iron", "copper patina", "chipped paint"))


def test_box_mapping_by_hand() -> None:
    points = np.array([[1.0, 2.0, 3.0]] * 3, np.float32)
    normals = np.eye(3, dtype=np.float32)
    assert box_mapped(points, -normals).tolist() == [[2.0, 3.0], [1.0, 3.0], [1.0, 2.0]]
