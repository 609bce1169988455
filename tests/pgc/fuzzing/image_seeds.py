# SPDX-License-Identifier: Apache-2.0
"""Small whole images of each format and of each way to store it, for the fuzzer to damage."""

from __future__ import annotations

import io
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tests.pgc.image_files import png_bytes, rgb_rows, write_with_oiio

__all__ = ["Seed", "whole_images"]


@dataclass(frozen=True, slots=True)
class Seed:
    """A whole image, and the suffix that its file has."""

    suffix: str
    data: bytes


def whole_images() -> list[Seed]:
    """Small whole images of each format and of each way to store it."""
    random = np.random.default_rng(7)
    rgb = random.integers(0, 256, (12, 10, 3), dtype=np.uint8)
    rgba = random.integers(0, 256, (12, 10, 4), dtype=np.uint8)
    gray = Image.fromarray(rgb[..., 0])
    pictures: list[tuple[str, Image.Image, dict[str, object]]] = [
        ("png", Image.fromarray(rgb).quantize(9), {"transparency": 3}),
        ("png", Image.fromarray(rgba), {}),
        ("png", gray.convert("1"), {}),
        ("png", gray.convert("LA"), {}),
        ("jpg", Image.fromarray(rgb), {}),
        ("jpg", Image.fromarray(rgb), {"progressive": True, "subsampling": 0}),
        ("jpg", Image.fromarray(rgb).convert("CMYK"), {}),
        ("jpg", gray, {}),
        ("webp", Image.fromarray(rgba), {"lossless": True}),
        ("webp", Image.fromarray(rgb), {}),
        ("webp", Image.fromarray(rgba), {"save_all": True, "append_images": [Image.fromarray(rgba[::-1])]}),
        ("bmp", Image.fromarray(rgb), {}),
        ("bmp", Image.fromarray(rgb).quantize(16), {}),
        ("tga", Image.fromarray(rgba), {}),
        ("tga", Image.fromarray(rgb), {"compression": "tga_rle"}),
        ("tga", Image.fromarray(rgb).quantize(16), {}),
        ("tif", Image.fromarray(rgb).convert("CMYK"), {}),
        ("tif", Image.fromarray(rgb), {"compression": "tiff_lzw"}),
        ("tif", Image.fromarray(rgb), {"compression": "jpeg"}),
        ("tif", gray.convert("1"), {"compression": "group4"}),
        ("tif", gray, {"compression": "packbits"}),
        ("gif", Image.fromarray(rgb).quantize(32), {}),
        ("gif", Image.fromarray(rgb).quantize(8), {"save_all": True, "append_images": [gray.quantize(4)]}),
        ("ppm", Image.fromarray(rgb), {}),
        ("jp2", Image.fromarray(rgb), {}),
        ("dds", Image.fromarray(rgba), {}),
    ]
    seeds = [Seed("png", png_bytes(16, 16, rgb_rows(16))), Seed("png", png_bytes(1, 1, b"\0abc", interlaced=1))]
    for suffix, picture, options in pictures:
        buffer = io.BytesIO()
        names = {"jpg": "JPEG", "tif": "TIFF", "jp2": "JPEG2000"}
        picture.save(buffer, names.get(suffix, suffix.upper()), **options)
        seeds.append(Seed(suffix, buffer.getvalue()))
    # Photoshop's file format: a header, three empty sections, and planes without compression.
    photoshop = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 12, 10, 8, 3) + struct.pack(">IIIH", 0, 0, 0, 0)
    seeds.append(Seed("psd", photoshop + rgb.transpose(2, 0, 1).tobytes()))
    deep = random.integers(0, 65536, (12, 10, 4)).astype(np.uint16)
    wide = random.random((12, 10, 4)).astype(np.float32)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stored = [
            write_with_oiio(folder / "a.png", deep, "uint16"),
            write_with_oiio(folder / "a.tif", deep, "uint16"),
            write_with_oiio(folder / "b.tif", wide, "float"),
            write_with_oiio(folder / "a.hdr", wide[..., :3], "float"),
            *(
                write_with_oiio(folder / f"{kind}.exr", wide, "half", compression=kind)
                for kind in ("none", "rle", "zip", "piz", "pxr24", "b44", "dwaa")
            ),
            write_with_oiio(folder / "window.exr", wide[..., :3], "float", window=(-2, -2, 20, 20)),
        ]
        seeds += [Seed(path.suffix[1:], path.read_bytes()) for path in stored]
    return seeds
