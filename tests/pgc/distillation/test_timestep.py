# SPDX-License-Identifier: Apache-2.0
"""The schedules of the literature against the published values."""

from typing import get_args

import pytest
import torch

from pgc.distillation.timestep import (
    AnnealedTimestepConfig,
    DreamTimeTimestepConfig,
    TimestepName,
    UniformTimestepConfig,
    draw_timesteps,
    dreamtime_weights,
    timestep_range,
    timesteps_for_strength,
    timesteps_named,
)
from pgc.errors import ConfigError


def test_the_papers_range_is_inclusive():
    assert timestep_range(UniformTimestepConfig(), 0.3, 1000) == (20, 500)
    drawn = draw_timesteps(UniformTimestepConfig(), 0.3, 1000, batch=20000, generator=torch.Generator().manual_seed(0))
    assert (int(drawn.min()), int(drawn.max())) == (20, 500)


def test_annealing_runs_from_start_to_end_and_never_back():
    config = AnnealedTimestepConfig(start=0.6, end=0.1, half_width=0.05)
    ranges = [timestep_range(config, i / 20, 1000) for i in range(21)]
    assert ranges[0] == (550, 650)
    assert ranges[-1] == (50, 150)
    assert ranges == sorted(ranges, reverse=True)
    assert timestep_range(AnnealedTimestepConfig(start=0.01, end=0.01, half_width=0.4), 0.0, 1000)[0] == 1


@pytest.mark.parametrize(
    ("step", "fraction"), [(1, 0.681), (300, 0.46586), (600, 0.37649), (900, 0.30795), (1200, 0.25018)]
)
def test_square_root_is_hifas(step, fraction):
    """Point 4 of the parity list; the first step of 1200 has the progress 0."""
    t = round(fraction * 1000)
    assert timestep_range(timesteps_named("square_root"), (step - 1) / 1200, 1000) == (t, t)


@pytest.mark.parametrize(
    ("progress", "t"),
    [(0.0, 680), (0.1, 650), (0.25, 605), (0.5, 528), (0.75, 450), (0.9, 385), (0.99, 279), (1.0, 200)],
)
def test_dreamtime_is_the_official_codes(progress, t):
    """Point 4 of the parity list."""
    assert timestep_range(timesteps_named("dreamtime"), progress, 1000) == (t, t)


def test_dreamtimes_weight_is_flat_in_the_middle_and_gaussian_beside_it():
    first, weight = dreamtime_weights(DreamTimeTimestepConfig(maximum=0.999), 1000)
    assert (first, len(weight)) == (200, 799)
    by_time = dict(zip(range(first, 1000), weight.tolist(), strict=False))
    assert by_time[500] == by_time[650] == by_time[800] == 1.0
    assert by_time[400] == pytest.approx(0.60653066, abs=1e-8)  # one deviation of 100 below
    assert by_time[950] == pytest.approx(0.88249690, abs=1e-8)  # half a deviation of 300 above


@pytest.mark.parametrize("share", [0.3, 0.301])
def test_a_dreamtime_of_one_timestep_stays_there(share):
    config = DreamTimeTimestepConfig(minimum=share, maximum=share + 1e-5)
    assert {timestep_range(config, progress, 1000) for progress in (0.0, 0.5, 1.0)} == {(round(1000 * share),) * 2}


def test_linear_spends_as_many_steps_at_each_noise():
    config = timesteps_named("linear")
    assert [timestep_range(config, p, 1000)[0] for p in (0.0, 0.25, 0.5, 1.0)] == [980, 740, 500, 20]


@pytest.mark.parametrize("name", get_args(TimestepName))
@pytest.mark.parametrize("count", [2, 1000])
def test_each_schedule_never_rises_and_stays_inside(name, count):
    config = timesteps_named(name)
    ranges = [timestep_range(config, i / 40, count) for i in range(41)]
    assert ranges == sorted(ranges, reverse=True)
    assert all(1 <= low <= high < count for low, high in ranges)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: UniformTimestepConfig(minimum=0.5, maximum=0.1), "above"),
        (lambda: UniformTimestepConfig(maximum=1.5), "maximum"),
        (lambda: AnnealedTimestepConfig(start=0.0), "start"),
        (lambda: AnnealedTimestepConfig(half_width=0.5), "half_width"),
        (lambda: AnnealedTimestepConfig(power=0.0), "power"),
        (lambda: DreamTimeTimestepConfig(minimum=0.7), "not below"),
        (lambda: DreamTimeTimestepConfig(maximum=1.0), "maximum"),
        (lambda: DreamTimeTimestepConfig(middle=(0.8, 0.5)), "middle"),
        (lambda: DreamTimeTimestepConfig(std_above=0.0), "std_above"),
    ],
)
def test_settings_are_checked(make, word):
    with pytest.raises(ConfigError, match=word):
        make()


SCHEDULES = (*(timesteps_named(name) for name in get_args(TimestepName)), AnnealedTimestepConfig())


@pytest.mark.slow
@pytest.mark.parametrize("config", SCHEDULES, ids=lambda config: type(config).__name__)
def test_strength_scales_the_most_noise_and_leaves_the_rest_in_order(config):
    assert timesteps_for_strength(config, 1.0) == config
    whole = max(timestep_range(config, i / 40, 1000)[1] for i in range(41))
    for strength in (0.75, 0.5, 0.2, 0.01):
        weaker = timesteps_for_strength(config, strength)
        ranges = [timestep_range(weaker, i / 40, 1000) for i in range(41)]
        most = max(high for _, high in ranges)
        # A window's half width stays, and the least that a schedule may have is a hundredth (DreamTime: two).
        slack = 90 if isinstance(config, AnnealedTimestepConfig) and config.half_width else 20
        assert abs(most - strength * whole) <= slack
        assert ranges == sorted(ranges, reverse=True), "noise never rises"


@pytest.mark.parametrize("strength", [0.0, -0.1, 1.01, float("nan")])
def test_a_strength_outside_of_its_range_is_refused(strength):
    with pytest.raises(ConfigError, match="strength is"):
        timesteps_for_strength(UniformTimestepConfig(), strength)
