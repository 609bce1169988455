# SPDX-License-Identifier: Apache-2.0
"""The oracle: an exact score, an ugly encoder, a disturbance of known size."""

from __future__ import annotations

import pytest
import torch

from pgc.errors import ConfigError, GuidanceError
from pgc.guidance.base import Conditions, Guidance
from pgc.guidance.oracle import (
    ConvolutionEncoderConfig,
    OracleConfig,
    OracleGuidance,
    OracleNoise,
    scaled_linear_alphas_cumprod,
)

CPU = torch.device("cpu")
ENCODERS = [OracleConfig(image_size=32), OracleConfig(image_size=32, encoder=ConvolutionEncoderConfig())]
IDS = ["identity", "convolution"]


def random_image(seed: int, size: int = 32, batch: int = 2) -> torch.Tensor:
    return torch.rand((batch, 3, size, size), generator=torch.Generator().manual_seed(seed))


def conditions(
    oracle: OracleGuidance, reference: torch.Tensor | None, generator: torch.Generator | None = None
) -> Conditions:
    words = oracle.encode_prompt(["", ""])
    return Conditions(prompt=words, negative=words, truth_image=reference, generator=generator)


def test_schedule_is_stable_diffusions() -> None:
    alphas = scaled_linear_alphas_cumprod()
    for t, expected in {20: 0.981314, 100: 0.894223, 250: 0.673793, 500: 0.276333, 680: 0.095309}.items():
        assert alphas[t].item() == pytest.approx(expected, abs=1e-6)
    assert (1 - alphas[20:501]).mean().item() == pytest.approx(0.352827, abs=1e-6)


def test_satisfies_the_protocol() -> None:
    guidance: Guidance = OracleGuidance(OracleConfig(), CPU)
    assert guidance.unknown_words("anything at all") == ()
    assert guidance.encode_prompt(["a", "b", "c"]).batch == 3


@pytest.mark.parametrize("config", ENCODERS, ids=IDS)
def test_predicts_exactly_the_noise_that_leads_to_the_reference(config: OracleConfig) -> None:
    oracle = OracleGuidance(config, CPU)
    reference = random_image(0)
    target = oracle.encode_image(reference)
    timestep = torch.tensor([20, 500])
    alpha = oracle.alphas_cumprod[timestep][:, None, None, None]
    noise = torch.randn(target.shape, generator=torch.Generator().manual_seed(1))
    at_target = oracle.predict_noise(
        alpha.sqrt() * target + (1 - alpha).sqrt() * noise, timestep, conditions(oracle, reference)
    )
    assert torch.allclose(at_target.cond, noise, atol=1e-5)
    assert torch.equal(at_target.guided(100.0), at_target.cond)
    # Off target, the prediction less the noise is √(ᾱ/(1 - ᾱ))·(z - z*): a pull towards the reference.
    off = torch.full_like(target, 0.25)
    pulled = oracle.predict_noise(
        alpha.sqrt() * (target + off) + (1 - alpha).sqrt() * noise, timestep, conditions(oracle, reference)
    )
    expected = (alpha / (1 - alpha)).sqrt() * off
    assert torch.allclose(pulled.cond - noise, expected, rtol=1e-4, atol=1e-5)


def test_identity_latents_are_the_image() -> None:
    oracle = OracleGuidance(OracleConfig(image_size=32), CPU)
    image = random_image(0)
    latents = oracle.encode_image(image)
    assert torch.allclose(latents, 2 * image - 1)
    assert torch.allclose(oracle.decode_latents(latents), image, atol=1e-6)
    assert oracle.encode_image(random_image(0, size=64)).shape == (2, 3, 32, 32)


def test_convolution_latents_have_no_picture() -> None:
    oracle = OracleGuidance(ENCODERS[1], CPU)
    latents = oracle.encode_image(random_image(0))
    assert latents.shape == (2, 8, 8, 8)
    with pytest.raises(GuidanceError, match="identity encoder"):
        oracle.decode_latents(latents)


def test_convolution_encoder_depends_on_its_seed_alone() -> None:
    image = random_image(0)
    first, again = (OracleGuidance(ENCODERS[1], CPU).encode_image(image) for _ in range(2))
    other = OracleGuidance(OracleConfig(image_size=32, encoder=ConvolutionEncoderConfig(seed=1)), CPU)
    assert torch.equal(first, again)
    assert not torch.allclose(first, other.encode_image(image), atol=0.1)


def test_convolution_encoder_gives_a_few_pixels_huge_gradients() -> None:
    def ratios(log_gain_std: float) -> tuple[float, float]:
        encoder = ConvolutionEncoderConfig(log_gain_std=log_gain_std)
        oracle = OracleGuidance(OracleConfig(image_size=128, encoder=encoder), CPU)
        image = random_image(0, size=128).requires_grad_(True)
        latents = oracle.encode_image(image)
        assert 0.3 < latents.std().item() < 3.0
        push = torch.randn(latents.shape, generator=torch.Generator().manual_seed(2))
        (gradient,) = torch.autograd.grad(latents, image, push)
        norms = torch.linalg.vector_norm(gradient, dim=1).flatten()
        median = norms.median()
        return float(norms.quantile(0.99) / median), float(norms.max() / median)

    p99, largest = ratios(1.2)
    assert p99 > 10.0
    assert largest > 50.0
    p99_plain, largest_plain = ratios(0.0)
    assert p99_plain < 5.0
    assert largest_plain < 10.0


def test_convolution_encoder_is_nonlinear() -> None:
    oracle = OracleGuidance(ENCODERS[1], CPU)
    a, b = random_image(0), random_image(1)
    middle = oracle.encode_image((a + b) / 2)
    assert not torch.allclose(middle, (oracle.encode_image(a) + oracle.encode_image(b)) / 2, atol=1e-2)


def shift(oracle: OracleGuidance, seed: int, reference: torch.Tensor) -> torch.Tensor:
    """The target that the oracle aims at, less the reference, in units of the image."""
    timestep = torch.tensor([500, 500])
    alpha = oracle.alphas_cumprod[timestep][:, None, None, None]
    zero = torch.zeros_like(reference)
    prediction = oracle.predict_noise(
        zero, timestep, conditions(oracle, reference, torch.Generator().manual_seed(seed))
    )
    target = -prediction.cond * (1 - alpha).sqrt() / alpha.sqrt()
    return (target + 1) / 2 - reference


def test_noise_has_the_size_asked_for_and_is_fresh() -> None:
    reference = torch.full((2, 3, 96, 96), 0.98)
    oracle = OracleGuidance(OracleConfig(image_size=96, noise=OracleNoise()), CPU)
    first, second = shift(oracle, 1, reference), shift(oracle, 2, reference)
    assert torch.equal(first, shift(oracle, 1, reference))
    assert not torch.allclose(first, second, atol=0.01)
    assert not torch.allclose(first[0], first[1], atol=0.01)
    # 12 × 12 independent values, interpolated: smooth from pixel to pixel, unclamped, 0.15 at the grid points.
    assert (first[..., 1:] - first[..., :-1]).abs().max() < 0.15
    many = torch.stack([shift(oracle, seed, reference) for seed in range(20)])
    assert abs(many.mean().item()) < 0.01
    assert 0.09 < many.std().item() < 0.16
    quiet = OracleGuidance(OracleConfig(image_size=96), CPU)
    assert shift(quiet, 1, reference).abs().max() < 1e-5


def test_noise_without_a_generator_is_refused() -> None:
    oracle = OracleGuidance(OracleConfig(image_size=32, noise=OracleNoise()), CPU)
    with pytest.raises(GuidanceError, match=r"conditions\.generator"):
        oracle.predict_noise(torch.zeros(2, 3, 32, 32), torch.tensor([5, 5]), conditions(oracle, random_image(0)))


def test_missing_or_misfitting_reference_is_refused() -> None:
    oracle = OracleGuidance(OracleConfig(image_size=32), CPU)
    latents, timestep = torch.zeros(2, 3, 32, 32), torch.tensor([5, 5])
    with pytest.raises(GuidanceError, match="no truth_image"):
        oracle.predict_noise(latents, timestep, conditions(oracle, None))
    with pytest.raises(GuidanceError, match="1 reference images for 2 latents"):
        oracle.predict_noise(latents, timestep, conditions(oracle, random_image(0, batch=1)))


@pytest.mark.parametrize(
    "build",
    [
        lambda: OracleNoise(std=0.0),
        lambda: OracleNoise(grid=0),
        lambda: ConvolutionEncoderConfig(downsampling=3),
        lambda: ConvolutionEncoderConfig(downsampling=1),
        lambda: ConvolutionEncoderConfig(channels=0),
        lambda: ConvolutionEncoderConfig(log_gain_std=-1.0),
        lambda: OracleConfig(image_size=0),
        lambda: OracleConfig(image_size=30, encoder=ConvolutionEncoderConfig()),
    ],
)
def test_bad_settings_are_refused(build) -> None:
    with pytest.raises(ConfigError, match="oracle"):
        build()
