# SPDX-License-Identifier: Apache-2.0
import io

import numpy as np
import torch
from PIL import Image

from pgc.images.maps import encode_maps, encode_png, map_file_names
from pgc.texture.field import BakedTexture


def test_png_has_the_top_row_first():
    image = torch.zeros(3, 4, 4, dtype=torch.uint8)
    image[0, 0, 1] = 255
    decoded = np.array(Image.open(io.BytesIO(encode_png(image))))
    assert decoded[0, 1].tolist() == [255, 0, 0]
    assert decoded.sum() == 255


def test_a_gray_map_becomes_a_gray_png():
    assert Image.open(io.BytesIO(encode_png(torch.zeros(1, 4, 4, dtype=torch.uint8)))).mode == "L"


def test_file_names_carry_the_tile_only_where_there_are_several():
    assert map_file_names("base_color", (1001,)) == {1001: "base_color.png"}
    assert map_file_names("base_color", (1001, 1012)) == {1001: "base_color.1001.png", 1012: "base_color.1012.png"}
    assert map_file_names("base_color", (1002,)) == {1002: "base_color.1002.png"}


def test_encode_maps_names_every_tile():
    texture = BakedTexture(maps={"base_color": [torch.zeros(3, 2, 2)] * 2}, tiles=(1001, 1002))
    assert set(encode_maps(texture)["base_color"]) == {1001, 1002}


def test_alpha_becomes_the_fourth_channel_of_base_colour_alone():
    maps = {"base_color": [torch.zeros(3, 2, 2)], "roughness": [torch.zeros(1, 2, 2)]}
    encoded = encode_maps(BakedTexture(maps=maps, alpha=[torch.full((1, 2, 2), 0.2)]))
    assert Image.open(io.BytesIO(encoded["base_color"][1001])).getpixel((0, 0)) == (0, 0, 0, 51)
    assert Image.open(io.BytesIO(encoded["roughness"][1001])).mode == "L"
