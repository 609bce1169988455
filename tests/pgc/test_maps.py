# SPDX-License-Identifier: Apache-2.0
"""Names of maps, and which go together."""

import pytest

from pgc.errors import ConfigError
from pgc.maps import MAP_NAMES, complete_maps, need_light, parse_maps


@pytest.mark.parametrize(
    ("text", "maps"),
    [
        ("base_color", ("base_color",)),
        ("occlusion", ("base_color", "occlusion")),
        ("metallic", ("base_color", "roughness", "metallic")),
        ("normal, base_color", ("base_color", "roughness", "normal")),
        ("occlusion,normal,metallic,roughness,base_color", MAP_NAMES),
        ("roughness,roughness", ("base_color", "roughness")),
    ],
)
def test_maps_come_in_order_with_what_they_rest_on(text, maps):
    assert parse_maps(text) == maps
    assert complete_maps(maps) == maps


@pytest.mark.parametrize(
    ("text", "got"), [("base_color,gloss", "'gloss'"), ("Roughness", "'Roughness'"), (" ,", "no map")]
)
def test_other_names_are_refused_with_what_there_is(text, got):
    with pytest.raises(ConfigError, match=f"Got {got}; the maps are {', '.join(MAP_NAMES)}"):
        parse_maps(text)


def test_only_light_shows_roughness_metal_and_relief():
    assert not need_light(("base_color", "occlusion"))
    assert all(need_light(("base_color", name)) for name in ("roughness", "metallic", "normal"))
