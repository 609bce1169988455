# SPDX-License-Identifier: Apache-2.0
import io
import os
import struct
import sys
import time
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from pgc.errors import TextureError
from pgc.images.formats import MAX_SIDE, sniff_format
from pgc.images.reading import STRAIGHT_ALPHA, image_size, read_source_image
from pgc.images.values import unit_values
from tests.pgc.fuzzing.image_seeds import whole_images
from tests.pgc.image_files import chunk, png_bytes, rgb_rows, write_with_oiio

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)
RGBA = RNG.integers(0, 256, (8, 8, 4), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (8, 8, 4)).astype(np.uint16)
FLOAT = RNG.random((8, 8, 4)).astype(np.float32)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tga", "tif"])
def test_eight_bits_come_as_they_are(tmp_path, suffix):
    Image.fromarray(RGB).save(tmp_path / f"a.{suffix}")
    image = read_source_image(tmp_path / f"a.{suffix}")
    assert np.array_equal(image.color, RGB)
    assert (image.alpha, image.linear, image.depth, image.notes) == (None, False, "8 bits", ())


@pytest.mark.parametrize("suffix", ["gif", "ppm", "jp2", "dds", "psd"])
def test_older_and_rarer_formats_are_read_too(tmp_path, suffix):
    seed = next(seed for seed in whole_images() if seed.suffix == suffix)
    (tmp_path / f"a.{suffix}").write_bytes(seed.data)
    with Image.open(tmp_path / f"a.{suffix}") as picture:
        expected = np.array(picture.convert("RGB"))
    assert np.array_equal(read_source_image(tmp_path / f"a.{suffix}").color, expected)


@pytest.mark.parametrize(("suffix", "options"), [("png", {}), ("tga", {}), ("webp", {"lossless": True, "exact": True})])
def test_alpha_is_not_multiplied_into_colour(tmp_path, suffix, options):
    Image.fromarray(RGBA).save(tmp_path / f"a.{suffix}", **options)
    image = read_source_image(tmp_path / f"a.{suffix}")
    assert np.array_equal(image.color, RGBA[..., :3])
    assert np.array_equal(image.alpha, RGBA[..., 3])


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_keep_every_bit(tmp_path, suffix, channels):
    path = write_with_oiio(tmp_path / f"a.{suffix}", DEEP[..., :channels], "uint16", oiio__UnassociatedAlpha=1)
    image = read_source_image(path)
    assert image.depth == "16 bits"
    assert np.array_equal(image.color, DEEP[..., : min(channels, 3)])
    assert image.alpha is None or np.array_equal(image.alpha, DEEP[..., 3])
    assert np.array_equal(np.floor(unit_values(image.color).astype(np.float64) * 65535 + 0.5), image.color)


def test_interlaced_images_are_whole(tmp_path):
    pixel = b"\0" + bytes((9, 8, 7))
    # Adam7 of a 1x1 picture has one pass with one pixel.
    (tmp_path / "a.png").write_bytes(png_bytes(1, 1, pixel, interlaced=1))
    assert read_source_image(tmp_path / "a.png").color.tolist() == [[[9, 8, 7]]]


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_span_the_whole_range(tmp_path, bits):
    last = (1 << bits) - 1
    row = b"\0" + bytes([last << (8 - bits)])
    (tmp_path / "a.png").write_bytes(png_bytes(2, 1, row, bits=bits, kind=0))
    assert read_source_image(tmp_path / "a.png").color[..., 0].tolist() == [[255, 0]]


def test_a_palette_gives_colours_and_its_transparency(tmp_path):
    palette = chunk(b"PLTE", bytes([1, 2, 3, 250, 251, 252])) + chunk(b"tRNS", bytes([255, 40]))
    (tmp_path / "a.png").write_bytes(png_bytes(2, 1, b"\0\0\1", kind=3, extra=palette))
    image = read_source_image(tmp_path / "a.png")
    assert image.color.tolist() == [[[1, 2, 3], [250, 251, 252]]]
    assert image.alpha is not None
    assert image.alpha.tolist() == [[255, 40]]


def test_a_transparent_gray_becomes_alpha(tmp_path):
    extra = chunk(b"tRNS", struct.pack(">H", 7))
    (tmp_path / "a.png").write_bytes(png_bytes(2, 1, b"\0\7\x08", kind=0, extra=extra))
    image = read_source_image(tmp_path / "a.png")
    assert image.color[..., 0].tolist() == [[7, 8]]
    assert image.alpha is not None
    assert image.alpha.tolist() == [[0, 255]]


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_cmyk_becomes_rgb_and_says_so(tmp_path, suffix):
    Image.new("RGB", (8, 8), (200, 100, 50)).convert("CMYK").save(tmp_path / f"a.{suffix}", quality=95)
    image = read_source_image(tmp_path / f"a.{suffix}")
    assert np.abs(image.color.reshape(-1, 3).mean(axis=0) - (200, 100, 50)).max() < 3
    assert "CMYK" in image.notes[0]


def test_a_colour_profile_is_told_unless_it_is_srgb(tmp_path):
    for name in ("sRGB", "LAB"):
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile(name)).tobytes()
        Image.fromarray(RGB).save(tmp_path / f"{name}.jpg", icc_profile=profile)
    assert read_source_image(tmp_path / "sRGB.jpg").profile is None
    told = read_source_image(tmp_path / "LAB.jpg").profile
    assert told is not None
    assert told.name == "Lab identity built-in"
    assert len(told.data) > 100


@pytest.mark.parametrize(("gamma", "said"), [(45455, False), (100000, True), (55555, True)])
def test_a_gamma_is_said_unless_it_is_about_srgb(tmp_path, gamma, said):
    extra = chunk(b"gAMA", struct.pack(">I", gamma))
    (tmp_path / "a.png").write_bytes(png_bytes(4, 4, rgb_rows(4), extra=extra))
    image = read_source_image(tmp_path / "a.png")
    assert ["another encoding" in note for note in image.notes] == [True] * said
    assert image.color[0, 0].tolist() == [10, 20, 30]


def test_hdr_png_is_said(tmp_path):
    extra = chunk(b"cICP", bytes([9, 16, 0, 1]))
    (tmp_path / "a.png").write_bytes(png_bytes(4, 4, rgb_rows(4), extra=extra))
    assert "another encoding (pq" in read_source_image(tmp_path / "a.png").notes[0]


def test_a_wish_to_be_turned_is_said(tmp_path):
    picture = Image.new("RGB", (8, 4))
    exif = picture.getexif()
    exif[274] = 6
    picture.save(tmp_path / "a.jpg", exif=exif)
    image = read_source_image(tmp_path / "a.jpg")
    assert image.color.shape == (4, 8, 3)
    assert "orientation 6" in image.notes[0]


@pytest.mark.parametrize(
    ("name", "kind", "depth"),
    [
        ("a.exr", "half", "half float"),
        ("a.exr", "float", "float"),
        ("a.tif", "float", "float"),
        ("a.hdr", "float", "float"),
    ],
)
def test_floats_are_linear_light(tmp_path, name, kind, depth):
    image = read_source_image(write_with_oiio(tmp_path / name, FLOAT[..., :3], kind))
    assert (image.linear, image.depth) == (True, depth)
    tolerance = {"half": 1e-3, "float": 0.0}[kind] if name != "a.hdr" else 1e-2
    assert np.abs(unit_values(image.color) - FLOAT[..., :3]).max() <= tolerance


def test_alpha_that_a_format_multiplies_in_is_divided_out(tmp_path):
    pixels = np.float32([[[0.25, 0.1, 0.0, 0.5], [0.3, 0.2, 0.1, 1.0], [0.3, 0.2, 0.1, 0.0]]])
    image = read_source_image(write_with_oiio(tmp_path / "a.exr", pixels, "float"))
    assert np.allclose(image.color, [[[0.5, 0.2, 0.0], [0.3, 0.2, 0.1], [0.3, 0.2, 0.1]]])
    assert "alpha multiplied in" in image.notes[0]
    kept = read_source_image(write_with_oiio(tmp_path / "b.exr", pixels, "float", **{STRAIGHT_ALPHA: 1}))
    assert np.array_equal(kept.color, pixels[..., :3])
    whole = np.uint8([[[100, 50, 0, 128]]])
    image = read_source_image(write_with_oiio(tmp_path / "a.tif", whole, "uint8"))
    assert image.color.tolist() == [[[199, 100, 0]]]
    straight = read_source_image(write_with_oiio(tmp_path / "b.tif", whole, "uint8", oiio__UnassociatedAlpha=1))
    assert straight.color.tolist() == [[[100, 50, 0]]]


def test_colour_is_found_among_layers(tmp_path):
    names = ("View.Combined.R", "View.Combined.G", "View.Combined.B", "View.Depth.Z")
    image = read_source_image(write_with_oiio(tmp_path / "a.exr", FLOAT, "float", names=names))
    assert np.array_equal(image.color, FLOAT[..., :3])
    assert image.notes == ("a.exr: the channels View.Depth.Z are not used.",)


@pytest.mark.parametrize("names", [("N.X", "N.Y", "N.Z"), ("Z", "U", "V"), ("Y", "RY", "BY")])
def test_channels_that_are_no_colour_are_refused(tmp_path, names):
    path = write_with_oiio(tmp_path / "a.exr", FLOAT[..., :3], "float", names=names)
    with pytest.raises(TextureError, match=rf"a\.exr.*{names[1]}"):
        read_source_image(path)


def test_names_of_channels_may_hold_anything(tmp_path):
    path = write_with_oiio(tmp_path / "a.exr", FLOAT, "float", names=("R", "G", "B", "x\ny"))
    assert read_source_image(path).notes == ("a.exr: the channels x?y are not used.",)


@pytest.mark.parametrize(("kind", "largest"), [("int16", 2**15 - 1), ("int8", 127)])
def test_whole_numbers_of_other_kinds_are_fractions_of_their_largest(tmp_path, kind, largest):
    pixels = np.full((2, 2, 3), largest // 2, kind)
    image = read_source_image(write_with_oiio(tmp_path / "a.tif", pixels, kind))
    assert np.abs(image.color - 0.5).max() < 0.01
    assert (image.color.dtype, image.linear) == (np.float32, False)


def test_numbers_that_are_none_are_counted(tmp_path):
    pixels = np.full((2, 2, 3), 0.5, np.float32)
    pixels[0, 0] = (np.nan, np.inf, 0.25)
    image = read_source_image(write_with_oiio(tmp_path / "a.exr", pixels, "float"))
    assert image.color[0, 0].tolist() == [0.0, 0.0, 0.25]
    assert "2 values are NaN or infinite" in image.notes[0]


def test_a_cropped_exr_lies_where_it_belongs(tmp_path):
    path = write_with_oiio(tmp_path / "a.exr", np.ones((2, 2, 3), np.float32), "float", window=(-1, -1, 4, 4))
    image = read_source_image(path)
    assert image.color[..., 0].tolist() == [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert "another part of the picture" in image.notes[0]
    wide = write_with_oiio(tmp_path / "b.exr", np.ones((4, 4, 3), np.float32), "float", window=(1, 1, 2, 2))
    assert read_source_image(wide).color.shape == (2, 2, 3)
    gone = write_with_oiio(tmp_path / "c.exr", np.ones((2, 2, 3), np.float32), "float", window=(90, 90, 4, 4))
    with pytest.raises(TextureError, match="stores no pixel"):
        read_source_image(gone)
    vast = write_with_oiio(tmp_path / "d.exr", np.ones((2, 2, 3), np.float32), "float", window=(0, 0, 8192, 8192))
    with pytest.raises(TextureError, match="shows 8192x8192 pixels and stores 2x2"):
        read_source_image(vast)


def test_of_several_pages_the_first_is_used(tmp_path):
    pages = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    image = read_source_image(tmp_path / "a.tif")
    assert image.color[0, 0].tolist() == [255, 0, 0]
    assert "several images" in image.notes[0]


def test_the_content_decides_not_the_suffix(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.jpg")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.jpg").read_bytes())
    assert np.array_equal(read_source_image(tmp_path / "a.png").color, read_source_image(tmp_path / "a.jpg").color)
    assert sniff_format(tmp_path / "a.png") == "jpeg"


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"", "is empty"),
        (b"hello", "no image that is known"),
        (b"8BPS\0\1", "cannot be read as an image"),
        (b"GIF89a\x50\xc3\x50\xc3", "50000x50000"),
        (b"GIF89a", "0x0"),
        (b"\xff\x4f\xff\x51\0\x29\0\0\0\0\xc3\x50\0\0\xc3\x50", "50000x50000"),
        (b"\0\0\0\x0cjP  ", "JPEG 2000 without"),
        (b"\xabKTX 20", "KTX"),
        (b"\0\0\0\x20ftypavif", "AVIF"),
        (b"<svg xmlns=", "SVG"),
        (b"RIFF\x10\0\0\0WEBPVP8X", "without its first part"),
        (b"\x89PNG\r\n\x1a\nIHDR", "cannot be read as an image"),
        (b"II*\0\xff\xff\xff\xff", "cannot be read as an image"),
        (b"\x76\x2f\x31\x01\2\0\0\0", "cannot be read as an image"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path, head, words):
    (tmp_path / "a.png").write_bytes(head)
    with pytest.raises(TextureError, match=words) as refused:
        read_source_image(tmp_path / "a.png")
    assert "\n" not in str(refused.value)


def test_a_folder_and_nothing_are_refused(tmp_path):
    with pytest.raises(TextureError, match="is a folder"):
        read_source_image(tmp_path)
    with pytest.raises(TextureError, match="no image"):
        read_source_image(tmp_path / "none.png")


def webp_canvas(width: int, height: int) -> bytes:
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (width - 1).to_bytes(3, "little")
    body += (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def lying_jpeg(side: int) -> bytes:
    """A JPEG whose frame header says another size."""
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "JPEG")
    data = bytearray(buffer.getvalue())
    at = data.find(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", side, side)
    return bytes(data)


LIES = {
    "50000": png_bytes(50_000, 50_000, b"\0" * 1000),
    "50000 gray": png_bytes(50_000, 50_000, b"\0" * 1000, kind=0, bits=1),
    "50000 interlaced": png_bytes(50_000, 50_000, b"\0" * 1000, interlaced=1),
    "long": png_bytes(1, 2**31 - 1, b"\0" * 1000, kind=0),
    "8192 without pixels": png_bytes(8192, 8192, b"\0" * 1000, kind=6, bits=16),
    "webp": webp_canvas(16_777_216, 255),
    "jpeg": lying_jpeg(65_000),
    "jpeg without pixels": lying_jpeg(8192),
    "hdr": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 50000 +X 50000\n" + b"\2\2\0\0" * 10,
    "hdr without pixels": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 8192 +X 8192\n" + b"\2\2\0\0" * 10,
}


@pytest.mark.parametrize("data", LIES.values(), ids=LIES)
def test_headers_that_promise_too_much_cost_a_sentence(tmp_path, data):
    (tmp_path / "a.img").write_bytes(data)
    start = time.process_time()
    with pytest.raises(TextureError, match=r"a\.img"):
        read_source_image(tmp_path / "a.img")
    assert time.process_time() - start < 2.0


@pytest.mark.slow
@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP"])
def test_chunks_that_would_unpack_to_much_are_passed_over(tmp_path, kind):
    bomb = zlib.compress(bytes(50_000_000))
    (tmp_path / "a.png").write_bytes(png_bytes(4, 4, rgb_rows(4), extra=chunk(kind, b"k\0\0" + bomb)))
    start = time.process_time()
    assert read_source_image(tmp_path / "a.png").color[0, 0].tolist() == [10, 20, 30]
    assert time.process_time() - start < 1.0


def test_the_size_has_a_limit(tmp_path):
    (tmp_path / "c.png").write_bytes(png_bytes(8192, 8193, b"\0" * 9000))
    with pytest.raises(TextureError, match="at most 8192x8192"):
        image_size(tmp_path / "c.png")
    (tmp_path / "a.png").write_bytes(png_bytes(MAX_SIDE + 1, 1, b"\0" * (3 * MAX_SIDE + 4)))
    with pytest.raises(TextureError, match=f"at most {MAX_SIDE} a side"):
        image_size(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(png_bytes(MAX_SIDE, 1, b"\0" * (3 * MAX_SIDE + 1)))
    assert image_size(tmp_path / "b.png") == (MAX_SIDE, 1)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp", "exr", "hdr"])
def test_a_file_that_ends_early_is_refused(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    noise = RNG.random((64, 64, 3)).astype(np.float32)
    write_with_oiio(path, noise, "float" if suffix in {"exr", "hdr"} else "uint8")
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(TextureError, match=rf"a\.{suffix}"):
        read_source_image(path)


@pytest.mark.skipif(os.name != "posix" or sys.platform == "darwin", reason="names are text there")
def test_a_name_that_is_no_text_is_told_in_a_sentence(tmp_path):
    path = tmp_path / os.fsdecode(b"\xff\xfe.png")
    path.write_bytes(png_bytes(1, 1, bytes(4)))
    for read in (read_source_image, image_size):
        with pytest.raises(TextureError, match="its name is no text in UTF-8") as caught:
            read(path)
        assert str(caught.value).isascii(), "it can be printed"
