# SPDX-License-Identifier: Apache-2.0
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pgc.color_space import linear_from_srgb, srgb_from_linear
from pgc.errors import TextureError
from pgc.images.maps import encode_maps
from pgc.images.masks import read_change_masks, read_lock_masks
from pgc.images.sources import read_material, read_texture, texture_side, tile_paths
from pgc.texture.field import to_uint8_values
from tests.pgc.image_files import write_with_oiio


def save(path, array):
    Image.fromarray(array).save(path)
    return path


def random_bytes(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_a_texture_of_the_right_size_comes_back_byte_for_byte(tmp_path):
    array = random_bytes(16, 16, 3)
    texture = read_texture(save(tmp_path / "a.png", array), 16).texture
    encoded = encode_maps(texture)["base_color"][1001]
    assert np.array_equal(np.array(Image.open(io.BytesIO(encoded))), array)


def test_another_size_is_resampled(tmp_path):
    texture = read_texture(save(tmp_path / "a.png", np.full((16, 16, 3), 51, np.uint8)), 32).texture
    assert texture.size == 32
    assert torch.equal(texture.maps["base_color"][0], torch.full((3, 32, 32), 51 / 255.0))


def test_a_folder_gives_the_maps_that_are_in_it(tmp_path):
    arrays = {"base_color": random_bytes(16, 16, 3), "metallic": random_bytes(16, 16), "orm": random_bytes(16, 16, 3)}
    for name, array in arrays.items():
        save(tmp_path / f"{name}.png", array)
    texture = read_material(tmp_path, 16).texture
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
    first, second = read_texture(tmp_path / "t.<UDIM>.png", 16, (1001, 1002)).texture.maps["base_color"]
    assert float(first.max()) == 0.0
    assert float(second.min()) == 1.0


def test_bright_and_opaque_texels_are_locked(tmp_path):
    array = np.zeros((4, 4, 4), np.uint8)
    array[..., 3] = 255
    array[0, 0] = (255, 255, 255, 255)
    array[0, 1] = (255, 255, 255, 0)
    (mask,) = read_lock_masks(save(tmp_path / "m.png", array), 4).masks
    assert mask.nonzero().tolist() == [[0, 0]]


def test_masks_are_enlarged_without_smoothing(tmp_path):
    array = np.array([[255, 0], [0, 0]], np.uint8)
    (mask,) = read_lock_masks(save(tmp_path / "m.png", array), 4).masks
    assert mask.nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


def write_text(path):
    path.write_text("not an image")


def write_cut(path):
    save(path, random_bytes(64, 64, 3))
    path.write_bytes(path.read_bytes()[:500])


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (write_text, "cannot be read as an image"),
        (write_cut, "damaged"),
        (lambda path: None, "no image"),
    ],
)
def test_bad_images_are_refused_in_words(tmp_path, write, words):
    write(tmp_path / "a.png")
    with pytest.raises(TextureError, match=words):
        read_texture(tmp_path / "a.png", 16)


@pytest.mark.parametrize(("shape", "side"), [((32, 32), 32), ((30, 20), 32), ((64, 128), 128), ((5, 5), 16)])
def test_side_of_a_texture_is_a_power_of_two(tmp_path, shape, side):
    assert texture_side(save(tmp_path / "a.png", random_bytes(*shape, 3))) == side


def test_side_of_a_folder_and_of_tiles(tmp_path):
    save(tmp_path / "base_color.1002.png", random_bytes(64, 64, 3))
    assert texture_side(tmp_path) == 64
    assert texture_side(tmp_path / "base_color.<UDIM>.png") == 64
    with pytest.raises(TextureError, match=r"base_color\.png"):
        texture_side(tmp_path / "..")


def test_a_texture_that_is_not_square_is_resampled_and_said(tmp_path):
    array = np.repeat(random_bytes(16, 1, 3), 8, axis=1)
    source = read_texture(save(tmp_path / "a.png", array), 16)
    assert np.array_equal(source.texture.to_uint8()["base_color"][0].permute(1, 2, 0).numpy()[:, 3], array[:, 0])
    assert source.notes == ("a.png is 8x16; it was resampled to 16x16, and locked texels keep the resampled values.",)
    (mask,) = read_lock_masks(path := save(tmp_path / "m.png", np.uint8([[255, 0]])), 4).masks
    assert mask.tolist() == [[True, True, False, False]] * 4
    assert "2x1" in read_lock_masks(path, 4).notes[0]


def test_sixteen_bits_arrive_whole(tmp_path):
    deep = np.random.default_rng(1).integers(0, 65536, (16, 16, 3)).astype(np.uint16)
    source = read_texture(write_with_oiio(tmp_path / "a.png", deep, "uint16"), 16)
    assert (source.depth, source.notes) == ("16 bits", ())
    values = source.texture.maps["base_color"][0].double() * 65535.0
    assert np.array_equal((values + 0.5).floor().permute(1, 2, 0).numpy(), deep)


def test_every_half_float_of_linear_light_comes_back_from_its_encoding():
    half = torch.arange(0x3C01, dtype=torch.int16).view(torch.float16)
    encoded = srgb_from_linear(half.double()).float()
    assert torch.equal(linear_from_srgb(encoded).to(torch.float16), half)


def test_linear_colour_is_encoded_and_cut_to_its_range(tmp_path):
    pixels = np.full((16, 16, 3), 0.2140, np.float32)
    pixels[0, 0] = (4.0, 0.0, -1.0)
    source = read_texture(write_with_oiio(tmp_path / "a.exr", pixels, "float"), 16)
    image = source.texture.maps["base_color"][0]
    assert image[:, 5, 5].tolist() == pytest.approx([0.5] * 3, abs=1e-4)
    assert image[:, 0, 0].tolist() == [1.0, 0.0, 0.0]
    assert source.notes == (
        "a.exr: 1 of 256 texels lie outside of 0 to 1 (from -1 to 4); they were cut to that range.",
    )


def test_data_of_an_exr_is_not_encoded(tmp_path):
    for name in ("base_color", "roughness"):
        write_with_oiio(tmp_path / f"{name}.exr", np.full((16, 16, 1), 0.25, np.float32), "float")
    maps = read_material(tmp_path, 16).texture.maps
    assert float(maps["roughness"][0][0, 0, 0]) == 0.25
    assert maps["base_color"][0].shape == (3, 16, 16)
    assert float(maps["base_color"][0][2, 0, 0]) == pytest.approx(0.5371, abs=1e-4)


def test_alpha_is_kept_beside_colour_and_said(tmp_path):
    array = random_bytes(16, 16, 4)
    source = read_texture(save(tmp_path / "a.png", array), 16)
    assert source.texture.alpha is not None
    assert np.array_equal(to_uint8_values(source.texture.alpha[0])[0].numpy(), array[..., 3])
    assert "has alpha" in source.notes[0]
    array[..., 3] = 255
    assert read_texture(save(tmp_path / "b.png", array), 16).texture.alpha is None


def test_tiles_without_alpha_are_opaque_beside_one_that_has_it(tmp_path):
    save(tmp_path / "t.1001.png", random_bytes(16, 16, 3))
    save(tmp_path / "t.1002.png", np.zeros((16, 16, 4), np.uint8))
    alpha = read_texture(tmp_path / "t.<UDIM>.png", 16, (1001, 1002)).texture.alpha
    assert alpha is not None
    assert [float(values.mean()) for values in alpha] == [1.0, 0.0]


@pytest.mark.parametrize("kind", ["uint16", "float"])
@pytest.mark.parametrize("suffix", ["png", "exr", "tif"])
def test_masks_may_be_deep(tmp_path, kind, suffix):
    pixels = np.zeros((4, 4, 1), np.float32)
    pixels[1, 2] = 1.0
    path = write_with_oiio(tmp_path / f"m.{suffix}", pixels, "half" if suffix == "exr" else kind)
    assert read_lock_masks(path, 4).masks[0].nonzero().tolist() == [[1, 2]]


def test_a_change_mask_locks_what_is_not_bright(tmp_path):
    path = save(tmp_path / "m.png", np.uint8([[255, 0], [200, 100]]))
    assert read_change_masks(path, 2).masks[0].tolist() == [[False, True], [False, True]]


def test_a_change_mask_without_white_is_refused(tmp_path):
    with pytest.raises(TextureError, match=r"Nothing in the change mask .*m\.png is brighter than middle gray"):
        read_change_masks(save(tmp_path / "m.png", np.zeros((2, 2), np.uint8)), 2)


def test_the_same_mask_in_linear_light_locks_the_same(tmp_path):
    gray = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16, 1)
    linear = linear_from_srgb(torch.from_numpy(gray)).numpy()
    png = read_lock_masks(write_with_oiio(tmp_path / "m.png", gray, "uint8"), 16).masks[0]
    assert torch.equal(read_lock_masks(write_with_oiio(tmp_path / "m.exr", linear, "float"), 16).masks[0], png)
    assert int(png.sum()) == 128
