# SPDX-License-Identifier: Apache-2.0
import math
from typing import get_args

import pytest

from pgc.cameras import Camera, direction_from_angles
from pgc.cameras.view_names import VIEW_NAMES, FrontAxis, view_name, view_prompt


def camera(azimuth_deg: float, elevation_deg: float) -> Camera:
    x, y, z = direction_from_angles(math.radians(azimuth_deg), math.radians(elevation_deg))
    return Camera.look_at((2 * x, 2 * y, 2 * z), focal=1.0)


# Azimuth turns from +X towards +Y, so -y, Blender's front, is at -90 degrees.
FRONT_AZIMUTHS = {"-y": -90.0, "+y": 90.0, "-x": 180.0, "+x": 0.0}


@pytest.mark.parametrize("front", get_args(FrontAxis))
@pytest.mark.parametrize(
    ("turn", "expected"),
    [
        *[(0, "front"), (44, "front"), (-44, "front"), (45, "front")],
        *[(46, "side"), (90, "side"), (-90, "side"), (134, "side")],
        *[(136, "back"), (180, "back"), (-136, "back"), (-135, "back")],
    ],
)
def test_quadrants_are_centred_on_the_axes(front, turn, expected):
    for elevation in (-44, 0, 59):
        assert view_name(camera(FRONT_AZIMUTHS[front] + turn, elevation), front) == expected


@pytest.mark.parametrize(
    ("elevation", "expected"),
    [(90, "overhead"), (61, "overhead"), (59, "front"), (-44, "front"), (-46, "underside"), (-90, "underside")],
)
def test_steep_views_have_their_own_names(elevation, expected):
    assert view_name(camera(-90, elevation)) == expected


def test_the_direction_counts_not_the_place():
    above_but_level = Camera.look_at((0.0, -0.1, 5.0), (0.0, 3.0, 5.0), focal=1.0)
    assert view_name(above_but_level) == "front"


def test_prompts_say_the_view():
    assert view_prompt("a red brick teapot", "back") == "a red brick teapot, back view"
    assert [view_prompt("x", name) for name in VIEW_NAMES] == [
        "x, front view",
        "x, side view",
        "x, back view",
        "x, overhead view",
        "x, underside view",
    ]
