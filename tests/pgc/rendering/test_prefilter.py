# SPDX-License-Identifier: Apache-2.0
import math

import pytest
import torch
import torch.nn.functional as F

from pgc.rendering.environment import colored_key, prefilter, random_environment
from pgc.rendering.latlong import Environment, texel_directions, texel_solid_angles
from pgc.rendering.prefilter import LEVELS, STEPS, WIDEST, level_heights


def slowly(environment: Environment, directions: torch.Tensor, roughness: float | None) -> torch.Tensor:
    """The blur as a plain sum over all texels; None is the clamped cosine."""
    height = environment.radiance.shape[1]
    cosine = (directions.double() @ texel_directions(height).reshape(-1, 3).T.double()).clamp(-1, 1)
    weight = cosine.clamp_min(0)
    if roughness is not None and roughness > 1:
        weight = (cosine > 0).double()
    elif roughness is not None:
        square = roughness**4
        weight = weight / ((1 - cosine) / 2 + (1 + cosine) / 2 * square) ** 2
    weight = weight * texel_solid_angles(height).double().repeat_interleave(2 * height)
    weight = weight / weight.sum(1, keepdim=True)
    return (weight @ environment.radiance.reshape(3, -1).T.double()).float()


@pytest.fixture(scope="module")
def lit():
    environment = colored_key()
    return environment, prefilter(environment)


@pytest.mark.parametrize("index", [4, 6, 9, 13, STEPS, STEPS + 1, LEVELS])
def test_every_level_is_the_sum_over_all_texels(lit, index):
    environment, filtered = lit
    rows = level_heights(128)[index]
    directions = texel_directions(rows)[:: rows // 8, :: rows // 4].reshape(-1, 3)
    found = filtered.level(index)[:, :: rows // 8, :: rows // 4].reshape(3, -1).T
    expected = slowly(environment, directions, None if index == LEVELS else index / STEPS)
    assert (found - expected).abs().max() < 0.01 * expected.max()


def test_level_zero_is_the_environment(lit):
    environment, filtered = lit
    assert torch.equal(filtered.level(0), environment.radiance)
    directions = texel_directions(128)[::9, ::7].reshape(-1, 3)
    seen = filtered.specular(directions, torch.zeros(len(directions)))
    assert torch.allclose(seen, environment.radiance[:, ::9, ::7].reshape(3, -1).T, atol=2e-2)


def test_white_stays_white():
    white = prefilter(Environment("white", torch.ones(3, 128, 256)))
    directions = F.normalize(torch.randn(500, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    for roughness in torch.linspace(0, WIDEST, 9):
        assert (white.specular(directions, roughness.expand(500)) - 1).abs().max() < 1e-3
    assert (white.diffuse(directions) - 1).abs().max() < 1e-3
    assert float(white.irradiance.mean()) == pytest.approx(math.pi, rel=1e-3)


def test_lookups_are_even_across_seam_and_poles(lit):
    _, filtered = lit
    for middle in ([-1.0, 0.0, 0.3], [0.0, 0.0, 1.0], [0.0, 0.0, -1.0]):
        around = F.normalize(torch.tensor(middle) + 1e-3 * torch.randn(64, 3), dim=1)
        for roughness in (0.3, 0.9):
            seen = filtered.specular(around, torch.full((64,), roughness))
            assert (seen.amax(0) - seen.amin(0)).max() < 0.02 * filtered.atlas.max()


def test_gradients_by_direction_and_roughness_agree_with_differences():
    environment = random_environment(torch.Generator().manual_seed(2))
    filtered = prefilter(environment)
    direction = F.normalize(torch.randn(20, 3, generator=torch.Generator().manual_seed(4)), dim=1)
    roughness = torch.linspace(0.31, 0.98, 20)

    def value(r: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
        return filtered.specular(F.normalize(d, dim=1), r).sum(1)

    roughness.requires_grad_()
    (gradient,) = torch.autograd.grad(value(roughness, direction).sum(), roughness)
    with torch.no_grad():
        step = 1e-3
        numeric = (value(roughness + step, direction) - value(roughness - step, direction)) / (2 * step)
    # Between two levels the value is a line in roughness; a step that meets a level sees both lines.
    inside = ((roughness.detach() * STEPS) % 1 - 0.5).abs() < 0.45
    assert torch.allclose(gradient[inside], numeric[inside], rtol=0.02, atol=0.02)


def test_it_moves_between_devices(lit):
    moved = lit[1].to("cpu")
    assert torch.equal(moved.atlas, lit[1].atlas)
    assert moved.name == "colored_key"
