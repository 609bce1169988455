# SPDX-License-Identifier: Apache-2.0
"""Baked textures and their bytes."""

import pytest
import torch

from pgc.errors import TextureError
from pgc.texture.field import BakedTexture, to_uint8_values


def test_every_byte_survives_the_round_trip() -> None:
    values = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16)
    assert torch.equal(BakedTexture.from_uint8({"base_color": [values]}).to_uint8()["base_color"][0], values)


def test_rounding_is_to_the_nearest_and_half_goes_up() -> None:
    values = torch.tensor([-0.1, 0.49 / 255, 0.51 / 255, 0.5, 1.7]).reshape(1, 1, 5)
    assert to_uint8_values(values).flatten().tolist() == [0, 0, 1, 128, 255]


def test_shapes_are_checked() -> None:
    with pytest.raises(TextureError, match="1 images for 2 tiles"):
        BakedTexture(maps={"base_color": [torch.zeros(3, 8, 8)]}, tiles=(1001, 1002))
    with pytest.raises(TextureError, match="square"):
        BakedTexture(maps={"base_color": [torch.zeros(3, 8, 4)]})
