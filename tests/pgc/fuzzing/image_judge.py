# SPDX-License-Identifier: Apache-2.0
"""What may come out of an image: an array that keeps its promises, or a `TextureError` of one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pgc.errors import TextureError
from pgc.images.masks import read_lock_masks
from pgc.images.reading import read_source_image
from pgc.images.sources import read_texture

__all__ = ["judge_image"]

_LONGEST = 700
_SIDE = 16
_TYPES = {"8 bits": "uint8", "16 bits": "uint16", "half float": "float16", "float": "float32"}


def judge_image(path: Path) -> str:
    """ "read" or "refused"; the answer to the same file as a texture and as a mask must fit.

    Raises:
        AssertionError: a promise is broken. Any other exception is a fault of the reader.
    """
    try:
        image = read_source_image(path)
    except TextureError as error:
        message = str(error)
        assert path.name in message, message
        assert "\n" not in message, message
        assert len(message) <= _LONGEST, message
        # Under the limit of the fuzzer this is how a picture that would have taken more comes out.
        assert "alloc" not in message.lower(), message
        return "refused"
    height, width, channels = image.color.shape
    assert min(height, width) >= 1, image.color.shape
    assert channels in {1, 3}, image.color.shape
    assert image.color.dtype == _TYPES[image.depth], (image.color.dtype, image.depth)
    assert image.alpha is None or image.alpha.shape == (height, width), image.alpha.shape
    for note in image.notes:
        assert "\n" not in note, note
        assert len(note) <= _LONGEST, note
    if image.linear:
        assert bool(np.isfinite(image.color).all())
    del image
    texture = read_texture(path, _SIDE).texture.maps["base_color"][0]
    assert tuple(texture.shape) == (3, _SIDE, _SIDE), texture.shape
    assert float(texture.min()) >= 0.0
    assert float(texture.max()) <= 1.0
    (mask,) = read_lock_masks(path, _SIDE).masks
    assert tuple(mask.shape) == (_SIDE, _SIDE), mask.shape
    return "read"
