# SPDX-License-Identifier: Apache-2.0
"""Which latents of a picture a run takes: the posterior's mean, or a sample of its own for each view and step."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from pgc.guidance.oracle import OracleConfig, OracleGuidance
from pgc.optimization.view_encoder import ViewEncoder

CPU = torch.device("cpu")


class Blurred(OracleGuidance):
    """An encoder that is sure of dark pixels and unsure of bright ones."""

    def encode_image(
        self, image: Float[Tensor, "b 3 h w"], *, generator: torch.Generator | None = None
    ) -> Float[Tensor, "b k m n"]:
        if generator is None:
            return image
        return image * (1.0 + 0.1 * torch.randn(image.shape, generator=generator))


@pytest.fixture
def guidance() -> Blurred:
    return Blurred(OracleConfig(image_size=8), CPU)


def encoded(guidance: Blurred, *, sampled: bool, apart: bool = False, seed: int = 3) -> tuple[Tensor, Tensor]:
    encoder = ViewEncoder(
        guidance=guidance,
        loss_scale=1.0,
        posterior="sample" if sampled else "mean",
        needs_gradient=True,
        view_by_view=apart,
    )
    image = torch.rand((2, 3, 8, 8), generator=torch.Generator().manual_seed(1))
    found = encoder.encode(image, noise_seed=seed)
    gradient = encoder.propagate(found, torch.ones_like(found.latents))
    return found.latents.detach(), gradient


def test_the_mean_has_no_noise(guidance: Blurred) -> None:
    latents, gradient = encoded(guidance, sampled=False)
    assert torch.equal(latents, encoded(guidance, sampled=False, seed=4)[0])
    assert torch.equal(gradient, torch.ones_like(gradient))


def test_a_sample_is_that_of_its_step_and_view(guidance: Blurred) -> None:
    latents, gradient = encoded(guidance, sampled=True)
    assert torch.equal(latents, encoded(guidance, sampled=True)[0])
    assert not torch.equal(latents, encoded(guidance, sampled=True, seed=4)[0])
    assert not torch.equal(gradient[0], gradient[1]), "each view has noise of its own"


def test_view_by_view_takes_the_same_sample_there_and_back(guidance: Blurred) -> None:
    for one, other in zip(encoded(guidance, sampled=True), encoded(guidance, sampled=True, apart=True), strict=True):
        assert torch.equal(one, other)
