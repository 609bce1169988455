# SPDX-License-Identifier: Apache-2.0
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pgc.errors import TextureError
from pgc.outputs.images import (
    encode_maps,
    encode_png,
    map_file_names,
    read_lock_masks,
    read_material,
    read_texture,
    texture_side,
    tile_paths,
)
from pgc.texture.field import BakedTexture


def save(path, array):
    Image.fromarray(array).save(path)
    return path


def random_bytes(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_png_has_the_top_row_first():
    image = torch.zeros(3, 4, 4, dtype=torch.uint8)
    image[0, 0, 1] = 255
    decoded = np.array(Image.open(io.BytesIO(encode_png(image))))
    assert decoded[0, 1].tolist() == [255, 0, 0]
    assert decoded.sum() == 255


def test_a_gray_map_becomes_a_gray_png():
    assert Image.open(io.BytesIO(encode_png(torch.zeros(1, 4, 4, dtype=torch.uint8)))).mode == "L"


def test_a_texture_of_the_right_size_comes_back_byte_for_byte(tmp_path):
    array = random_bytes(16, 16, 3)
    texture = read_texture(save(tmp_path / "a.png", array), 16)
    encoded = encode_maps(texture)["base_color"][1001]
    assert np.array_equal(np.array(Image.open(io.BytesIO(encoded))), array)


def test_another_size_is_resampled(tmp_path):
    texture = read_texture(save(tmp_path / "a.png", np.full((16, 16, 3), 51, np.uint8)), 32)
    assert texture.size == 32
    assert torch.equal(texture.maps["base_color"][0], torch.full((3, 32, 32), 51 / 255.0))


def test_a_folder_gives_the_maps_that_are_in_it(tmp_path):
    arrays = {"base_color": random_bytes(16, 16, 3), "metallic": random_bytes(16, 16), "orm": random_bytes(16, 16, 3)}
    for name, array in arrays.items():
        save(tmp_path / f"{name}.png", array)
    texture = read_material(tmp_path, 16)
    assert set(texture.maps) == {"base_color", "metallic"}
    encoded = encode_maps(texture)
    for name in texture.maps:
        assert np.array_equal(np.array(Image.open(io.BytesIO(encoded[name][1001]))), arrays[name])
    # Every tile of a map that is there at all.
    save(tmp_path / "base_color.1001.png", arrays["base_color"])
    save(tmp_path / "base_color.1002.png", arrays["base_color"])
    save(tmp_path / "roughness.1002.png", arrays["metallic"])
    with pytest.raises(TextureError, match=r"roughness\.1001\.png"):
        read_material(tmp_path, 16, (1001, 1002))


def test_a_folder_without_base_color_is_refused(tmp_path):
    save(tmp_path / "roughness.png", random_bytes(16, 16))
    with pytest.raises(TextureError, match=r"no image .*base_color\.png"):
        read_material(tmp_path, 16)


def test_file_names_carry_the_tile_only_where_there_are_several():
    assert map_file_names("base_color", (1001,)) == {1001: "base_color.png"}
    assert map_file_names("base_color", (1001, 1012)) == {1001: "base_color.1001.png", 1012: "base_color.1012.png"}
    assert map_file_names("base_color", (1002,)) == {1002: "base_color.1002.png"}


@pytest.mark.parametrize("name", ["t.<UDIM>.png", "t.1001.png", "t.1012.png"])
def test_tiles_are_found_by_pattern_or_by_any_of_their_names(name):
    expected = {1001: Path("x/t.1001.png"), 1012: Path("x/t.1012.png")}
    assert tile_paths(Path("x") / name, (1001, 1012)) == expected


def test_one_image_for_two_tiles_is_refused():
    with pytest.raises(TextureError, match=r"2 UDIM tiles.*<UDIM>"):
        tile_paths(Path("t.png"), (1001, 1002))


def test_tiles_keep_their_order(tmp_path):
    save(tmp_path / "t.1001.png", np.zeros((16, 16, 3), np.uint8))
    save(tmp_path / "t.1002.png", np.full((16, 16, 3), 255, np.uint8))
    first, second = read_texture(tmp_path / "t.<UDIM>.png", 16, (1001, 1002)).maps["base_color"]
    assert float(first.max()) == 0.0
    assert float(second.min()) == 1.0


def test_bright_and_opaque_texels_are_locked(tmp_path):
    array = np.zeros((4, 4, 4), np.uint8)
    array[..., 3] = 255
    array[0, 0] = (255, 255, 255, 255)
    array[0, 1] = (255, 255, 255, 0)
    (mask,) = read_lock_masks(save(tmp_path / "m.png", array), 4)
    assert mask.nonzero().tolist() == [[0, 0]]


def test_masks_are_enlarged_without_smoothing(tmp_path):
    array = np.array([[255, 0], [0, 0]], np.uint8)
    (mask,) = read_lock_masks(save(tmp_path / "m.png", array), 4)
    assert mask.nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


def write_text(path):
    path.write_text("not an image")


def write_wide(path):
    save(path, random_bytes(4, 8, 3))


def write_deep(path):
    save(path, np.zeros((4, 4), np.uint16))


def write_cut(path):
    save(path, random_bytes(64, 64, 3))
    path.write_bytes(path.read_bytes()[:500])


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (write_text, "cannot be read as an image"),
        (write_wide, "8x4.*square"),
        (write_deep, "8 bits a channel"),
        (write_cut, "cannot be read as an image"),
        (lambda path: None, "no image"),
    ],
)
def test_bad_images_are_refused_in_words(tmp_path, write, words):
    write(tmp_path / "a.png")
    with pytest.raises(TextureError, match=words):
        read_texture(tmp_path / "a.png", 16)


def test_side_of_a_texture(tmp_path):
    assert texture_side(save(tmp_path / "a.png", random_bytes(32, 32, 3)), (1001,)) == 32


def test_encode_maps_names_every_tile():
    texture = BakedTexture(maps={"base_color": [torch.zeros(3, 2, 2)] * 2}, tiles=(1001, 1002))
    assert set(encode_maps(texture)["base_color"]) == {1001, 1002}
