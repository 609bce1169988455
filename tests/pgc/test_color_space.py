# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from pgc.color_space import linear_from_srgb, luminance, srgb_from_linear


def test_known_values():
    encoded = torch.tensor([0.0, 0.04045, 0.5, 1.0])
    assert linear_from_srgb(encoded).tolist() == pytest.approx([0.0, 0.0031308, 0.2140411, 1.0], abs=1e-6)
    # 8-bit middle grey of a photographer's card: 18 % is 118.
    assert float(srgb_from_linear(torch.tensor(0.18))) * 255 == pytest.approx(117.6, abs=0.1)


def test_each_is_the_inverse_of_the_other():
    value = torch.linspace(0.0, 1.5, 4001, dtype=torch.float64)
    # The standard's two branches meet to seven digits only.
    assert (srgb_from_linear(linear_from_srgb(value)) - value).abs().max() < 2e-7
    assert (linear_from_srgb(srgb_from_linear(value)) - value).abs().max() < 2e-7


def test_both_are_increasing():
    value = torch.linspace(-0.1, 1.2, 5001, dtype=torch.float64)
    assert (linear_from_srgb(value).diff() > 0).all()
    assert (srgb_from_linear(value).diff() > -1e-7).all()  # the branches meet with a step of 3e-8


@pytest.mark.parametrize("convert", [linear_from_srgb, srgb_from_linear])
def test_gradients_agree_with_differences_and_are_finite_at_zero(convert):
    value = torch.tensor([0.001, 0.02, 0.3, 0.9, 1.2], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(convert, value)
    edge = torch.tensor([-1.0, 0.0], requires_grad=True)
    convert(edge).sum().backward()
    assert edge.grad.isfinite().all()


def test_luminance_of_white_is_one():
    assert luminance(torch.ones(2, 3, 1, 1)).flatten().tolist() == pytest.approx([1.0, 1.0])
    assert float(luminance(torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1))) == pytest.approx(0.7152)
