# SPDX-License-Identifier: Apache-2.0
"""Resizing that every pixel of a render takes part in."""

from __future__ import annotations

import torch

from pgc.guidance.resizing import resize_bilinear


def test_fitting_image_is_passed_through() -> None:
    image = torch.rand(1, 3, 8, 8)
    assert resize_bilinear(image, 8) is image


def test_shrinking_reads_every_pixel() -> None:
    image = torch.rand(1, 1, 64, 64, requires_grad=True)
    (gradient,) = torch.autograd.grad(resize_bilinear(image, 16).sum(), image)
    assert gradient.min() > 0
    plain = torch.nn.functional.interpolate(image, (16, 16), mode="bilinear", align_corners=False)
    (aliased,) = torch.autograd.grad(plain.sum(), image)
    assert aliased.min() == 0


def test_growing_keeps_a_ramp() -> None:
    ramp = torch.linspace(0, 1, 8).expand(1, 1, 8, 8)
    grown = resize_bilinear(ramp, 16)[0, 0, 0]
    steps = grown[1:] - grown[:-1]
    assert torch.allclose(steps[1:-1], torch.full((13,), 1 / 14), atol=1e-6)
