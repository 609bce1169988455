# SPDX-License-Identifier: Apache-2.0
"""PGC-N against vectors computed from the official code, and against the paper's eq. 10."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pgc.errors import ConfigError
from pgc.gradient_regulation.base import PixelNorm
from pgc.gradient_regulation.pixelwise_clipping import (
    PixelwiseClipping,
    PixelwiseClippingConfig,
    clip_gradient_pixelwise,
)


def pixel(*channels: float) -> Tensor:
    return torch.tensor(channels, dtype=torch.float32).reshape(1, 3, 1, 1)


@pytest.mark.parametrize(
    ("norm", "grad", "expected"),
    [
        ("linf", (0.3, -0.4, 0.0), (0.075, -0.1, 0.0)),
        ("linf", (0.05, 0.02, -0.08), (0.05, 0.02, -0.08)),
        ("linf", (0.09, 0.09, 0.09), (0.09, 0.09, 0.09)),
        ("linf", (1e4, -2e4, 5e3), (0.05, -0.1, 0.025)),
        ("linf", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
        ("l2", (0.3, -0.4, 0.0), (0.06, -0.08, 0.0)),
        ("l2", (0.05, 0.02, -0.08), (0.05, 0.02, -0.08)),
        ("l2", (0.09, 0.09, 0.09), (0.057735, 0.057735, 0.057735)),
        ("l2", (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    ],
)
def test_vectors(norm: PixelNorm, grad: tuple[float, ...], expected: tuple[float, ...]) -> None:
    torch.testing.assert_close(clip_gradient_pixelwise(pixel(*grad), 0.1, norm), pixel(*expected), atol=1e-6, rtol=0)


def reference_clip(grad: Tensor, threshold: float, norm: PixelNorm) -> Tensor:
    """The same, pixel by pixel in double precision."""
    out = torch.zeros_like(grad)
    for b in range(grad.shape[0]):
        for y in range(grad.shape[2]):
            for x in range(grad.shape[3]):
                values = [float(v) for v in grad[b, :, y, x]]
                size = math.sqrt(sum(v * v for v in values)) if norm == "l2" else max(abs(v) for v in values)
                factor = min(1.0, threshold / size) if size > 0 else 1.0
                out[b, :, y, x] = torch.tensor([v * factor for v in values])
    return out


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_agrees_with_the_pixel_loop(norm: PixelNorm) -> None:
    grad = torch.randn(2, 4, 5, 7, generator=torch.Generator().manual_seed(0)) * 0.1
    torch.testing.assert_close(clip_gradient_pixelwise(grad, 0.1, norm), reference_clip(grad, 0.1, norm))


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_bound_and_direction(norm: PixelNorm) -> None:
    grad = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    clipped = clip_gradient_pixelwise(grad, 0.1, norm)
    order = 2 if norm == "l2" else math.inf
    assert float(torch.linalg.vector_norm(clipped, ord=order, dim=1).max()) <= 0.1 + 1e-6
    cosine = torch.nn.functional.cosine_similarity(grad, clipped, dim=1)
    assert float(cosine.min()) > 1 - 1e-5


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_loss_scaling_changes_nothing(norm: PixelNorm) -> None:
    """Point 1 of the parity list: f(1024 g, 1024 c) / 1024 = f(g, c)."""
    grad = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(2)) * 0.2
    scaled = clip_gradient_pixelwise(1024 * grad, 1024 * 0.1, norm) / 1024
    torch.testing.assert_close(scaled, clip_gradient_pixelwise(grad, 0.1, norm))


def test_a_pixel_without_direction_is_zero_and_its_neighbours_live() -> None:
    grad = torch.full((1, 3, 1, 3), 0.01)
    grad[0, 0, 0, 0] = math.inf
    grad[0, 1, 0, 1] = math.nan
    clipped = clip_gradient_pixelwise(grad, 0.1)
    assert torch.equal(clipped[..., :2], torch.zeros(1, 3, 1, 2))
    assert torch.equal(clipped[..., 2:], grad[..., 2:])


def test_half_precision_does_not_overflow_in_the_norm() -> None:
    grad = torch.full((1, 3, 1, 1), 6e4, dtype=torch.float16)
    clipped = clip_gradient_pixelwise(grad, 0.1)
    assert clipped.dtype == torch.float16
    assert float(torch.linalg.vector_norm(clipped.float())) == pytest.approx(0.1, rel=1e-2)


@pytest.mark.parametrize("threshold", [0.0, -1.0, math.nan])
def test_threshold_must_be_positive(threshold: float) -> None:
    with pytest.raises(ConfigError, match="threshold"):
        clip_gradient_pixelwise(pixel(1, 1, 1), threshold)
    with pytest.raises(ConfigError, match="threshold"):
        PixelwiseClippingConfig(threshold=threshold)


def test_norm_is_checked() -> None:
    config = PixelwiseClippingConfig()
    # Set behind the constructor's back: under the run-time type check a wrong literal would not reach our own guard.
    object.__setattr__(config, "norm", "l1")
    with pytest.raises(ConfigError, match="norm"):
        config.__post_init__()


def test_the_default_is_the_papers() -> None:
    grad = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(4))
    everywhere = torch.ones(1, 1, 8, 8, dtype=torch.bool)
    regulated = PixelwiseClipping(PixelwiseClippingConfig()).regulate(grad, everywhere)
    torch.testing.assert_close(regulated, clip_gradient_pixelwise(grad, 0.1, "l2"))
    assert float(torch.linalg.vector_norm(grad, dim=1).max()) > 0.1, "nothing to clip: the test would be empty"
