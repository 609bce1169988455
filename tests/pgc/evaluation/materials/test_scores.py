# SPDX-License-Identifier: Apache-2.0
"""Every score on a case whose answer is known by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pgc.errors import ConfigError
from pgc.evaluation.materials.scores import (
    baked_light,
    color_difference,
    normal_angle,
    relit_scores,
    root_mean_square,
    sharpness,
    structural_similarity,
)

S = 16
ALL = torch.ones(S, S, dtype=torch.bool)
LEFT = torch.zeros(S, S, dtype=torch.bool)
LEFT[:, : S // 2] = True


def sphere_normals(size: int = 48) -> tuple[Tensor, Tensor]:
    """Normals of a sphere in latitude and longitude, and the area of each texel."""
    place = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    theta, phi = math.pi * place[:, None], 2.0 * math.pi * place[None]
    x, y = theta.sin() * phi.cos(), theta.sin() * phi.sin()
    z = theta.cos().expand(size, size)
    return torch.stack([x, y, z], dim=-1), theta.sin().expand(size, size)


def test_root_mean_square_counts_the_mask_only() -> None:
    truth = torch.zeros(1, S, S)
    image = torch.where(LEFT, 0.3, 0.9)[None]
    assert root_mean_square(image, truth, LEFT) == pytest.approx(0.3)
    assert root_mean_square(image, truth, ALL) == pytest.approx(math.sqrt(0.5 * (0.09 + 0.81)))
    with pytest.raises(ConfigError, match="empty"):
        root_mean_square(image, truth, torch.zeros_like(ALL))


def test_color_difference_of_black_and_white() -> None:
    """Between L* = 0 and 100 with S_L of the middle, 1, CIEDE2000 is 100."""
    white, black = torch.ones(3, S, S), torch.zeros(3, S, S)
    assert color_difference(white, black, ALL) == pytest.approx(100.0, abs=1e-6)
    assert color_difference(white, white, ALL) == 0.0


def test_normal_angle_of_a_known_tilt() -> None:
    flat = torch.tensor((0.5, 0.5, 1.0))[:, None, None].expand(3, S, S)
    tilt = math.radians(30.0)
    tilted = torch.tensor((0.5 + 0.5 * math.sin(tilt), 0.5, 0.5 + 0.5 * math.cos(tilt)))[:, None, None]
    assert normal_angle(tilted.expand(3, S, S), flat, ALL) == pytest.approx(30.0, abs=1e-4)
    assert normal_angle(flat, flat, ALL) == pytest.approx(0.0, abs=1e-6)
    mixed = torch.where(LEFT, tilted, flat)
    assert normal_angle(mixed, flat, ALL) == pytest.approx(15.0, abs=1e-4)


def test_structural_similarity_by_hand() -> None:
    """Plain pictures have no variance, so that SSIM is its first factor: (2ab + C1) / (a² + b² + C1)."""
    first, second = torch.full((3, S, S), 0.8), torch.full((3, S, S), 0.4)
    expected = (2 * 0.8 * 0.4 + 1e-4) / (0.64 + 0.16 + 1e-4)
    assert structural_similarity(first, second, ALL) == pytest.approx(expected, abs=1e-6)
    pattern = torch.rand(3, S, S, generator=torch.Generator().manual_seed(1))
    assert structural_similarity(pattern, pattern, ALL) == pytest.approx(1.0)
    assert structural_similarity(1.0 - pattern, pattern, ALL) < 0.0
    # What lies outside the mask must not matter.
    spoiled = torch.where(LEFT, pattern, torch.zeros(()))
    assert structural_similarity(spoiled, pattern, LEFT) == pytest.approx(1.0)


@pytest.mark.parametrize("strength", [0.05, 0.3])
def test_light_that_was_baked_in_is_found(strength: float) -> None:
    """Base colour times exp(k z): the fit is k z, whose deviation over a sphere is k / sqrt(3)."""
    normals, area = sphere_normals()
    truth = torch.full((3, *area.shape), 0.4, dtype=torch.float64)
    lit = truth * torch.exp(strength * normals[..., 2])
    found = baked_light(lit, truth, normals, area)
    assert found["std"] == pytest.approx(strength / math.sqrt(3.0), rel=2e-3)
    assert found["r2"] == pytest.approx(1.0, abs=1e-9)


def test_errors_that_are_no_light_are_not_taken_for_it() -> None:
    normals, area = sphere_normals()
    truth = torch.full((3, *area.shape), 0.4, dtype=torch.float64)
    assert baked_light(truth * 1.3, truth, normals, area)["std"] == pytest.approx(0.0, abs=1e-9)
    checks = torch.ones_like(area)
    checks[::2] = 0.8
    found = baked_light(truth * checks, truth, normals, area)
    assert found["std"] < 0.01
    assert found["r2"] < 0.01
    # An x³ is no harmonic of order 2: of its variance 1/7, the fit explains 9/25/3 (its projection on x).
    cubic = truth * torch.exp(0.1 * normals[..., 0] ** 3)
    assert baked_light(cubic, truth, normals, area)["r2"] == pytest.approx((9 / 25 / 3) / (1 / 7), rel=5e-3)


def test_texels_without_surface_do_not_count() -> None:
    normals, area = sphere_normals()
    truth = torch.full((3, *area.shape), 0.4, dtype=torch.float64)
    image = truth.clone()
    image[:, :, :8] = 0.01
    masked = area.clone()
    masked[:, :8] = 0.0
    assert baked_light(image, truth, normals, masked)["std"] == pytest.approx(0.0, abs=1e-9)
    assert baked_light(image, truth, normals, area)["std"] > 0.05


def test_sharpness_is_the_contrast_that_is_left() -> None:
    pattern = torch.rand(3, S, S, generator=torch.Generator().manual_seed(2))
    assert sharpness(pattern, pattern, ALL) == pytest.approx(1.0)
    assert sharpness(0.25 * pattern + 0.6, pattern, ALL) == pytest.approx(0.25, abs=1e-6)
    assert sharpness(torch.full_like(pattern, 0.5), pattern, ALL) == 0.0
    assert sharpness(pattern, torch.full_like(pattern, 0.5), ALL) == 1.0


def test_pictures_are_scored_over_the_object() -> None:
    truth = torch.full((1, 3, S, S), 0.5)
    image = torch.where(LEFT, 0.6, 0.0).expand(1, 3, S, S)
    rows = relit_scores(image, truth, LEFT[None, None])
    assert rows[0]["psnr"] == pytest.approx(20.0, abs=1e-4)
    assert 0.0 < rows[0]["flip"] < 1.0
    assert relit_scores(truth, truth, LEFT[None, None]) == [{"psnr": 60.0, "flip": 0.0}]
    assert relit_scores(truth, truth, torch.zeros(1, 1, S, S, dtype=torch.bool)) == []
