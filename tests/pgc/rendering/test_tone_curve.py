# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from pgc.color_space import srgb_from_linear
from pgc.rendering.tone_curve import SHOULDER, picture_from_radiance, picture_slope, radiance_from_picture


def test_below_the_shoulder_it_is_plain_srgb():
    value = torch.linspace(0.0, SHOULDER, 50)
    assert torch.equal(picture_from_radiance(value), srgb_from_linear(value))


def test_it_is_increasing_and_stays_in_range():
    value = torch.cat([torch.linspace(0.0, 4.0, 4000), torch.logspace(1, 3, 200)]).double()
    picture = picture_from_radiance(value)
    assert (picture.diff() > 0).all()
    assert 0.0 <= picture.min() <= picture.max() < 1.0
    assert float(picture_from_radiance(torch.tensor(-1.0))) == 0.0


def test_the_slope_does_not_jump_at_the_shoulder():
    around = torch.tensor([SHOULDER - 1e-4, SHOULDER + 1e-4], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(picture_from_radiance(around).sum(), around)
    assert float(slope[1] / slope[0]) == pytest.approx(1.0, abs=1e-3)


def test_gradients_agree_with_differences():
    value = torch.tensor([0.001, 0.2, 0.7, 3.0, 40.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(picture_from_radiance, value, eps=1e-7)
    dark = torch.tensor([-1.0, 0.0], requires_grad=True)
    picture_from_radiance(dark).sum().backward()
    assert dark.grad.isfinite().all()


def test_a_gradient_below_the_shoulder_is_untouched_by_the_roll_off_that_is_not_taken():
    """There t would be -1, where t / (1 + t) has no value."""
    value = torch.tensor([2.0 * SHOULDER - 1.0], dtype=torch.float64, requires_grad=True)
    assert float(value.detach() - SHOULDER) / (1.0 - SHOULDER) == -1.0
    picture_from_radiance(value).backward()
    assert 0.0 < float(value.grad) < 2.0


def test_the_curve_has_an_inverse_and_a_slope() -> None:
    radiance = torch.tensor([1e-3, 0.02, 0.3, 0.59, 0.61, 0.9, 3.0])
    torch.testing.assert_close(radiance_from_picture(picture_from_radiance(radiance)), radiance, rtol=1e-4, atol=1e-6)
    step = 1e-4 * radiance
    secant = (picture_from_radiance(radiance + step) - picture_from_radiance(radiance - step)) / (2.0 * step)
    torch.testing.assert_close(picture_slope(radiance), secant, rtol=2e-2, atol=0.0)
    assert torch.isfinite(radiance_from_picture(torch.ones(1))).all()
