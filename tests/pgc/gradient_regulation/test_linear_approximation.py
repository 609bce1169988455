# SPDX-License-Identifier: Apache-2.0
"""The linear approximation: the appendix's matrices and what they give, the fit, and the gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from pgc.errors import ConfigError
from pgc.gradient_regulation.linear_approximation import (
    SDXL_COLORS_TO_LATENTS,
    SDXL_LATENTS_TO_COLORS,
    LinearMap,
    fit_linear_encoder,
    linear_gradient,
)


def pixel(*channels: float) -> Tensor:
    return torch.tensor(channels).reshape(1, -1, 1, 1)


@pytest.mark.parametrize(
    ("color", "latent"),
    [((1, 1, 1), (1.8474, 0.3187, 0.1053, -0.4819)), ((1, 0, 0), (-2.2127, -3.1090, 0.2955, -1.7013))],
)
def test_the_appendixs_matrix_takes_colours_to_latents(color: tuple[int, ...], latent: tuple[float, ...]) -> None:
    found = SDXL_COLORS_TO_LATENTS(pixel(*map(float, color)))
    torch.testing.assert_close(found, pixel(*latent), atol=2e-4, rtol=0)


@pytest.mark.parametrize(
    ("color", "back"), [((1, 1, 1), (0.9678, 0.9593, 0.9248)), ((0, 0, 0), (0.0598, 0.0384, 0.0146))]
)
def test_and_the_other_one_back(color: tuple[int, ...], back: tuple[float, ...]) -> None:
    found = SDXL_LATENTS_TO_COLORS(SDXL_COLORS_TO_LATENTS(pixel(*map(float, color))))
    torch.testing.assert_close(found, pixel(*back), atol=2e-4, rtol=0)


def test_the_labels_of_the_appendix_are_swapped() -> None:
    """Each is of the shape that only its own direction can have, and neither is the other's inverse."""
    down, up = (torch.tensor(one.matrix) for one in (SDXL_COLORS_TO_LATENTS, SDXL_LATENTS_TO_COLORS))
    assert (tuple(down.shape), tuple(up.shape)) == ((4, 3), (3, 4))
    torch.testing.assert_close((up @ down).diagonal(), torch.tensor([0.62, 0.33, 0.51]), atol=0.01, rtol=0)


def test_the_gradient_of_ones() -> None:
    """The reference's vector: A0ᵀ·1 = (-5.8452, 8.2381, .2789), the same at every pixel."""
    found = linear_gradient(torch.ones(2, 4, 3, 3), SDXL_COLORS_TO_LATENTS, (24, 24))
    expected = pixel(-5.8452, 8.2381, 0.2789).expand(2, 3, 24, 24)
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=0)


def test_the_fit_finds_a_known_map_again_and_agrees_with_numpy() -> None:
    known = LinearMap(matrix=((1.0, -2.0, 0.5), (0.0, 3.0, 1.0)), bias=(0.25, -1.0))
    images = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    small = torch.nn.functional.avg_pool2d(images, 4)
    exact = fit_linear_encoder(images, known(small), ridge=1e-9)
    np.testing.assert_allclose(exact.matrix, known.matrix, atol=1e-4)
    np.testing.assert_allclose(exact.bias, known.bias, atol=1e-4)
    # With noise and a heavy ridge, against the augmented least squares of numpy.
    noisy = known(small) + 0.3 * torch.randn(6, 2, 4, 4, generator=torch.Generator().manual_seed(1))
    found = fit_linear_encoder(images, noisy, ridge=2.0)
    x = small.permute(0, 2, 3, 1).reshape(-1, 3).double().numpy()
    y = noisy.permute(0, 2, 3, 1).reshape(-1, 2).double().numpy()
    rows = np.vstack([x - x.mean(0), np.sqrt(2.0) * np.eye(3)])
    expected = np.linalg.lstsq(rows, np.vstack([y - y.mean(0), np.zeros((3, 2))]), rcond=None)[0].T
    np.testing.assert_allclose(found.matrix, expected, atol=1e-5)
    assert not np.allclose(found.matrix, known.matrix, atol=0.05), "the ridge counts"


def test_guards() -> None:
    with pytest.raises(ConfigError, match="no whole multiple"):
        fit_linear_encoder(torch.zeros(1, 3, 10, 10), torch.zeros(1, 4, 4, 4))
    with pytest.raises(ConfigError, match="rows of one length"):
        LinearMap(matrix=((1.0,),), bias=(0.0, 1.0))
