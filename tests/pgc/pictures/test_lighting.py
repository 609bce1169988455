# SPDX-License-Identifier: Apache-2.0
import torch

from pgc.color_space import linear_from_srgb
from pgc.pictures.lighting import AMBIENT, HEADLIGHT, soft_light

UP = torch.tensor([0.0, 0.0, 1.0]).reshape(1, 3, 1, 1)
SIDE = torch.tensor([1.0, 0.0, 0.0]).reshape(1, 3, 1, 1)


def gray(value):
    return torch.full((1, 3, 1, 1), value)


def test_light_is_the_sum_of_sky_and_headlight():
    lit = linear_from_srgb(soft_light(gray(0.5), UP, UP))
    assert torch.allclose(lit, gray(0.21404 * (AMBIENT + HEADLIGHT)), atol=1e-4)


def test_a_surface_seen_edge_on_gets_the_sky_only():
    lit = linear_from_srgb(soft_light(gray(0.5), UP, SIDE))
    assert torch.allclose(lit, gray(0.21404 * AMBIENT), atol=1e-4)


def test_underside_is_darker_than_top():
    assert soft_light(gray(0.5), -UP, SIDE).max() < soft_light(gray(0.5), UP, SIDE).min()
