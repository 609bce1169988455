# SPDX-License-Identifier: Apache-2.0
"""One table of maps in the library; protocol and add-on, which may not import it, have lists that agree with it."""

from typing import get_args

import pytest

from blender_addon.model import choices, maps
from blender_addon.protocol.specs import job
from pgc.errors import ConfigError
from pgc.maps import MAP_NAMES, MAPS, MapInfo, map_channels, need_light


def test_each_map_has_a_row_in_the_order_of_the_names():
    assert tuple(MAPS) == MAP_NAMES
    assert map_channels(start=True).keys() == {name for name in MAPS if MAPS[name].start}
    with pytest.raises(ConfigError, match="Got 1 neutral values; expected 3"):
        MapInfo(name="normal", channels=3, neutral=(1.0,))


def test_the_protocol_names_the_same_maps():
    assert set(get_args(job.MapName)) - {job.NEW_UVS, job.NEW_SHAPE} == set(MAP_NAMES)
    assert {name for name in MAP_NAMES if MAPS[name].lit} == job.LIT_MAPS


def test_the_addon_has_the_same_maps():
    assert tuple(maps.MAPS) == MAP_NAMES
    assert [name for name, *_ in choices.MAP_ITEMS] == list(MAP_NAMES)
    for name, row in maps.MAPS.items():
        info = MAPS[name]
        assert (row.name, row.is_color, row.previewed) == (name, info.is_color, info.start), name
        assert choices.need_light((name,)) == need_light((name,)), name
        if row.socket and not info.is_color:
            assert row.default == info.neutral[0], name
    flags = [row.flag for row in maps.MAPS.values()]
    assert flags == [1 << index for index in range(len(flags))], "a bit that files keep is never another's"
