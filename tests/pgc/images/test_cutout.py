# SPDX-License-Identifier: Apache-2.0
"""An object cut out of a picture, by its transparency or by the plain colour around it."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from pgc.errors import TextureError
from pgc.images.cutout import cut_out, framed, read_cutout


def disc(height=60, width=90, background=(230, 240, 250), radius=18, noise=0) -> np.ndarray:
    """A red disc with a hole of the background's colour, right of the middle."""
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(y - 30, x - 55)
    pixels = np.full((height, width, 3), background, dtype=np.int16)
    pixels += np.random.default_rng(0).integers(-noise, noise + 1, pixels.shape, dtype=np.int16)
    pixels[(distance < radius) & (distance > 4)] = (200, 30, 20)
    return pixels.clip(0, 255).astype(np.uint8)


def test_what_has_the_borders_colour_and_reaches_it_is_background():
    found = cut_out(disc(noise=6))
    y, x = np.mgrid[:60, :90]
    # The hole has the background's colour too, but does not reach the border.
    assert np.array_equal(found.covered[0, 0].numpy() > 0.5, np.hypot(y - 30, x - 55) < 18)
    assert not found.is_cut


def test_transparency_comes_before_colour():
    pixels = np.dstack([disc(), np.zeros((60, 90), np.uint8)])
    pixels[10:50, 5:80, 3] = 255
    found = cut_out(pixels)
    assert found.covered.sum() == 40 * 75
    opaque = pixels.copy()
    opaque[..., 3] = 255
    assert cut_out(opaque).covered.sum() < 40 * 75


def test_crumbs_are_left_out_and_an_object_at_the_border_is_said():
    crumbs = disc()
    crumbs[3:5, 3:5] = 0
    assert np.array_equal(cut_out(crumbs).covered, cut_out(disc()).covered)
    cut = disc()
    cut[25:35, 55:] = (200, 30, 20)
    assert cut_out(cut).is_cut


@pytest.mark.parametrize("size", [(60, 90), (90, 60)])
def test_the_framed_object_is_in_the_middle_at_its_share_of_the_square(size):
    height, width = size
    pixels = np.full((height, width, 3), 255, np.uint8)
    pixels[10:50, 20:40] = (10, 120, 200)
    found = framed(cut_out(pixels), 80, share=0.5)
    seen = found.covered[0, 0].numpy() > 0.5
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    assert (rows[0], rows[-1]) == (20, 59)
    assert (columns[0], columns[-1]) == (30, 49)
    assert np.allclose(found.color[0, :, 40, 40].numpy() * 255, (10, 120, 200), atol=0.5)


def test_pictures_without_an_object_are_refused(tmp_path):
    busy = np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(busy).save(tmp_path / "busy.png")
    with pytest.raises(TextureError, match=r"busy\.png: The picture has no plain background"):
        read_cutout(tmp_path / "busy.png")
    with pytest.raises(TextureError, match="less than a two-hundredth"):
        cut_out(np.full((40, 40, 3), 90, np.uint8))
    with pytest.raises(TextureError, match="less than a two-hundredth"):
        cut_out(np.zeros((40, 40, 4), np.uint8))
    ghost = np.zeros((40, 40, 4), np.uint8)
    ghost[10:30, 10:30, 3] = 120
    with pytest.raises(TextureError, match="what is more than half transparent does not count"):
        cut_out(ghost)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_as_it_asks(tmp_path, orientation):
    picture = Image.fromarray(disc())
    exif = picture.getexif()
    exif[274] = orientation
    picture.save(tmp_path / "phone.jpg", exif=exif, quality=95)
    with Image.open(tmp_path / "phone.jpg") as stored:
        expected = cut_out(np.array(ImageOps.exif_transpose(stored)))
    found = read_cutout(tmp_path / "phone.jpg")
    assert found.color.shape == expected.color.shape
    # Two decoders round differently.
    assert (found.color - expected.color).abs().mean() < 0.01
    assert (found.covered - expected.covered).abs().mean() < 0.01
    assert found.notes == ()


def test_what_was_ignored_in_a_picture_is_said(tmp_path):
    Image.fromarray(disc()).convert("CMYK").save(tmp_path / "print.jpg")
    found = read_cutout(tmp_path / "print.jpg")
    assert "print.jpg is CMYK" in found.notes[0]
    assert framed(found, 32, share=0.5).notes == found.notes
