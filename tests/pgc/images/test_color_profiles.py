# SPDX-License-Identifier: Apache-2.0
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from pgc.images import color_profiles
from pgc.images.color_profiles import ColorProfile, in_srgb
from pgc.images.masks import read_lock_masks
from pgc.images.sources import read_material, read_texture

ADOBE = np.array([[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]])
"""Adobe RGB (1998): its primaries, adapted to D50, as its specification has them (4.3.5.3). Gamma 2.19921875."""
SRGB = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
GAMMA = 563 / 256


def icc(primaries=ADOBE, gamma=563, description=b"Adobe RGB (1998)", space=b"RGB "):
    """A profile of version 2 with three primaries and one gamma (in 256ths), or gray with the gamma alone."""

    def xyz(values):
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(65536 * float(value)) for value in values))

    white = (0.9642, 1.0, 0.8249)
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, gamma) + b"\0\0"
    text = struct.pack(">I", len(description) + 1) + description + b"\0" + bytes(8 + 3 + 67)
    tags = {b"desc": b"desc\0\0\0\0" + text, b"wtpt": xyz(white), b"cprt": b"text\0\0\0\0none\0\0\0\0"}
    if space == b"RGB ":
        tags |= {name: xyz(primaries[:, column]) for column, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
        tags |= {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve}
    else:
        tags |= {b"kTRC": curve}
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        padded = data + bytes(-len(data) % 4)
        table += name + struct.pack(">2I", start + len(body), len(data))
        body += padded
    size = start + len(body)
    header = struct.pack(">I4sI4s4s4s", size, b"none", 0x02100000, b"mntr", space, b"XYZ ")
    header += struct.pack(">6H4s", 2020, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    header += struct.pack(">3i", *(round(65536 * value) for value in white))
    return header + bytes(128 - len(header)) + struct.pack(">I", len(tags)) + table + body


def expected(color):
    """The same by the profile's definition: primaries and gammas, without any library."""
    linear = np.linalg.inv(SRGB) @ ADOBE @ (color.reshape(-1, 3).astype(np.float64).T / 255.0) ** GAMMA
    inside = ((linear > 1e-3) & (linear < 1.0)).all(axis=0)
    linear = linear.clip(0.0, 1.0)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (255.0 * encoded).T, inside


RGB = np.random.default_rng(2).integers(0, 256, (40, 30, 3), dtype=np.uint8)


def test_adobe_rgb_is_converted_as_its_specification_says():
    done, told = in_srgb(RGB, ColorProfile(name="Adobe RGB (1998)", data=icc()))
    wanted, inside = expected(RGB)
    assert inside.sum() > 300
    assert np.abs(done.reshape(-1, 3)[inside] - wanted[inside]).max() <= 1.5
    assert np.abs(done.astype(int) - RGB).max() > 20, "the case must make a difference"
    assert "'Adobe RGB (1998)'; its colours were converted to sRGB" in told
    grays = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, axis=2)
    assert np.ptp(in_srgb(grays, ColorProfile(name="x", data=icc()))[0].astype(int), axis=2).max() <= 1


def test_gray_pictures_follow_gray_profiles():
    gray = np.arange(256, dtype=np.uint8)[:, None, None]
    done, _ = in_srgb(gray, ColorProfile(name="dot gain", data=icc(gamma=256, space=b"GRAY")))
    assert done.shape == gray.shape
    linear = np.arange(256) / 255.0
    wanted = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(done[:, 0, 0] - 255.0 * wanted).max() <= 2.0


def test_rows_are_converted_as_the_whole_picture_is(monkeypatch):
    profile = ColorProfile(name="x", data=icc())
    whole, _ = in_srgb(RGB, profile)
    monkeypatch.setattr(color_profiles, "_ROWS", 7)
    np.testing.assert_array_equal(in_srgb(RGB, profile)[0], whole)


@pytest.mark.parametrize(
    ("color", "data", "told"),
    [
        (RGB, b"", "does not fit it or is damaged (it has 0 bytes)"),
        (RGB, icc()[:200], "does not fit it or is damaged"),
        (RGB, b"\xff" * 500, "does not fit it or is damaged"),
        (RGB, icc(space=b"GRAY"), "does not fit it or is damaged"),
        (RGB[..., :1], icc(), "does not fit it or is damaged"),
        (RGB, bytes(5 << 20), "does not fit it or is damaged (it has 5,242,880 bytes)"),
        (RGB.astype(np.uint16) * 257, icc(), "more than 8 bits"),
    ],
)
def test_what_cannot_be_converted_stays_and_is_told(color, data, told):
    done, said = in_srgb(color, ColorProfile(name="x", data=data))
    assert done is color
    assert told in said


def test_without_littlecms_colours_stay_and_it_is_told(monkeypatch):
    monkeypatch.setattr(color_profiles.features, "check", lambda name: False)
    done, told = in_srgb(RGB, ColorProfile(name="x", data=icc()))
    assert done is RGB
    assert "without LittleCMS" in told


def save(path, values):
    Image.fromarray(values).save(path, icc_profile=icc())
    return path


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_initial_textures_and_masks_are_in_srgb_and_other_maps_as_they_stand(tmp_path, suffix):
    side = np.full((16, 16, 3), (40, 200, 60), dtype=np.uint8)
    (tmp_path / "maps").mkdir()
    options = {"icc_profile": icc(), **({"lossless": True} if suffix == "webp" else {})}
    for name in ("base_color", "roughness"):
        Image.fromarray(side).save(tmp_path / "maps" / f"{name}.{suffix}", **options)
    source = read_material(tmp_path / "maps", 16)
    wanted, _ = in_srgb(side, ColorProfile(name="x", data=icc()))
    got = source.texture.maps["base_color"][0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(got, wanted / np.float32(255), atol=1e-6)
    gray = source.texture.maps["roughness"][0][0, 0, 0]
    assert float(gray) == pytest.approx((0.299 * 40 + 0.587 * 200 + 0.114 * 60) / 255, abs=1e-6)
    assert any("base_color" in note and "converted to sRGB" in note for note in source.notes)
    assert any("roughness" in note and "no colours" in note for note in source.notes)


def test_a_mask_is_judged_by_its_colours_in_srgb(tmp_path):
    dark = icc(gamma=256 * 3)
    picture = np.full((16, 16, 3), 150, dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "mask.png", icc_profile=dark)
    assert not read_lock_masks(tmp_path / "mask.png", 16).masks[0].any()
    Image.fromarray(picture).save(tmp_path / "plain.png")
    assert read_lock_masks(tmp_path / "plain.png", 16).masks[0].all()


def test_srgb_is_left_alone_to_the_last_bit(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    square = RGB[:16, :16]
    Image.fromarray(square).save(tmp_path / "a.png", icc_profile=profile)
    source = read_texture(tmp_path / "a.png", 16)
    got = source.texture.maps["base_color"][0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(got, square / np.float32(255))
    assert source.notes == ()
