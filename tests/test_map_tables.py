# SPDX-License-Identifier: Apache-2.0
"""One table of maps in the library; protocol and add-on, which may not import it, have lists that agree with it."""

import ast
from pathlib import Path
from typing import get_args

import pytest

from blender_addon.model import choices
from blender_addon.model.preview_frames import COLOR_MAPS
from blender_addon.protocol.specs import job
from pgc.errors import ConfigError
from pgc.maps import MAP_NAMES, MAPS, MapInfo, map_channels, need_light

ADDON = Path(choices.__file__).parent.parent


def literal(path: str, name: str):
    """What a module of the add-on assigns to a name: those that import bpy cannot be imported here."""
    tree = ast.parse((ADDON / path).read_text(encoding="utf-8"))
    for node in tree.body:
        target = (
            node.target
            if isinstance(node, ast.AnnAssign)
            else node.targets[0]
            if isinstance(node, ast.Assign)
            else None
        )
        if isinstance(target, ast.Name) and target.id == name:
            return ast.literal_eval(node.value)
    raise AssertionError(f"{path} has no {name}")


def test_each_map_has_a_row_in_the_order_of_the_names():
    assert tuple(MAPS) == MAP_NAMES
    assert map_channels(start=True).keys() == {name for name in MAPS if MAPS[name].start}
    with pytest.raises(ConfigError, match="Got 1 neutral values; expected 3"):
        MapInfo(name="normal", channels=3, neutral=(1.0,))


def test_the_protocol_names_the_same_maps():
    assert set(get_args(job.MapName)) - {job.NEW_UVS} == set(MAP_NAMES)
    assert {name for name in MAP_NAMES if MAPS[name].lit} == job.LIT_MAPS


def test_the_addon_offers_the_same_maps():
    names = tuple(name for name, *_ in choices.MAPS)
    assert names == MAP_NAMES
    for name in names:
        assert choices.need_light((name,)) == need_light((name,)), name
    assert set(COLOR_MAPS) == {name for name in MAP_NAMES if MAPS[name].is_color}


def test_the_addons_materials_and_bakes_know_each_map():
    assert set(literal("scene/pictures/materials.py", "_ORDER")) - {"orm"} == set(MAP_NAMES)
    assert set(literal("scene/preview_material.py", "_MAPS")) == {name for name in MAP_NAMES if MAPS[name].start}
    baked = literal("scene/pictures/bake.py", "BAKED_MAPS")
    assert baked == {name: "srgb" if MAPS[name].is_color else "linear" for name in MAP_NAMES}
