# SPDX-License-Identifier: Apache-2.0
"""Harmonics against quadrature and against the prefilter of the same environment as a picture."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pgc.errors import ConfigError
from pgc.rendering.environment import studio
from pgc.rendering.harmonics import (
    degrees,
    drawn_environment,
    harmonic_environment,
    harmonics,
    lobe_factors,
    project_environment,
    zonal_table,
)
from pgc.rendering.latlong import texel_directions, texel_solid_angles
from pgc.rendering.prefilter import prefilter

DEGREE = 5


def directions(count: int, seed: int = 0) -> Tensor:
    drawn = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(drawn, dim=-1)


@pytest.fixture(scope="module")
def coefficients() -> Tensor:
    """Of three views; bright enough everywhere that no direction is negative."""
    drawn = torch.randn(3, (DEGREE + 1) ** 2, 3, generator=torch.Generator().manual_seed(1))
    drawn = 0.3 * drawn * 0.8 ** degrees(DEGREE)[None, :, None]
    drawn[:, 0] = 8.0
    return drawn


def test_they_are_orthonormal() -> None:
    height = 64
    values = harmonics(texel_directions(height).reshape(-1, 3), 8)
    weight = texel_solid_angles(height)[:, None].expand(height, 2 * height).reshape(-1, 1)
    torch.testing.assert_close((values * weight).T @ values, torch.eye(81), atol=3e-3, rtol=0.0)


def test_the_first_ones_are_those_of_the_books() -> None:
    x, y, z = directions(20).unbind(-1)
    found = harmonics(torch.stack([x, y, z], dim=-1), 2)
    norm = math.sqrt(3.0 / (4.0 * math.pi))
    torch.testing.assert_close(found[:, 0], torch.full((20,), 0.5 / math.sqrt(math.pi)))
    torch.testing.assert_close(found[:, 1:4], norm * torch.stack([y, z, x], dim=-1))
    torch.testing.assert_close(found[:, 6], math.sqrt(5.0 / (16.0 * math.pi)) * (3.0 * z * z - 1.0))
    torch.testing.assert_close(found[:, 8], math.sqrt(15.0 / (16.0 * math.pi)) * (x * x - y * y))


def test_diffuse_light_has_the_known_factors() -> None:
    expected = torch.tensor([1.0, 2.0 / 3.0, 0.25, 0.0, -1.0 / 24.0])
    torch.testing.assert_close(zonal_table(4)[-1], expected, atol=1e-5, rtol=0.0)


def test_lookups_agree_with_the_prefilter_of_the_same_light(coefficients: Tensor) -> None:
    light = coefficients[:1]
    slow = prefilter(drawn_environment("slow", light[0], height=64))
    where = directions(60)
    factors = zonal_table(DEGREE)[-1, degrees(DEGREE)]
    torch.testing.assert_close(
        (harmonics(where, DEGREE) * factors) @ light[0], slow.diffuse(where), atol=0.02, rtol=0.0
    )
    for roughness in (0.15, 0.4, 0.9):
        level = torch.full((60,), roughness)
        fast = (harmonics(where, DEGREE) * lobe_factors(level, DEGREE)) @ light[0]
        torch.testing.assert_close(fast, slow.specular(where, level), atol=0.03, rtol=0.0)


def test_each_view_looks_up_its_own_light(coefficients: Tensor) -> None:
    environment = harmonic_environment("three", coefficients)
    where, view = directions(90), torch.arange(90) % 3
    level = torch.linspace(0.1, 1.0, 90)
    sums = torch.einsum("pk,pkc->pc", harmonics(where, DEGREE) * lobe_factors(level, DEGREE), coefficients[view])
    torch.testing.assert_close(environment.specular(where, level, view), sums, atol=0.06, rtol=0.0)
    assert float((environment.specular(where, level, view.flip(0)) - sums).abs().max()) > 0.3
    with pytest.raises(ConfigError, match="light of 3 views; say which view"):
        environment.specular(where, level)


def test_an_environment_comes_back_from_its_harmonics() -> None:
    found = project_environment(studio(), DEGREE)
    again = project_environment(drawn_environment("again", found + 8.0 * (degrees(DEGREE) == 0)[:, None]), DEGREE)
    torch.testing.assert_close(again[1:], found[1:], atol=0.03, rtol=0.0)
    assert float(found[0].mean()) == pytest.approx(0.55 * math.sqrt(4.0 * math.pi), rel=0.01)
