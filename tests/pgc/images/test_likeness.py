# SPDX-License-Identifier: Apache-2.0
"""A picture that a texture is to resemble: any size, any depth, and only what can be seen of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pgc.errors import TextureError
from pgc.images.likeness import LIKENESS_SIDE, likeness_of, read_likeness
from tests.pgc.image_files import write_with_oiio


def _noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def test_one_of_the_size_that_is_looked_at_keeps_its_bytes() -> None:
    picture = _noise(LIKENESS_SIDE, LIKENESS_SIDE, 3)
    assert np.array_equal(likeness_of(picture), picture)
    other = likeness_of(_noise(9, 300, 3))
    assert np.array_equal(likeness_of(other), other)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (3, 2000), (1025, 40)])
def test_size_and_shape_do_not_matter(shape: tuple[int, int]) -> None:
    flat = np.empty((*shape, 3), np.uint8)
    flat[:] = (200, 40, 7)
    found = likeness_of(flat)
    assert found.shape == (LIKENESS_SIDE, LIKENESS_SIDE, 3)
    assert (found == (200, 40, 7)).all()


def test_what_is_transparent_does_not_count() -> None:
    pixels = np.zeros((LIKENESS_SIDE, LIKENESS_SIDE, 4), np.uint8)
    pixels[:64], pixels[64:96] = (255, 0, 0, 255), (0, 0, 255, 128)
    pixels[96:] = (0, 255, 0, 127)
    found = likeness_of(pixels)
    red, blue = (found == (255, 0, 0)).all(-1), (found == (0, 0, 255)).all(-1)
    assert (red | blue).all(), "no green"
    assert red.mean() == pytest.approx(2 / 3, abs=0.01), "as much red as can be seen"
    opaque = pixels.copy()
    opaque[..., 3] = 255
    assert np.array_equal(likeness_of(opaque), pixels[..., :3])
    pixels[..., 3] = 127
    with pytest.raises(TextureError, match="transparent"):
        likeness_of(pixels)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_files_of_any_kind(mode: str, tmp_path: Path) -> None:
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    if mode == "I;16":
        Image.fromarray(np.full((8, 8), 51 * 257, np.uint16)).save(path)
    else:
        Image.new("RGB", (8, 8), (51, 51, 51)).convert(mode).save(path)
    found = read_likeness(path).astype(int)
    assert abs(found - 51).max() <= (1 if mode == "CMYK" else 0)


def test_linear_light_is_encoded_and_cut_to_what_a_texture_holds(tmp_path: Path) -> None:
    light = np.zeros((LIKENESS_SIDE, LIKENESS_SIDE, 3), np.float32)
    light[:, :128], light[:, 128:] = 0.5, 9.0
    write_with_oiio(tmp_path / "a.exr", light, "float")
    found = read_likeness(tmp_path / "a.exr")
    assert (found[:, :128] == 188).all()
    assert (found[:, 128:] == 255).all()


def test_an_unusable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TextureError, match=r"nothing\.png"):
        read_likeness(tmp_path / "nothing.png")
    Image.new("RGBA", (4, 4)).save(tmp_path / "clear.png")
    with pytest.raises(TextureError, match=r"clear\.png: All of the picture is transparent"):
        read_likeness(tmp_path / "clear.png")
    with pytest.raises(TextureError):
        read_likeness(tmp_path)
