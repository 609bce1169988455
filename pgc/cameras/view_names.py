# SPDX-License-Identifier: Apache-2.0
"""View-dependent prompts: which side of the mesh a camera shows, and how the prompt says so."""

import math
from typing import Literal, get_args

import numpy as np

from pgc.cameras.camera import Camera
from pgc.view_words import view_words

__all__ = ["VIEW_NAMES", "FrontAxis", "ViewName", "view_name", "view_prompt"]

FrontAxis = Literal["-y", "+y", "-x", "+x"]
"""The world axis that the front of the mesh faces. Z is up; Blender's front is -y."""
ViewName = Literal["front", "side", "back", "overhead", "underside"]

VIEW_NAMES: tuple[ViewName, ...] = get_args(ViewName)

_AXES: dict[FrontAxis, tuple[float, float]] = {"-y": (0.0, -1.0), "+y": (0.0, 1.0), "-x": (-1.0, 0.0), "+x": (1.0, 0.0)}
_OVERHEAD = math.radians(60.0)
_UNDERSIDE = math.radians(-45.0)
_HALF_QUADRANT = math.cos(math.radians(45.0))
_TIE = 1e-6
"""Float32 noise at the border of two quadrants; a tie goes to front and back."""


def view_name(camera: Camera, front_axis: FrontAxis = "-y") -> ViewName:
    """Names the side that a camera shows, by the direction it looks from.

    Overhead above 60 degrees of elevation, underside below -45; between them four quadrants of azimuth, centred on
    the axes. Both sides are "side".
    """
    x, y, z = (float(value) for value in camera.backward)
    elevation = math.atan2(z, math.hypot(x, y))
    if elevation > _OVERHEAD:
        return "overhead"
    if elevation < _UNDERSIDE:
        return "underside"
    towards_front = float(np.dot((x, y), _AXES[front_axis])) / math.hypot(x, y)
    if abs(towards_front) < _HALF_QUADRANT - _TIE:
        return "side"
    return "front" if towards_front > 0 else "back"


def view_prompt(prompt: str, view: ViewName) -> str:
    """Appends the view to a prompt as the paper does: "a red chair" seen from behind is "a red chair, back view".

    A prompt that names a view itself is left as it is: two of them would contradict each other on most sides.
    """
    return prompt if view_words(prompt) is not None else f"{prompt}, {view} view"
