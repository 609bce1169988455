# SPDX-License-Identifier: Apache-2.0
"""FLIP on pictures whose error can be worked out by hand, and against the figures of its authors' own program."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pgc.errors import ConfigError
from pgc.evaluation.measures.flip import flip


def _plain(value: float, size: int = 40) -> Tensor:
    return torch.full((1, 3, size, size), value)


def test_equal_pictures_have_no_error() -> None:
    picture = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    assert float(flip(picture, picture).max()) == 0.0


def test_black_and_white_by_hand() -> None:
    """L* differs by 100 and nothing else; the largest difference is that of green and blue."""

    def hunted(x: float, y: float, z: float) -> tuple[float, float, float]:
        fx, fy, fz = (max(v, 1e-9) ** (1 / 3) for v in (x / 0.95047, y, z / 1.08883))
        light = 116 * fy - 16
        return light, 0.01 * light * 500 * (fx - fy), 0.01 * light * 200 * (fy - fz)

    green, blue = hunted(0.3575761, 0.7151522, 0.1191920), hunted(0.1804375, 0.0721750, 0.9503041)
    largest = (abs(green[0] - blue[0]) + math.hypot(green[1] - blue[1], green[2] - blue[2])) ** 0.7
    error = 100.0**0.7
    expected = 0.95 + (error - 0.4 * largest) / (0.6 * largest) * 0.05
    assert float(flip(_plain(0.0), _plain(1.0)).mean()) == pytest.approx(expected, abs=1e-4)


def test_figures_of_the_authors_program() -> None:
    """Means that flip-evaluator 1.7 gives for the same pictures at its default 67 pixels per degree."""
    assert float(flip(_plain(0.5), _plain(0.6)).mean()) == pytest.approx(0.285065, abs=2e-4)
    generator = torch.Generator().manual_seed(0)
    smooth = interpolate(torch.rand(1, 3, 9, 9, generator=generator), (96, 96), mode="bicubic").clamp(0, 1)
    grain = interpolate(torch.randn(1, 3, 40, 40, generator=generator), (96, 96), mode="bilinear")
    assert float(flip(smooth, (smooth + 0.15 * grain).clamp(0, 1)).mean()) == pytest.approx(0.337848, abs=5e-4)


def test_an_edge_that_is_lost_counts_more_than_its_colors() -> None:
    striped = _plain(0.5)
    striped[..., ::8] = 0.6
    blurred = _plain(float(striped.mean()))
    same_colors = striped.roll(4, dims=-1)
    assert float(flip(blurred, striped).mean()) > 0.05
    assert float(flip(same_colors, striped).mean()) > float(flip(blurred, striped).mean())


def test_sizes_must_agree() -> None:
    with pytest.raises(ConfigError, match="equal sizes"):
        flip(_plain(0.5, 8), _plain(0.5, 9))
