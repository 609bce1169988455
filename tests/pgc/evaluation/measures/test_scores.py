# SPDX-License-Identifier: Apache-2.0
"""Scores of textures on cases worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from pgc.errors import ConfigError
from pgc.evaluation.measures.scores import maximum_difference, psnr, psnr_by_mip, sha256_of_maps


def test_psnr_by_hand() -> None:
    truth = torch.zeros(3, 4, 4)
    # An error of 0.1 everywhere has a mean square of 0.01, which is 20 dB.
    assert psnr(truth + 0.1, truth) == pytest.approx(20.0, abs=1e-5)
    assert psnr(truth, truth) == math.inf


def test_psnr_looks_inside_the_mask_only() -> None:
    truth, image = torch.zeros(3, 4, 4), torch.zeros(3, 4, 4)
    image[:, 0, 0], image[:, 3, 3] = 0.1, 1.0
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[0, 0] = mask[0, 1] = True
    assert psnr(image, truth, mask) == pytest.approx(20.0 + 10 * math.log10(2), abs=1e-5)


def test_psnr_by_mip_averages_blocks_and_leaves_out_those_on_the_border() -> None:
    truth, image = torch.zeros(1, 4, 4), torch.zeros(1, 4, 4)
    image[0, 0, 0], image[0, 0, 1] = 0.2, -0.2  # gone at mip 1
    image[0, 2:, 2:] = 0.1
    mask = torch.ones(4, 4, dtype=torch.bool)
    # Mip 0: (2 * 0.04 + 4 * 0.01) / 16; mip 1: one block of four is off by 0.1.
    expected = [-10 * math.log10(0.12 / 16), -10 * math.log10(0.01 / 4)]
    assert psnr_by_mip(image, truth, mask, 2) == pytest.approx(expected, abs=1e-4)
    mask[3, 3] = False
    assert psnr_by_mip(image, truth, mask, 2)[1] == math.inf


def test_maximum_difference_is_a_channels_largest_inside_the_mask() -> None:
    truth, image = torch.zeros(3, 2, 2), torch.zeros(3, 2, 2)
    image[1, 0, 0], image[2, 1, 1] = -0.25, 0.9
    mask = torch.tensor([[True, True], [True, False]])
    assert maximum_difference(image, truth, mask) == 0.25


def test_empty_masks_are_refused() -> None:
    image, mask = torch.zeros(3, 2, 2), torch.zeros(2, 2, dtype=torch.bool)
    with pytest.raises(ConfigError, match="empty"):
        psnr(image, image, mask)
    with pytest.raises(ConfigError, match="empty"):
        maximum_difference(image, image, mask)


def test_hash_of_maps_sees_every_bit_name_and_shape() -> None:
    base = torch.arange(12, dtype=torch.float32).view(3, 2, 2)
    reference = sha256_of_maps({"base_color": [base]})
    assert sha256_of_maps({"base_color": [base.clone()]}) == reference
    nudged = base.clone()
    nudged[0, 0, 0] = torch.nextafter(nudged[0, 0, 0], torch.tensor(1.0))
    assert sha256_of_maps({"base_color": [nudged]}) != reference
    assert sha256_of_maps({"normal": [base]}) != reference
    assert sha256_of_maps({"base_color": [base.view(3, 4, 1)]}) != reference
