# SPDX-License-Identifier: Apache-2.0
import pytest
import torch

from pgc.errors import TextureError
from pgc.rendering.light import Light, ViewedLight
from pgc.rendering.prefilter import PrefilteredEnvironment
from pgc.rendering.shading import unlit


def test_unlit_shows_the_base_color_as_it_is(buffer):
    color = torch.rand(2, 3, 2, 3, requires_grad=True)
    image = unlit(buffer(2), {"base_color": color, "roughness": torch.zeros(2, 1, 2, 3)}, None)
    assert torch.equal(image, color)
    (gradient,) = torch.autograd.grad(image.sum(), color)
    assert torch.equal(gradient, torch.ones_like(color))


def test_unlit_refuses_what_it_cannot_show(buffer):
    with pytest.raises(TextureError, match="needs 'base_color'"):
        unlit(buffer(1), {"roughness": torch.zeros(1, 1, 2, 3)}, None)
    with pytest.raises(TextureError, match="expected"):
        unlit(buffer(1), {"base_color": torch.zeros(1, 3, 4, 4)}, None)
    dark = PrefilteredEnvironment(
        name="",
        height=1,
        atlas=torch.zeros(3, 1, 1),
        brdf_lut=torch.zeros(2, 1, 1),
        lobe_table=torch.zeros(1, 1, 1),
    )
    light = ViewedLight(light=Light(environment=dark), eye=torch.zeros(1, 3))
    with pytest.raises(TextureError, match="light"):
        unlit(buffer(1), {"base_color": torch.zeros(1, 3, 2, 3)}, light)
