# SPDX-License-Identifier: Apache-2.0
"""What a material of the training data is: a recipe with its words, a look drawn from it, values at surface points."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pgc.pocket.data.palette import Rgb
from pgc.pocket.swatches.fields import Floats

__all__ = [
    "Finish",
    "Look",
    "Recipe",
    "Surface",
    "Tones",
    "Values",
    "box_mapped",
    "mixed",
    "surface_of",
    "tinted",
    "values",
]

Tones = tuple[Rgb, Rgb]
Finish = Literal["polished", "glossy", "satin", "matte", "wet", "dusty", "worn"]
Dye = Literal["dyed", "stained", "own"]
"""Whether a colour word changes the material, stains it, or is not said since the material has colours of its own."""


@dataclass(frozen=True)
class Surface:
    """Points as a pattern sees them, in periods of the pattern."""

    points: Floats  # [N, 3]
    flat: Floats  # [N, 2], the two coordinates across the normal's dominant axis: v runs up walls, u around them
    normal: Floats  # [N, 3], unit


@dataclass(frozen=True)
class Look:
    """One concrete material: what was drawn of a recipe. Colours are sRGB."""

    main: Rgb
    second: Rgb
    period: float
    """Object units a period; the normalised mesh lies in [-0.8, 0.8]^3."""
    offset: tuple[float, float, float]
    seed: int
    variant: float = 0.5
    """In [0, 1): what a recipe leaves to chance beside its colours (how worn, how wide, which bond)."""


@dataclass(frozen=True)
class Values:
    """Material values at N points. ``height`` is in periods of the look, positive outwards."""

    base_color: Floats  # [N, 3], sRGB in [0, 1]
    roughness: Floats  # [N]
    metallic: Floats  # [N]
    height: Floats  # [N]


Paint = Callable[[Surface, Look], Values]


@dataclass(frozen=True)
class Recipe:
    """One material. ``paint`` is a pure function; the rest says how looks of it are drawn and named."""

    name: str
    """What most prompts call it, and its label."""
    nouns: tuple[str, ...]
    """Other ways to say it as a substance ("made of …")."""
    paint: Paint
    period: tuple[float, float]
    natural: tuple[Tones, ...]
    """Main and second colour where no colour is named; one is drawn and varied a little."""
    dye: Dye = "dyed"
    second: str = ""
    """What a second colour colours ("mortar"); empty where there is none to name."""
    paired: bool = False
    """Two colours stand side by side ("blue and white checks")."""
    adjective: str = ""
    """Before a thing ("a checkered vase"); the name where empty."""
    finishes: tuple[Finish, ...] = ()
    """Words of a finish that suit it."""
    sized: bool = False
    """Its pieces can be tiny or large."""
    weight: float = 1.0
    """How often it is drawn beside the others."""


def box_mapped(positions: Floats, normals: Floats) -> Floats:
    """Returns coordinates [N, 2] across the dominant normal axis."""
    axis = np.abs(normals).argmax(axis=-1)[:, None]
    x, y, z = positions[:, 0], positions[:, 1], positions[:, 2]
    side_x, side_y, top = np.stack([y, z], -1), np.stack([x, z], -1), np.stack([x, y], -1)
    return np.where(axis == 0, side_x, np.where(axis == 1, side_y, top)).astype(np.float32)


def surface_of(positions: Floats, normals: Floats, look: Look) -> Surface:
    """Returns points [N, 3] in object units with unit normals [N, 3] (Z up), as ``look`` sees them."""
    points = np.asarray(positions, np.float32) * np.float32(1.0 / look.period) + np.asarray(look.offset, np.float32)
    normals = np.asarray(normals, np.float32)
    return Surface(points, box_mapped(points, normals), normals)


def mixed(first: Rgb | Floats, second: Rgb | Floats, weight: Floats) -> Floats:
    """Blends from ``first`` to ``second`` by ``weight`` [N]; each a colour or colours [N, 3]."""
    a, b = np.asarray(first, np.float32), np.asarray(second, np.float32)
    return (a + (b - a) * np.asarray(weight, np.float32)[:, None]).astype(np.float32)


def tinted(color: Rgb | Floats, level: Floats) -> Floats:
    """Returns a colour (or colours [N, 3]) times a brightness [N]."""
    return (np.asarray(color, np.float32) * np.asarray(level, np.float32)[:, None]).astype(np.float32)


def values(
    base_color: Floats, roughness: Floats | float, height: Floats | float = 0.0, metallic: Floats | float = 0.0
) -> Values:
    """Makes values at N points: numbers are spread over all of them, and everything is held in its range."""
    count = len(base_color)

    def column(part: Floats | float) -> Floats:
        """Spreads a number over all points."""
        return np.broadcast_to(np.asarray(part, np.float32), (count,))

    return Values(
        base_color=np.clip(base_color, 0.0, 1.0).astype(np.float32),
        roughness=np.clip(column(roughness), 0.03, 1.0).astype(np.float32),
        metallic=np.clip(column(metallic), 0.0, 1.0).astype(np.float32),
        height=column(height).astype(np.float32),
    )
