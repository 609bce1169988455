# SPDX-License-Identifier: Apache-2.0
"""Colour differences against published numbers."""

from __future__ import annotations

import pytest
import torch

from pgc.color_space import linear_from_srgb
from pgc.evaluation.measures.color_difference import delta_e_2000, lab_from_srgb

# Sharma, Wu and Dalal, 2005, table 1: pairs 1, 4, 7, 9, 10, 16, 17, 25, 28 and 34.
_PAIRS = [
    ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
    ((50.0, -1.3802, -84.2814), (50.0, 0.0, -82.7485), 1.0000),
    ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
    ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0009), 7.1792),
    ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0011), 7.2195),
    ((50.0, 2.5, 0.0), (50.0, 0.0, -2.5), 4.3065),
    ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((35.0831, -44.1164, 3.7933), (35.0232, -40.0716, 1.5901), 1.8645),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
]


@pytest.mark.parametrize(("first", "second", "expected"), _PAIRS)
def test_published_pairs(first: tuple[float, ...], second: tuple[float, ...], expected: float) -> None:
    pair = [torch.tensor(color, dtype=torch.float64)[:, None] for color in (first, second)]
    assert float(delta_e_2000(pair[0], pair[1])) == pytest.approx(expected, abs=1e-4)
    assert float(delta_e_2000(pair[1], pair[0])) == pytest.approx(expected, abs=1e-4)


def test_lab_of_known_colors() -> None:
    image = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]).T[:, None]
    lab = lab_from_srgb(image)[:, 0].T
    assert lab[0].tolist() == pytest.approx([100.0, 0.0, 0.0], abs=1e-9)
    assert lab[1].tolist() == pytest.approx([0.0, 0.0, 0.0], abs=1e-9)
    # Red of sRGB: a figure that every colour calculator shows.
    assert lab[2].tolist() == pytest.approx([53.24, 80.09, 67.20], abs=0.02)


def test_half_gray_is_a_fifth_of_the_light() -> None:
    assert float(linear_from_srgb(torch.full((3, 1, 1), 0.5))[0, 0, 0]) == pytest.approx(0.214041, abs=1e-6)
