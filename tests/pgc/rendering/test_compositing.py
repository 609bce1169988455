# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from pgc.rendering.compositing import composite, plain_background, random_background


def test_coverage_weighs_image_against_background():
    image = torch.full((2, 3, 1, 2), 0.8, requires_grad=True)
    coverage = torch.tensor([1.0, 0.25]).view(1, 1, 1, 2).expand(2, 1, 1, 2)
    background = torch.tensor([0.0, 0.4]).view(2, 1, 1, 1).expand(2, 3, 1, 1)
    picture = composite(image, coverage, background)
    torch.testing.assert_close(picture[:, 0, 0].detach(), torch.tensor([[0.8, 0.2], [0.8, 0.5]]))
    (gradient,) = torch.autograd.grad(picture.sum(), image)
    torch.testing.assert_close(gradient, coverage.expand_as(gradient))
    full = background.expand(2, 3, 1, 2)
    assert torch.equal(composite(image, coverage, full), picture)


def test_random_backgrounds_are_one_color_a_view_and_follow_the_generator():
    draw = random_background(400, torch.Generator().manual_seed(5))
    assert draw.shape == (400, 3, 1, 1)
    assert torch.equal(draw, random_background(400, torch.Generator().manual_seed(5)))
    assert not torch.equal(draw, random_background(400, torch.Generator().manual_seed(6)))
    assert draw.min() >= 0
    assert draw.max() <= 1
    assert (draw.mean(dim=0) - 0.5).abs().max() < 0.06
    assert (draw[:, 0] - draw[:, 1]).abs().max() > 0.5
    grey = random_background(9, torch.Generator().manual_seed(5), grey=True)
    assert torch.equal(grey[:, 0], grey[:, 2])
    assert grey.std() > 0.05


def test_plain_backgrounds():
    assert plain_background(2, (0.1, 0.2, 0.3))[1].flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])
    with pytest.raises(ValueError, match="three numbers in"):
        plain_background(1, (0.0, 0.0, 1.5))
