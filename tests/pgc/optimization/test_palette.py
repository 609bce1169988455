# SPDX-License-Identifier: Apache-2.0
"""Colours of a picture as a pull on the render's."""

from __future__ import annotations

import pytest
import torch

from pgc.errors import ConfigError
from pgc.guidance.specs import parse_guidance
from pgc.optimization.palette import palette_distance, palette_pull
from pgc.runs.arguments import TextureArguments
from pgc.runs.settings.choices import RunChoices
from pgc.runs.settings.presets import resolve

GENERATOR = torch.Generator()


def _picture(seed: int = 1) -> torch.Tensor:
    """A third of it is red, the rest is a dark blue."""
    picture = torch.tensor([0.1, 0.1, 0.4]).reshape(1, 3, 1, 1).repeat(1, 1, 12, 12)
    picture[..., :4] = torch.tensor([0.9, 0.1, 0.1]).reshape(1, 3, 1, 1)
    return picture + 0.01 * torch.rand((1, 3, 12, 12), generator=torch.Generator().manual_seed(seed))


def test_the_distance_of_a_palette_and_itself_is_none() -> None:
    picture = _picture()
    colors = picture[0].flatten(1).T
    shuffled = colors[torch.randperm(len(colors), generator=torch.Generator().manual_seed(2))]
    assert palette_distance(shuffled, picture) < 1e-6
    assert palette_distance(shuffled + 0.1, picture) == pytest.approx(0.1, rel=0.2)
    assert palette_distance(colors[:1].repeat(50, 1), picture) > 0.1


def test_pulled_pixels_take_the_palette_in_a_few_steps_and_others_stay() -> None:
    generator = torch.Generator().manual_seed(3)
    image = torch.rand((2, 3, 16, 16), generator=generator)
    covered = torch.zeros(2, 1, 16, 16, dtype=torch.bool)
    covered[..., 3:13] = True
    kept, picture = image.clone(), _picture()

    def distance() -> float:
        return palette_distance(image.permute(0, 2, 3, 1)[covered[:, 0]], picture)

    before = distance()
    for _ in range(12):
        pull = palette_pull(image, covered, picture, generator)
        assert not pull.masked_select(~covered.expand_as(pull)).any()
        image = image - 0.5 * pull
    assert distance() < 0.1 * before
    outside = ~covered.expand_as(image)
    assert torch.equal(image[outside], kept[outside])
    red = (image[:, 0] > 0.5)[covered[:, 0]].float().mean()
    assert float(red) == pytest.approx(1 / 3, abs=0.05), "as much red as the picture has"


def test_the_pull_is_half_the_gradient_of_the_squared_distance() -> None:
    """Against autograd through sorted colours, along one direction after the other."""
    image = torch.rand((1, 3, 4, 4), generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    likeness = torch.rand((1, 3, 4, 4), generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    found = palette_pull(image, torch.ones(1, 1, 4, 4, dtype=torch.bool), likeness, torch.Generator().manual_seed(6))
    directions = torch.nn.functional.normalize(torch.randn((24, 3), generator=torch.Generator().manual_seed(6)), dim=1)
    leaf = image.clone().requires_grad_()
    colors, wanted = leaf[0].flatten(1).T, likeness[0].flatten(1).T
    total = sum(
        0.5 * ((colors @ one).sort().values - (wanted @ one).sort().values).square().sum()
        for one in directions.double()
    )
    (expected,) = torch.autograd.grad(3.0 / 24 * torch.as_tensor(total), leaf)
    torch.testing.assert_close(found, expected)


def test_nothing_is_pulled_where_nothing_is_seen() -> None:
    nothing = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    assert not palette_pull(torch.rand(1, 3, 4, 4), nothing, _picture(), GENERATOR).any()


def test_what_a_reference_cannot_do_is_refused() -> None:
    with pytest.raises(ConfigError, match="reference_scale is -1"):
        RunChoices(reference_scale=-1.0)
    with pytest.raises(ConfigError, match="--reference-scale is given, but no --reference"):
        TextureArguments(mesh="a.obj", prompt="red", reference_scale=0.5).to_request()
    with pytest.raises(ConfigError, match="reference is for base colour alone"):
        resolve(RunChoices(reference_scale=0.5, maps=("roughness",)), parse_guidance("pocket"))
    found = TextureArguments(mesh="a.obj", prompt="red", reference="b.png").to_request()
    assert found.settings.optimize.likeness_scale > 0.0
    off = TextureArguments(mesh="a.obj", prompt="red", reference="b.png", reference_scale=0.0).to_request()
    assert off.settings.optimize.likeness_scale == 0.0
