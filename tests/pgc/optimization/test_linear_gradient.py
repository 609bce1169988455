# SPDX-License-Identifier: Apache-2.0
"""A run by the linear approximation: the encoder has no graph, and the gradient is the map's."""

from __future__ import annotations

import pytest
import torch

from pgc.errors import ConfigError
from pgc.gradient_regulation.linear_approximation import LinearMap, linear_gradient
from pgc.guidance.oracle import IdentityEncoderConfig, OracleConfig, OracleGuidance
from pgc.optimization.config import EncoderGradientConfig, LinearGradientConfig
from pgc.optimization.view_encoder import fit_linear_map, view_encoder

CPU = torch.device("cpu")


@pytest.fixture
def oracle() -> OracleGuidance:
    return OracleGuidance(OracleConfig(encoder=IdentityEncoderConfig(), image_size=32), CPU)


def test_the_map_of_a_linear_encoder_is_that_encoder(oracle: OracleGuidance) -> None:
    found = fit_linear_map(oracle, 8)
    assert torch.tensor(found.matrix).allclose(2.0 * torch.eye(3), atol=1e-3), "z = 2 x - 1"
    assert torch.tensor(found.bias).allclose(-torch.ones(3), atol=1e-3)
    assert fit_linear_map(oracle, 8) == found, "a resumed run has the same"


@pytest.mark.parametrize("view_by_view", [False, True])
def test_no_graph_is_built_and_the_gradient_is_the_maps(oracle: OracleGuidance, view_by_view: bool) -> None:
    from dataclasses import replace

    encoder = replace(
        view_encoder(oracle, LinearGradientConfig(images=8), needs_gradient=True), view_by_view=view_by_view
    )
    image = torch.rand((2, 3, 32, 32))
    encoded = encoder.encode(image)
    assert not encoded.latents.requires_grad
    assert not encoded.image.requires_grad
    wanted = torch.randn_like(encoded.latents)
    assert isinstance(encoder.linear, LinearMap)
    assert torch.equal(encoder.propagate(encoded, wanted), linear_gradient(wanted, encoder.linear, (32, 32)))
    exact = view_encoder(oracle, EncoderGradientConfig(), needs_gradient=True)
    torch.testing.assert_close(
        encoder.propagate(encoded, wanted), exact.propagate(exact.encode(image), wanted), rtol=1e-2, atol=1e-2
    )


def test_a_map_needs_pictures() -> None:
    with pytest.raises(ConfigError, match="images is 2"):
        LinearGradientConfig(images=2)
