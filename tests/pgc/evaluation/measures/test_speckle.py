# SPDX-License-Identifier: Apache-2.0
"""The speckle score on pictures whose score follows by hand."""

from __future__ import annotations

import math

import pytest
import torch

from pgc.errors import ConfigError
from pgc.evaluation.measures.speckle import chroma, chroma_noise, chroma_noise_by_scale


def test_chroma_of_known_colours() -> None:
    colours = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]).T[None, :, None, :]
    # BT.601: gray has none; blue has Cb = 0.5 and Cr = -0.114 / 1.402; red has Cb = -0.299 / 1.772 and Cr = 0.5.
    expected = torch.tensor([[0.0, 0.5, -0.299 / 1.772], [0.0, -0.114 / 1.402, 0.5]])
    torch.testing.assert_close(chroma(colours)[0, :, 0], expected, atol=1e-6, rtol=0)


def test_one_blue_pixel_on_gray() -> None:
    image = torch.full((1, 3, 12, 12), 0.5)
    image[0, :, 5, 6] = torch.tensor([0.5, 0.5, 0.9])
    # Cb rises by 0.4 * (1 - 0.114) / 1.772 = 0.2, Cr by -0.4 * 0.114 / 1.402; 10 x 10 pixels have a whole 3x3 block.
    energy = 0.2**2 + (0.4 * 0.114 / 1.402) ** 2
    assert chroma_noise(image).item() == pytest.approx(math.sqrt(energy / 100), rel=1e-5)


def test_edges_and_luma_noise_are_not_speckle() -> None:
    image = torch.zeros(1, 3, 16, 16)
    image[:, 0, :, :8] = 1.0
    image[:, 2, :, 8:] = 1.0
    assert chroma_noise(image).item() == 0.0
    gray = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0)).expand(1, 3, 16, 16)
    assert chroma_noise(gray).item() < 1e-6


def test_only_the_inside_of_the_mask_counts() -> None:
    image = torch.full((1, 3, 16, 16), 0.5)
    mask = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    mask[..., 4:12, 4:12] = True
    image[0, 0, 4, 4] = 1.0  # on the rim of the mask: its neighbourhood reaches outside
    assert chroma_noise(image, mask).item() == 0.0
    image[0, 0, 8, 8] = 1.0
    assert chroma_noise(image, mask).item() > 0.0


def test_each_image_of_a_batch_has_its_own_score() -> None:
    image = torch.full((2, 3, 8, 8), 0.5)
    image[1, 1, 4, 4] = 0.0
    scores = chroma_noise(image)
    assert scores[0].item() == 0.0
    assert scores[1].item() == pytest.approx(chroma_noise(image[1:]).item())


def test_blotches_show_at_their_own_scale() -> None:
    image = torch.full((1, 3, 32, 32), 0.5)
    image[0, 2, 12:16, 12:16] = 0.9  # a 4x4 blotch: nearly an edge at scale 1, one lone pixel at scale 4
    by_scale = chroma_noise_by_scale(image, None, (1, 4))
    energy = 0.2**2 + (0.4 * 0.114 / 1.402) ** 2
    assert by_scale[4].item() == pytest.approx(math.sqrt(energy / 36), rel=1e-5)
    # At scale 1 only the four corners of the blotch differ from their medians.
    assert by_scale[1].item() == pytest.approx(math.sqrt(4 * energy / 900), rel=1e-5)


def test_masks_without_an_inside_are_refused() -> None:
    image = torch.zeros(1, 3, 8, 8)
    mask = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    mask[..., 3:5, 3:5] = True
    with pytest.raises(ConfigError, match="3x3"):
        chroma_noise(image, mask)
    with pytest.raises(ConfigError, match="scale 0"):
        chroma_noise_by_scale(image, None, (0,))
    with pytest.raises(ConfigError, match="scale 16"):
        chroma_noise_by_scale(image, None, (16,))
