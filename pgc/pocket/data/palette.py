# SPDX-License-Identifier: Apache-2.0
"""The eleven colours: how far each may vary, and the tones that go with it."""

import colorsys
from typing import Literal, get_args

import numpy as np

Rgb = tuple[float, float, float]
ColorName = Literal["red", "orange", "yellow", "green", "teal", "blue", "purple", "pink", "brown", "white", "black"]
COLORS: tuple[ColorName, ...] = get_args(ColorName)

# Ranges of hue in degrees, saturation and value: wide enough to vary, never touching a neighbour.
_HSV_RANGES: dict[ColorName, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "red": ((-8, 4), (0.82, 1.0), (0.68, 0.92)),
    "orange": ((23, 32), (0.86, 1.0), (0.92, 1.0)),
    "yellow": ((49, 56), (0.80, 1.0), (0.92, 1.0)),
    "green": ((105, 135), (0.65, 0.9), (0.45, 0.72)),
    "teal": ((174, 184), (0.78, 1.0), (0.50, 0.70)),
    "blue": ((216, 232), (0.78, 1.0), (0.68, 0.95)),
    "purple": ((270, 286), (0.62, 0.85), (0.50, 0.74)),
    "pink": ((326, 340), (0.38, 0.56), (0.94, 1.0)),
    "brown": ((20, 29), (0.58, 0.75), (0.34, 0.48)),
    "white": ((0, 360), (0.0, 0.03), (0.93, 1.0)),
    "black": ((0, 360), (0.0, 0.15), (0.06, 0.13)),
}


def jittered(rng: np.random.Generator, color: ColorName) -> Rgb:
    """Draws a shade of a colour."""
    hue, saturation, value = (float(rng.uniform(*bounds)) for bounds in _HSV_RANGES[color])
    return colorsys.hsv_to_rgb((hue / 360.0) % 1.0, saturation, value)


def _gray(rng: np.random.Generator, low: float, high: float) -> Rgb:
    level = float(rng.uniform(low, high))
    return (level, level, level)


def second_tone(rng: np.random.Generator, color: ColorName) -> Rgb:
    """Draws the tone beside the main colour: one fixed family a colour, so that a prompt has one answer."""
    match color:
        case "white":
            return _gray(rng, 0.36, 0.46)
        case "black":
            return _gray(rng, 0.52, 0.62)
        case "yellow":
            return _gray(rng, 0.10, 0.18)
        case _:
            level = float(rng.uniform(0.90, 0.97))
            return (level, level * 0.985, level * 0.94)


def scaled(color: Rgb, factor: float) -> Rgb:
    """Returns the colour times a factor, each channel at most 1."""
    red, green, blue = (min(1.0, channel * factor) for channel in color)
    return (red, green, blue)


def mixed(first: Rgb, second: Rgb, weight: float) -> Rgb:
    """Returns the mean of two colours; ``weight`` is that of the second."""
    red, green, blue = (a + (b - a) * weight for a, b in zip(first, second, strict=True))
    return (red, green, blue)


def third_tone(color: ColorName, main: Rgb) -> Rgb:
    """Returns a darker shade of the main colour for grain, gaps and blotches (lighter for black)."""
    return mixed(main, (0.5, 0.5, 0.5), 0.85) if color == "black" else scaled(main, 0.42)
