# SPDX-License-Identifier: Apache-2.0
"""The six fixed views that every score of the prompt evaluation looks from."""

from __future__ import annotations

import math

from pgc.cameras import Camera, direction_from_angles

__all__ = ["FIXED_VIEWS", "fixed_views"]

FIXED_VIEWS: tuple[tuple[float, float], ...] = ((0, 20), (60, -15), (120, 40), (180, 10), (240, -30), (300, 30))
"""Azimuth from the front (-Y) and elevation, both in degrees: all around, half of them from well above or below."""


def fixed_views(*, focal: float = 1.1, distance: float = 2.25) -> list[Camera]:
    """Returns six cameras around the normalised mesh ([-0.8, 0.8]^3), all of it in the picture."""
    cameras = []
    for azimuth, elevation in FIXED_VIEWS:
        direction = direction_from_angles(math.radians(azimuth - 90.0), math.radians(elevation))
        eye = (distance * direction[0], distance * direction[1], distance * direction[2])
        cameras.append(Camera.look_at(eye, focal=focal))
    return cameras
