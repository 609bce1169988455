# SPDX-License-Identifier: Apache-2.0
import math

import pytest
import torch

from pgc.errors import ConfigError
from pgc.rendering.latlong import (
    Environment,
    latlong_coordinates,
    pad_latlong,
    texel_directions,
    texel_solid_angles,
)
from tests.pgc.rendering.turned import turned_environment


def test_texel_centres_map_to_themselves():
    directions = texel_directions(16)
    u, v = latlong_coordinates(directions.reshape(-1, 3))
    row, column = torch.meshgrid(torch.arange(16) + 0.5, torch.arange(32) + 0.5, indexing="ij")
    assert torch.allclose(u.view(16, 32), column / 32, atol=1e-5)
    assert torch.allclose(v.view(16, 32), row / 16, atol=1e-5)


def test_axes_lie_where_the_layout_says():
    axes = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    u, v = latlong_coordinates(axes)
    assert v.tolist() == pytest.approx([0.0, 1.0, 0.5, 0.5], abs=2e-5)
    assert u[2:].tolist() == pytest.approx([0.5, 0.75])


def test_solid_angles_make_a_sphere():
    assert float(texel_solid_angles(16).sum() * 32) == pytest.approx(4 * math.pi, rel=1e-6)


def test_gradients_are_finite_at_the_poles():
    pole = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]], requires_grad=True)
    u, v = latlong_coordinates(pole)
    (u + v).sum().backward()
    assert pole.grad.isfinite().all()


def test_the_border_continues_across_seam_and_poles():
    picture = torch.arange(32.0).view(1, 4, 8)
    padded = pad_latlong(picture)
    assert torch.equal(padded[0, 1:-1, 0], picture[0, :, -1])
    assert torch.equal(padded[0, 1:-1, -1], picture[0, :, 0])
    assert torch.equal(padded[0, 0, 1:-1], picture[0, 0].roll(4))
    assert torch.equal(padded[0, -1, 1:-1], picture[0, -1].roll(4))


def test_rotation_moves_light_from_x_towards_y():
    radiance = torch.zeros(3, 8, 16)
    radiance[:, 4, 8] = 1.0  # azimuth 11.25°
    turned = turned_environment(Environment("dot", radiance), math.pi / 2)
    assert int(turned.radiance[0, 4].argmax()) == 12
    half = turned_environment(Environment("dot", radiance), math.pi / 16)
    assert half.radiance[0, 4, 8:10].tolist() == pytest.approx([0.5, 0.5], abs=1e-5)


@pytest.mark.parametrize(
    "radiance", [torch.ones(3, 8, 8), torch.full((3, 8, 16), -1.0), torch.full((3, 8, 16), float("nan"))]
)
def test_unusable_radiance_is_refused(radiance):
    with pytest.raises(ConfigError, match="Environment 'bad'"):
        Environment("bad", radiance)
