# SPDX-License-Identifier: Apache-2.0
import os
import sys

import numpy as np
import OpenImageIO as oiio
import pytest
import torch
from PIL import Image

from pgc.color_space import linear_from_srgb
from pgc.errors import ConfigError, OutputError, TextureError
from pgc.images.writing import FORMATS, Exr, Png, parse_format, read_image, write_image


def ramp(channels=3, size=64):
    """Every channel another pattern, with 0, 1 and much between."""
    values = torch.linspace(0.0, 1.0, channels * size * size).reshape(channels, size, size)
    return values[:, :, torch.randperm(size, generator=torch.Generator().manual_seed(1))]


def raw(path, kind):
    """The file's numbers, [h, w, c], without any conversion of ours."""
    source = oiio.ImageInput.open(str(path))
    return np.array(source.read_image(0, 0, 0, source.spec().nchannels, kind)), source.spec()


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(("name", "step"), [("png", 1 / 255), ("png16", 1 / 65535), ("exr", 2**-11), ("exr32", 0.0)])
def test_data_comes_back_within_half_a_step(tmp_path, channels, name, step):
    image, kept = ramp(channels), parse_format(name)
    path = tmp_path / f"map{kept.suffix}"
    write_image(path, image, "data", kept)
    assert (read_image(path, "data") - image).abs().max() <= step / 2 + 1e-7
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(("name", "bits"), [("png", "uint8"), ("png16", "uint16"), ("exr", "half"), ("exr32", "float")])
def test_depth_of_the_file(tmp_path, name, bits):
    path = tmp_path / f"map{FORMATS[name].suffix}"
    write_image(path, ramp(), "data", FORMATS[name])
    assert str(raw(path, "float")[1].format) == bits


@pytest.mark.parametrize("bits", [8, 16])
def test_whole_numbers_are_rounded_half_up_and_clamped(tmp_path, bits):
    top = 2**bits - 1
    values = torch.tensor([-0.5, 0.0, 0.49 / top, 0.51 / top, 0.5, 1.0, 1.5])
    write_image(tmp_path / "a.png", values.expand(1, 1, 7), "data", Png(bits))
    got, _ = raw(tmp_path / "a.png", f"uint{bits}")
    assert got.reshape(-1).tolist() == [0, 0, 0, 1, (top + 1) // 2, top, top]


def test_8_bits_are_what_pillow_reads(tmp_path):
    image = ramp()
    write_image(tmp_path / "a.png", image, "color", Png())
    with Image.open(tmp_path / "a.png") as opened:
        assert opened.mode == "RGB"
        pixels = np.array(opened)
    np.testing.assert_array_equal(pixels, (image * 255 + 0.5).floor().byte().permute(1, 2, 0).numpy())


def test_base_colour_is_srgb_in_png_and_linear_in_exr(tmp_path):
    image = ramp()
    write_image(tmp_path / "a.png", image, "color", Png(16))
    write_image(tmp_path / "a.exr", image, "color", Exr(32))
    png, png_spec = raw(tmp_path / "a.png", "float")
    exr, exr_spec = raw(tmp_path / "a.exr", "float")
    assert np.abs(png - image.permute(1, 2, 0).numpy()).max() < 1e-5
    assert np.abs(exr - linear_from_srgb(image).permute(1, 2, 0).numpy()).max() < 1e-6
    assert "srgb" in png_spec["oiio:ColorSpace"].lower()
    assert "lin" in exr_spec["oiio:ColorSpace"]
    for name in ("a.png", "a.exr"):
        assert (read_image(tmp_path / name, "color") - image).abs().max() < 1e-4


@pytest.mark.parametrize("kept", FORMATS.values(), ids=FORMATS)
def test_the_fourth_channel_leaves_the_others_alone(tmp_path, kept):
    image = torch.cat([ramp(3), torch.zeros(1, 64, 64)])
    path = tmp_path / f"mask{kept.suffix}"
    write_image(path, image, "data", kept)
    assert (read_image(path, "data") - image).abs().max() < 3e-3, "zero alpha must not make colour black"


def test_the_fourth_channel_of_colour_stays_data_in_exr(tmp_path):
    image = torch.full((4, 2, 2), 0.5)
    write_image(tmp_path / "a.exr", image, "color", Exr(32))
    got, _ = raw(tmp_path / "a.exr", "float")
    assert got[0, 0, 3] == 0.5
    assert got[0, 0, 0] == pytest.approx(0.2140, abs=1e-4)


@pytest.mark.parametrize("kept", FORMATS.values(), ids=FORMATS)
def test_the_same_values_give_the_same_bytes(tmp_path, kept):
    for name in ("a", "b"):
        write_image(tmp_path / f"{name}{kept.suffix}", ramp(), "color", kept)
    assert (tmp_path / f"a{kept.suffix}").read_bytes() == (tmp_path / f"b{kept.suffix}").read_bytes()


def test_what_cannot_be_written_or_read_is_said(tmp_path):
    with pytest.raises(TextureError, match="2 channels"):
        write_image(tmp_path / "a.png", torch.zeros(2, 4, 4), "data", Png())
    with pytest.raises(TextureError, match="NaN"):
        write_image(tmp_path / "a.png", torch.full((1, 4, 4), torch.nan), "data", Png())
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_image(tmp_path / "file" / "a.png", ramp(), "data", Png())
    with pytest.raises(OutputError, match="cannot be written"):
        write_image(tmp_path / "a.nonsense", ramp(), "data", Png())
    with pytest.raises(TextureError, match="no image"):
        read_image(tmp_path / "none.png", "data")
    (tmp_path / "bad.png").write_bytes(b"not a picture")
    with pytest.raises(TextureError, match="cannot be read"):
        read_image(tmp_path / "bad.png", "data")
    write_image(tmp_path / "cut.png", torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0)), "data", Png())
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:4000])
    with pytest.raises(TextureError, match=r"cut\.png"):
        read_image(tmp_path / "cut.png", "data")
    with pytest.raises(ConfigError, match="no image format 'jpg'"):
        parse_format("jpg")


def test_gray_with_alpha_loses_its_alpha(tmp_path):
    Image.new("LA", (2, 2), (100, 0)).save(tmp_path / "a.png")
    got = read_image(tmp_path / "a.png", "data")
    assert got.shape == (1, 2, 2)
    assert got[0, 0, 0] == pytest.approx(100 / 255)


@pytest.mark.skipif(os.name != "posix" or sys.platform == "darwin", reason="names are text there")
def test_a_folder_whose_name_is_no_text_is_told_in_a_sentence(tmp_path):
    folder = tmp_path / os.fsdecode(b"o\xff")
    folder.mkdir()
    with pytest.raises(OutputError, match="its name is no text in UTF-8; choose another folder") as caught:
        write_image(folder / "a.exr", ramp(), "color", Exr(16))
    assert str(caught.value).isascii()
    assert list(folder.iterdir()) == []
