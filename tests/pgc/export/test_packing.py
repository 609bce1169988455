# SPDX-License-Identifier: Apache-2.0
"""Packings, with a material whose maps are four different constants."""

from dataclasses import replace

import pytest
import torch

from pgc.errors import ConfigError, TextureError
from pgc.export.packing import (
    GLTF,
    GODOT,
    PACKINGS,
    SEPARATE,
    UNITY_HDRP,
    UNITY_URP,
    UNREAL,
    directx_normal,
    pack,
    pack_orm,
    parse_packing,
)
from pgc.texture.field import BakedTexture

ROUGHNESS, METALLIC, OCCLUSION = 0.25, 0.75, 0.5
VALUES = {
    "base_color": (0.1, 0.2, 0.3),
    "roughness": (ROUGHNESS,),
    "metallic": (METALLIC,),
    "occlusion": (OCCLUSION,),
    "normal": (0.6, 0.7, 0.9),
}


def material(*names, tiles=(1001,)):
    """The named maps, or all; the second tile is the first plus 0.1."""
    images = {
        name: [torch.tensor(VALUES[name])[:, None, None].expand(-1, 4, 4) + 0.1 * tile for tile in range(len(tiles))]
        for name in names or VALUES
    }
    return BakedTexture(maps=images, tiles=tiles)


def pixel(packing, file_name, texture=None):
    """Value of a packed image, by its name."""
    (image,) = [image for image in packing.images if image.name == file_name]
    packed = pack(texture or material(), image, packing.normal_green)
    return [round(float(value), 6) for value in packed[0][:, 0, 0]]


@pytest.mark.parametrize(("packing", "name"), [(GLTF, "orm"), (GODOT, "{name}_orm"), (UNREAL, "T_{name}_ORM")])
def test_orm_is_occlusion_roughness_metallic(packing, name):
    assert pixel(packing, name) == [OCCLUSION, ROUGHNESS, METALLIC]


def test_masks_of_unity_hold_smoothness():
    assert pixel(UNITY_HDRP, "{name}_MaskMap") == [METALLIC, OCCLUSION, 1.0, 1.0 - ROUGHNESS]
    assert pixel(UNITY_URP, "{name}_MetallicOcclusionSmoothness") == [METALLIC, OCCLUSION, 0.0, 1.0 - ROUGHNESS]


def test_alpha_is_the_fourth_channel_of_the_base_colour_and_of_nothing_else():
    texture = replace(material(tiles=(1001, 1002)), alpha=[torch.full((1, 4, 4), value) for value in (0.5, 0.25)])
    base, normal = (next(one for one in SEPARATE.images if one.source == name) for name in ("base_color", "normal"))
    coloured, plain = pack(texture, base), pack(texture, normal)
    assert coloured is not None
    assert plain is not None
    for tile, value in enumerate((0.5, 0.25)):
        assert torch.equal(coloured[tile][:3], texture.maps["base_color"][tile])
        assert torch.equal(coloured[tile][3:], torch.full((1, 4, 4), value))
    assert [len(packed) for packed in plain] == [3, 3]


def test_only_unreal_has_green_down():
    assert pixel(UNREAL, "T_{name}_Normal") == [0.6, 0.3, 0.9]
    for packing, name in ((GLTF, "normal"), (GODOT, "{name}_normal"), (UNITY_HDRP, "{name}_NormalMap")):
        assert pixel(packing, name) == [0.6, 0.7, 0.9]
    normal = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(directx_normal(directx_normal(normal)), normal)


def test_what_is_colour_and_what_is_data():
    for packing in PACKINGS.values():
        colour = [image for image in packing.images if image.content == "color"]
        assert [image.source for image in colour] == ["base_color"]


def test_absent_maps():
    assert pixel(GLTF, "orm", material("roughness")) == [1.0, ROUGHNESS, 0.0], "nothing occluded, no metal"
    assert pixel(UNITY_HDRP, "{name}_MaskMap", material("metallic")) == [METALLIC, 1.0, 1.0, 0.0], "matte"
    assert pack_orm(material("base_color")) is None
    assert pack(material("roughness"), GLTF.images[0]) is None
    assert [pack(material("metallic"), image) is not None for image in SEPARATE.images] == [False, False, True] + [
        False
    ] * 2


def test_tiles_keep_their_own_values():
    packed = pack_orm(material(tiles=(1001, 1003)))
    assert packed is not None
    first, second = packed
    torch.testing.assert_close(second, first + 0.1)


def test_wrong_maps_and_names_are_refused():
    with pytest.raises(TextureError, match="'roughness' has 3 channels; expected 1"):
        pack_orm(BakedTexture(maps={"roughness": [torch.zeros(3, 4, 4)]}))
    with pytest.raises(ConfigError, match="no packing 'cryengine'"):
        parse_packing("cryengine")
    assert parse_packing("blender") is GLTF
