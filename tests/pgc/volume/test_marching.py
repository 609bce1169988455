# SPDX-License-Identifier: Apache-2.0
"""Rays through a volume: a slab by formula, a slow reference, empty space left out, and gradients."""

import math

import numpy as np
import pytest
import torch

from pgc.cameras import Camera
from pgc.errors import ConfigError
from pgc.volume.light.marching import MarchConfig, march, segment_weights
from pgc.volume.light.rays import Rays, box_spans, camera_rays

PERSPECTIVE = Camera.look_at((1.5, -1.8, 0.7), focal=1.1)
ORTHOGRAPHIC = Camera.orthographic((0.0, -2.0, 0.5), height=2.0)


def straight(count: int = 1) -> Rays:
    """Rays along +x from outside the box, at different heights."""
    height = torch.linspace(-0.4, 0.4, count)
    origins = torch.stack([torch.full_like(height, -2.0), torch.zeros_like(height), height], dim=1)
    directions = torch.tensor([[1.0, 0.0, 0.0]]).expand(count, 3)
    return Rays(origins=origins, directions=directions, forward=torch.ones(count))


def in_ball(radius: float, density: float = 6.0):
    def field(places):
        inside = places.norm(dim=1) < radius
        return torch.where(inside, density, 0.0), 0.5 + 0.5 * places

    return field


def test_a_slab_swallows_light_as_the_law_says():
    def slab(places):
        return torch.where(places[:, 0].abs() < 0.5, 3.0, 0.0), torch.tensor([0.2, 0.4, 0.6]).expand(len(places), 3)

    seen = march(slab, straight(), MarchConfig(step=0.01, ends_below=0.0))
    opacity = 1.0 - math.exp(-3.0)
    assert float(seen.opacity) == pytest.approx(opacity, abs=1e-4)
    assert seen.color[0].tolist() == pytest.approx([0.2 * opacity, 0.4 * opacity, 0.6 * opacity], abs=1e-4)
    # The mean depth below a surface: 1/σ - L e^(-σL) / (1 - e^(-σL)).
    depth = 1.0 / 3.0 - math.exp(-3.0) / opacity
    assert float(seen.distance) / opacity == pytest.approx(1.5 + depth, abs=1e-3)


def slow_pixel(field, origin, direction, enters, leaves, step):
    """One ray, place by place."""
    light, color, opacity, at = 1.0, torch.zeros(3), 0.0, enters + 0.5 * step
    while at < leaves:
        density, colors = field((origin + at * direction)[None])
        weight = light * (1.0 - math.exp(-float(density) * step))
        color, opacity = color + weight * colors[0], opacity + weight
        light *= math.exp(-float(density) * step)
        at += step
    return color, opacity


def test_many_rays_at_once_are_those_of_the_slow_loop():
    rays, field = camera_rays([PERSPECTIVE], 6), in_ball(0.6)
    seen = march(field, rays, MarchConfig(step=0.05, ends_below=0.0, steps_at_once=7))
    enters, leaves = box_spans(rays)
    for ray in range(36):
        color, opacity = slow_pixel(
            field, rays.origins[ray], rays.directions[ray], float(enters[ray]), float(leaves[ray]), 0.05
        )
        assert float(seen.opacity[ray]) == pytest.approx(opacity, abs=1e-5)
        assert seen.color[ray].tolist() == pytest.approx(color.tolist(), abs=1e-5)
    assert 0.5 < float(seen.opacity.max()) < 1.0


def test_leaving_out_empty_space_changes_nothing_and_asks_for_less():
    rays, field = camera_rays([PERSPECTIVE, ORTHOGRAPHIC], 12), in_ball(0.5)
    config = MarchConfig(step=0.04, ends_below=0.0)
    dense = march(field, rays, config)
    skipped = march(field, rays, config, occupied=lambda places: places.norm(dim=1) < 0.55)
    assert skipped.looks < dense.looks / 4
    for name in ("color", "opacity", "distance"):
        torch.testing.assert_close(getattr(skipped, name), getattr(dense, name), rtol=0.0, atol=1e-6)


def test_rays_that_have_ended_are_not_followed():
    rays, field = camera_rays([PERSPECTIVE], 12), in_ball(0.7, density=60.0)
    dense = march(field, rays, MarchConfig(step=0.02, ends_below=0.0, steps_at_once=8))
    ended = march(field, rays, MarchConfig(step=0.02, ends_below=1e-3, steps_at_once=8))
    assert ended.looks < 0.8 * dense.looks
    torch.testing.assert_close(ended.color, dense.color, rtol=0.0, atol=2e-3)


def test_gradients_are_those_of_finite_differences():
    rays = camera_rays([PERSPECTIVE], 3)
    double = Rays(origins=rays.origins.double(), directions=rays.directions.double(), forward=rays.forward.double())
    numbers = torch.tensor([2.0, 0.3, -0.2, 0.6], dtype=torch.float64, requires_grad=True)

    def seen(learnt):
        def field(places):
            density = learnt[0] * torch.exp(-(places - learnt[1:]).square().sum(dim=1) / 0.1)
            return density, torch.sigmoid(places * learnt[1:])

        found = march(field, double, MarchConfig(step=0.1, ends_below=0.0, steps_at_once=5))
        return found.color, found.opacity, found.distance

    assert torch.autograd.gradcheck(seen, (numbers,), eps=1e-6, atol=1e-6)


def test_weights_share_out_what_light_is_lost():
    optical = torch.rand((5, 9), generator=torch.Generator().manual_seed(0))
    weights = segment_weights(optical, torch.full((5,), 0.7))
    torch.testing.assert_close(weights.sum(dim=1), 0.7 * (1.0 - torch.exp(-optical.sum(dim=1))))


@pytest.mark.parametrize("camera", [PERSPECTIVE, ORTHOGRAPHIC])
def test_rays_go_through_the_centres_of_their_pixels(camera):
    rays = camera_rays([camera], 5)
    ndc = camera.project((rays.origins + 1.3 * rays.directions).numpy())
    ticks = (np.arange(5) + 0.5) / 2.5 - 1.0
    expected = np.array([(x, -y) for y in ticks for x in ticks])
    np.testing.assert_allclose(ndc[:, :2], expected, atol=1e-5)
    forward = -rays.directions.numpy() @ camera.backward
    np.testing.assert_allclose(rays.forward.numpy(), forward, atol=1e-6)
    np.testing.assert_allclose(rays.directions.norm(dim=1).numpy(), 1.0, atol=1e-6)


def test_a_ray_beside_the_box_has_no_way_through_it():
    rays = Rays(
        origins=torch.tensor([[-3.0, 0.2, 0.0], [-3.0, 2.0, 0.0], [0.0, 0.0, 0.0]]),
        directions=torch.tensor([[1.0, 0.0, 0.0]] * 3),
        forward=torch.ones(3),
    )
    enters, leaves = box_spans(rays)
    assert enters.tolist() == pytest.approx([2.0, float(enters[1]), 0.0])
    assert (leaves - enters).tolist() == pytest.approx([2.0, 0.0, 1.0])
    assert float(march(in_ball(2.0), rays, MarchConfig()).opacity[1]) == 0.0


@pytest.mark.parametrize("wrong", [{"step": 0.0}, {"steps_at_once": 0}, {"ends_below": 1.0}])
def test_impossible_steps_are_refused(wrong):
    with pytest.raises(ConfigError, match="expected a step"):
        MarchConfig(**wrong)
