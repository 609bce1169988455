# SPDX-License-Identifier: Apache-2.0
import torch

from pgc.rendering.compositing import composite


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
