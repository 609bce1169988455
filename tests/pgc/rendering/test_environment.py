# SPDX-License-Identifier: Apache-2.0
import itertools
import math

import pytest
import torch

from pgc.rendering.environment import (
    MEAN_RADIANCE,
    colored_key,
    overcast,
    random_environment,
    sky,
    studio,
)
from pgc.rendering.latlong import texel_solid_angles


def drawn(seed: int):
    return random_environment(torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("make", [studio, sky, overcast, colored_key, lambda: drawn(3)])
def test_brightness_and_layout(make):
    environment = make()
    assert environment.radiance.shape == (3, 128, 256)
    share = texel_solid_angles(128)[None, :, None] / (4 * math.pi)
    assert float((environment.radiance * share).sum() / 3) == pytest.approx(MEAN_RADIANCE, rel=1e-4)


@pytest.mark.parametrize("make", [studio, sky, overcast, colored_key, lambda: drawn(3)])
def test_there_is_no_seam_and_up_is_brighter(make):
    radiance = make().radiance
    steps = (radiance.roll(-1, dims=2) - radiance).abs()
    assert steps[..., -1].max() <= steps[..., :-1].max() * 1.01 + 1e-6
    assert radiance[:, :64].mean() > radiance[:, 64:].mean()


def test_the_sun_stands_where_the_sky_says():
    bright = sky().radiance.sum(0)
    row, column = divmod(int(bright.argmax()), 256)
    azimuth, elevation = (column + 0.5) / 256 * 2 * math.pi - math.pi, math.pi / 2 - (row + 0.5) / 128 * math.pi
    assert (azimuth, elevation) == (pytest.approx(-0.9, abs=0.1), pytest.approx(0.7, abs=0.1))


def test_a_key_of_one_colour_and_a_fill_of_another():
    hottest = colored_key().radiance.flatten(1)
    hottest = hottest[:, hottest.sum(0).topk(50).indices].mean(1)
    assert hottest[0] > 3 * hottest[2]


def test_random_environments_repeat_by_seed_and_differ_otherwise():
    assert torch.equal(drawn(7).radiance, drawn(7).radiance)
    blurred = [torch.nn.functional.avg_pool2d(drawn(seed).radiance, 16).flatten() for seed in range(12)]
    for first, second in itertools.combinations(blurred, 2):
        apart = float((first - second).norm() / (0.5 * (first.norm() + second.norm())))
        assert apart > 0.3
