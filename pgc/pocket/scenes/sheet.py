# SPDX-License-Identifier: Apache-2.0
"""Contact sheets of the materials: three looks of each on a ball, and one flat, lit; to be looked at."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from pgc.pocket.scenes.relief import Floats, relief_normals
from pgc.pocket.scenes.shading import lit_colors
from pgc.pocket.swatches.recipe import Look, Recipe, Values, surface_of
from pgc.rendering.light import Light

__all__ = ["contact_sheet", "swatch"]

_BALL = 0.72
_LABEL = 14


def _grid(size: int) -> tuple[Floats, Floats]:
    ticks = ((np.arange(size, dtype=np.float32) + 0.5) / size * 2.0 - 1.0) * np.float32(0.75)
    x, z = np.meshgrid(ticks, -ticks)
    return x, z


def _ball(size: int) -> tuple[Floats, Floats, np.ndarray]:
    """Points, normals [H, W, 3] and mask of a ball that is looked at along +Y."""
    x, z = _grid(size)
    inside = x * x + z * z < _BALL**2
    y = -np.sqrt(np.maximum(_BALL**2 - x * x - z * z, 0.0))
    points = np.stack([x, y, z], -1).astype(np.float32)
    return points, (points / _BALL).astype(np.float32), inside


def _panel(size: int) -> tuple[Floats, Floats, np.ndarray]:
    x, z = _grid(size)
    points = np.stack([x, np.full_like(x, -0.31), z], -1).astype(np.float32)
    normals = np.broadcast_to(np.array([0.0, -1.0, 0.0], np.float32), points.shape).copy()
    return points, normals, np.ones(x.shape, bool)


def swatch(recipe: Recipe, look: Look, light: Light, size: int, flat: bool = False) -> Image.Image:
    """Draws one look of a material on a ball, or on a flat panel, ``size`` pixels wide."""
    fine = 2 * size
    points, normals, hit = _panel(fine) if flat else _ball(fine)
    rows = recipe.paint(surface_of(points[hit], normals[hit], look), look)
    heights = np.zeros(hit.shape, np.float32)
    heights[hit] = rows.height * look.period
    bent = relief_normals(points, normals, heights, hit)[hit]
    view = np.broadcast_to(np.array([0.0, -1.0, 0.0], np.float32), bent.shape)
    image = np.full((*hit.shape, 3), 0.5, np.float32)
    image[hit] = lit_colors(bent, view, Values(rows.base_color, rows.roughness, rows.metallic, rows.height), light)
    pixels = image.reshape(size, 2, size, 2, 3).mean((1, 3))
    return Image.fromarray(np.round(pixels * 255.0).astype(np.uint8))


def contact_sheet(drawn: Sequence[tuple[Recipe, Sequence[Look]]], light: Light, size: int, columns: int) -> Image.Image:
    """Shows all materials, each as a strip of its looks on balls and the first of them flat, named below."""
    wide = max(len(looks) for _, looks in drawn) + 1
    rows = -(-len(drawn) // columns)
    sheet = Image.new("RGB", (columns * wide * size, rows * (size + _LABEL)), (40, 40, 40))
    draw = ImageDraw.Draw(sheet)
    for index, (recipe, looks) in enumerate(drawn):
        left, top = (index % columns) * wide * size, (index // columns) * (size + _LABEL)
        for at, look in enumerate(looks):
            sheet.paste(swatch(recipe, look, light, size), (left + at * size, top))
        sheet.paste(swatch(recipe, looks[0], light, size, flat=True), (left + len(looks) * size, top))
        draw.text((left + 4, top + size + 1), recipe.name, fill=(240, 240, 240))
    return sheet
