# SPDX-License-Identifier: Apache-2.0
"""HiFA's two residuals against values computed by hand, on a prior whose answer is known."""

import pytest
import torch

from pgc.distillation.base import add_noise
from pgc.distillation.ddim import predict_clean_latents
from pgc.distillation.hifa import HiFAConfig, HiFALoss
from pgc.distillation.timestep import UniformTimestepConfig
from pgc.errors import ConfigError
from pgc.guidance.base import Conditions, PromptEmbedding
from pgc.guidance.oracle import OracleConfig, OracleGuidance

TIMES = UniformTimestepConfig(minimum=0.4, maximum=0.6)


def _conditions(truth):
    empty = PromptEmbedding(hidden_states=torch.zeros(len(truth), 1, 1))
    return Conditions(prompt=empty, negative=empty, truth_image=truth)


def _gradient(config, image, truth):
    guidance = OracleGuidance(OracleConfig(image_size=16), device=torch.device("cpu"))
    latents = guidance.encode_image(image)
    outcome = HiFALoss(config).gradient(
        latents, guidance, _conditions(truth), progress=0.5, generator=torch.Generator().manual_seed(3)
    )
    return guidance, latents, outcome


def test_clean_latents_undo_the_noise():
    generator = torch.Generator().manual_seed(0)
    latents, noise = torch.randn(2, 3, 4, 5, generator=generator), torch.randn(2, 3, 4, 5, generator=generator)
    alphas, timestep = torch.linspace(0.99, 0.01, 100), torch.tensor([3, 90])
    noisy = add_noise(latents, noise, alphas, timestep)
    torch.testing.assert_close(predict_clean_latents(noisy, noise, alphas, timestep), latents, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("denoising_steps", [1, 3])
def test_the_target_of_a_prior_that_knows_the_truth_is_the_truth(denoising_steps):
    image, truth = torch.full((2, 3, 16, 16), 0.5), torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    config = HiFAConfig(guidance_scale=1.0, timestep=TIMES, denoising_steps=denoising_steps, latent_weight=2.0)
    guidance, latents, outcome = _gradient(config, image, truth)
    assert outcome.image_target is not None
    torch.testing.assert_close(outcome.image_target, truth, atol=1e-4, rtol=0.0)
    weight = 2.0 * (1.0 - guidance.alphas_cumprod[outcome.timestep])[:, None, None, None]
    expected = weight * (latents - guidance.encode_image(truth))
    torch.testing.assert_close(outcome.gradient, expected, atol=1e-4, rtol=1e-4)


def test_much_noise_takes_more_calls_than_little():
    config = HiFAConfig(longest_stride=0.25)
    assert [config.calls(t, 1000) for t in (1, 250, 251, 850)] == [1, 1, 2, 4]
    assert HiFAConfig(longest_stride=0.25, denoising_steps=3).calls(10, 1000) == 3
    assert HiFAConfig().calls(999, 1000) == 1


@pytest.mark.parametrize(("stride", "calls"), [(1.0, 1), (0.2, 3)])
def test_the_denoiser_is_called_once_a_stride(stride, calls, monkeypatch):
    guidance = OracleGuidance(OracleConfig(image_size=16), device=torch.device("cpu"))
    truth, asked = torch.full((1, 3, 16, 16), 0.5), []

    known = guidance.predict_noise

    def predict_noise(noisy_latents, timestep, conditions):
        asked.append(int(timestep))
        return known(noisy_latents, timestep, conditions)

    monkeypatch.setattr(guidance, "predict_noise", predict_noise)
    config = HiFAConfig(timestep=UniformTimestepConfig(minimum=0.5, maximum=0.5), longest_stride=stride)
    HiFALoss(config).gradient(
        guidance.encode_image(truth),
        guidance,
        _conditions(truth),
        progress=0.5,
        generator=torch.Generator().manual_seed(3),
    )
    assert len(asked) == calls
    assert asked == sorted(asked, reverse=True)


def test_a_term_without_weight_is_not_computed():
    image = torch.full((1, 3, 16, 16), 0.5)
    _, _, outcome = _gradient(HiFAConfig(timestep=TIMES, image_weight=0.0), image, image)
    assert outcome.image_target is None
    assert HiFALoss(HiFAConfig(latent_weight=0.0)).needs_encoder_gradient is False
    assert HiFALoss(HiFAConfig()).needs_encoder_gradient is True


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"longest_stride": 0.0}, "longest_stride is 0.0"),
        ({"guidance_scale": -1.0}, "guidance_scale is -1"),
        ({"image_weight": -0.5}, "image_weight is -0.5"),
        ({"latent_weight": float("nan")}, "latent_weight is nan"),
        ({"image_weight": 0.0, "latent_weight": 0.0}, "both 0"),
        ({"denoising_steps": 0}, "denoising_steps is 0"),
    ],
)
def test_values_out_of_range_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        HiFAConfig(**values)
