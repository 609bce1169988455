# SPDX-License-Identifier: Apache-2.0
"""Variational score distillation: what it compares, what it learns, and what a checkpoint holds of that."""

from dataclasses import replace

import pytest
import torch

from pgc.distillation.timestep import UniformTimestepConfig
from pgc.distillation.vsd import VSDConfig, VSDLoss, vsd_gradient
from pgc.errors import CheckpointError, ConfigError
from tests.pgc.distillation.known_priors import TrainablePrior, latent, prompts, random_latents

FIXED = UniformTimestepConfig(minimum=0.5, maximum=0.5)
CONFIG = VSDConfig(timestep=FIXED, learning_rate=0.05)


def prior():
    return TrainablePrior(lambda noisy, _: (noisy.sin(), noisy.cos()))


def with_cameras(views):
    cameras = torch.rand((views, 4, 4), generator=torch.Generator().manual_seed(9))
    return replace(prompts(views), camera_to_world=cameras)


def advance(loss, steps, *, start=0):
    found = []
    for step in range(start, start + steps):
        outcome = loss.gradient(
            random_latents(2, 5),
            prior(),
            with_cameras(2),
            progress=0.5,
            generator=torch.Generator().manual_seed(step),
        )
        found.append(outcome.gradient)
    return torch.stack(found)


def test_value_of_the_gradient():
    torch.testing.assert_close(
        vsd_gradient(latent(0.3), latent(0.1), torch.full((1, 1, 1, 1), 0.723667)), latent(0.1447334)
    )


def test_the_learnt_noise_stands_where_the_added_one_stood():
    """Before it has learnt, the second network of this test says 0: the gradient is w ε̂ under guidance."""
    loss = VSDLoss(CONFIG, prior(), seed=0)
    result = loss.gradient(
        random_latents(2, 5), prior(), prompts(2), progress=0.5, generator=torch.Generator().manual_seed(3)
    )
    torch.testing.assert_close(result.gradient, (1 - 0.276333) * result.noise_pred, atol=1e-5, rtol=1e-5)


def test_it_learns_the_noise_of_the_renders():
    loss, generator = VSDLoss(CONFIG, prior(), seed=0), torch.Generator().manual_seed(1)
    alphas, latents = prior().alphas_cumprod, random_latents(64, 5)
    errors = [loss.learn(latents, alphas, prompts(64), generator) for _ in range(60)]
    # ε̂ = a z_t is best at a = E√(1 - ᾱ), some 0.8, where the error is what the signal hides.
    assert errors[0] == pytest.approx(1.0, abs=0.1)
    assert errors[-1] < 0.5
    assert 0.6 < float(loss.denoiser.parameters()[0].detach()) < 1.0


def test_cameras_are_told_and_now_and_then_kept_back():
    loss = VSDLoss(replace(CONFIG, camera_dropout=0.5), prior(), seed=0)
    conditions = with_cameras(400)
    alphas = prior().alphas_cumprod
    loss.learn(random_latents(400, 5, side=2), alphas, conditions, torch.Generator().manual_seed(1))
    (told,) = loss.denoiser.cameras
    kept = (told == 0).all(dim=1)
    assert 150 < int(kept.sum()) < 250
    assert torch.equal(told[~kept], conditions.camera_to_world.flatten(1)[~kept])
    always = VSDLoss(replace(CONFIG, camera_dropout=0.0), prior(), seed=0)
    always.learn(random_latents(400, 5, side=2), alphas, conditions, torch.Generator().manual_seed(1))
    assert bool(always.denoiser.cameras[0].any(dim=1).all())


def test_a_resumed_run_equals_an_uninterrupted_one():
    whole = advance(VSDLoss(CONFIG, prior(), seed=0), 6)
    first = VSDLoss(CONFIG, prior(), seed=0)
    advance(first, 3)
    saved = {name: value.clone() for name, value in first.state_dict().items()}
    second = VSDLoss(CONFIG, prior(), seed=0)
    second.load_state_dict(saved)
    assert torch.equal(advance(second, 3, start=3), whole[3:])
    assert {name.split(".")[0] for name in saved} == {"denoiser", "optimizer"}
    forgetful = VSDLoss(CONFIG, prior(), seed=0)
    assert not torch.equal(advance(forgetful, 3, start=3), whole[3:])


def test_a_state_of_another_loss_is_refused():
    with pytest.raises(CheckpointError, match="nothing that VSD has learnt"):
        VSDLoss(CONFIG, prior(), seed=0).load_state_dict({})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rank": 0}, "rank is 0"),
        ({"learning_rate": 0.0}, "learning_rate is"),
        ({"camera_dropout": 1.5}, "camera_dropout"),
    ],
)
def test_values_out_of_range_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        VSDConfig(**values)
