# SPDX-License-Identifier: Apache-2.0
"""w(t) against the published schedule."""

from typing import get_args

import pytest
import torch

from pgc.distillation.weighting import WeightingConfig, WeightingName, sigma_squared, weights
from pgc.errors import ConfigError
from tests.pgc.distillation.known_priors import alphas_cumprod


@pytest.mark.parametrize(
    ("timestep", "expected"),
    [(20, 0.981314), (100, 0.894223), (250, 0.673793), (500, 0.276333), (680, 0.095309)],
)
def test_schedule(timestep, expected):
    """Point 2 of the parity list."""
    assert float(alphas_cumprod()[timestep]) == pytest.approx(expected, abs=1e-6)


def test_mean_weight_over_the_papers_range():
    timesteps = torch.arange(20, 501)
    assert float(sigma_squared(alphas_cumprod(), timesteps).mean()) == pytest.approx(0.352827, abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("sigma_squared", 0.64),
        ("constant", 1.0),
        ("sqrt_alpha_sigma_squared", 0.6 * 0.64),
        ("inverse_sigma_squared", 1 / 0.64),
        ("noise_to_signal", 0.8 / 0.6),
    ],
)
def test_each_weight_of_a_known_noise_level(kind, expected):
    found = weights(WeightingConfig(kind=kind, scale=2.0), torch.tensor([0.99, 0.36]), torch.tensor([1, 1]))
    assert found.shape == (2, 1, 1, 1)
    assert found.flatten().tolist() == pytest.approx([2 * expected] * 2, rel=1e-6)


@pytest.mark.parametrize("kind", get_args(WeightingName))
def test_weights_are_positive_at_every_timestep(kind):
    found = weights(WeightingConfig(kind=kind), alphas_cumprod(), torch.arange(1000))
    assert bool((found > 0).all())
    assert bool(torch.isfinite(found).all())


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_must_be_positive(scale):
    with pytest.raises(ConfigError, match=r"weighting\.scale is"):
        WeightingConfig(scale=scale)
