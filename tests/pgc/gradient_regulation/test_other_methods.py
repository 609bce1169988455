# SPDX-License-Identifier: Apache-2.0
"""PGC-V, PNGD, the quantile and the official code's other ways, against vectors computed from the official code."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from pgc.errors import ConfigError
from pgc.gradient_regulation.adaptive_clipping import AdaptiveClippingConfig, clip_gradient_at_quantile
from pgc.gradient_regulation.base import covered_quantiles
from pgc.gradient_regulation.build import REGULATIONS, RegulationName, build_regulation, regulation_named
from pgc.gradient_regulation.official_variants import OfficialVariantConfig, scale_globally, sigmoid, soft
from pgc.gradient_regulation.pixelwise_normalization import (
    PixelwiseNormalizationConfig,
    normalize_gradient_pixelwise,
)
from pgc.gradient_regulation.unregulated import UnregulatedConfig
from pgc.gradient_regulation.valuewise_clipping import ValuewiseClippingConfig, clip_gradient_valuewise


def pixel(*channels: float) -> Tensor:
    return torch.tensor(channels, dtype=torch.float32).reshape(1, 3, 1, 1)


G = pixel(0.3, -0.4, 0.0)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (clip_gradient_valuewise(G, 0.1), (0.1, -0.1, 0.0)),
        (normalize_gradient_pixelwise(G, 0.1, "linf"), (0.06, -0.08, 0.0)),
        (normalize_gradient_pixelwise(pixel(0.05, 0.02, -0.08), 0.1, "linf"), (0.027778, 0.011111, -0.044444)),
        # The norm of (.3, -.4, 0) is .5: eq. 9 gives a sixth of it.
        (normalize_gradient_pixelwise(G, 0.1, "l2"), (0.05, -0.066667, 0.0)),
        (scale_globally(G, 0.1), (0.075, -0.1, 0.0)),
        (sigmoid(G, 0.1), (0.007444, -0.009869, 0.0)),
        (sigmoid(G, 0.1, 1024.0), (0.05, -0.05, 0.0)),
        (soft(G, 0.1), (0.075, -0.08, 0.0)),
    ],
)
def test_vectors(found: Tensor, expected: tuple[float, ...]) -> None:
    torch.testing.assert_close(found, pixel(*expected), atol=1e-6, rtol=0)


def test_the_official_sigmoid_depends_on_the_units_of_the_gradient() -> None:
    """It is not equivariant, unlike clipping: 1024 times the gradient and the threshold are not 1024 times the result.

    The official run always has loss scaling on; `steepness` says so openly.
    """
    scaled = sigmoid(1024 * G, 1024 * 0.1) / 1024
    assert float((scaled - sigmoid(G, 0.1)).abs().max()) > 0.03
    torch.testing.assert_close(scaled, sigmoid(G, 0.1, 1024.0))


def reference_quantile(gradient: Tensor, covered: Tensor, quantile: float) -> Tensor:
    """The same by numpy, pixel by pixel."""
    norms = np.linalg.norm(gradient.numpy(), axis=1)
    limit = np.quantile(norms[covered[:, 0].numpy()], quantile, method="inverted_cdf")
    factor = np.minimum(1.0, limit / np.maximum(norms, 1e-30))
    return gradient * torch.as_tensor(factor)[:, None].float()


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9, 0.999, 1.0])
def test_the_quantile_agrees_with_numpy(quantile: float) -> None:
    generator = torch.Generator().manual_seed(5)
    gradient = torch.randn(2, 3, 9, 11, generator=generator)
    covered = torch.rand(2, 1, 9, 11, generator=generator) > 0.5
    found = clip_gradient_at_quantile(gradient, covered, quantile)
    torch.testing.assert_close(found, reference_quantile(gradient, covered, quantile), rtol=1e-5, atol=1e-6)
    norms = torch.linalg.vector_norm(found, dim=1, keepdim=True)[covered]
    clipped = norms >= norms.max() * (1 - 1e-5)
    assert int(clipped.sum()) == len(norms) - math.ceil(quantile * len(norms)) + 1


def test_the_quantile_follows_the_units_and_of_nothing_is_zero() -> None:
    generator = torch.Generator().manual_seed(6)
    gradient = torch.randn(1, 3, 8, 8, generator=generator)
    covered = torch.ones(1, 1, 8, 8, dtype=torch.bool)
    one, thousand = (clip_gradient_at_quantile(factor * gradient, covered, 0.8) for factor in (1.0, 1000.0))
    torch.testing.assert_close(1000.0 * one, thousand)
    assert covered_quantiles(gradient[:, :1].abs(), ~covered, (0.8,)) == [0.0]


@pytest.mark.parametrize("name", REGULATIONS)
def test_each_by_name_is_finite_pointwise_and_keeps_zero(name: RegulationName) -> None:
    regulation = build_regulation(regulation_named(name))
    gradient = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(7))
    gradient[0, 1, 0, 0], gradient[1, 2, 3, 3], gradient[0, :, 1, 1] = math.nan, math.inf, 0.0
    covered = torch.ones(2, 1, 6, 6, dtype=torch.bool)
    found = regulation.regulate(gradient, covered)
    assert bool(torch.isfinite(found).all())
    for where in ((0, 0, 0), (1, 3, 3), (0, 1, 1)):
        view, row, column = where
        assert not found[view, :, row, column].any()
    rest = torch.isfinite(gradient).all(dim=1, keepdim=True).expand_as(gradient)
    assert bool((found[rest] * gradient[rest] >= 0).all()), "no channel turns round"
    half = regulation.regulate(gradient.half(), covered)
    assert half.dtype == torch.float16
    assert (name == "none") == torch.equal(found[rest], gradient[rest])


@pytest.mark.parametrize(("sizes", "share", "expected"), [((7.0,), 0.5, 7.0), ((1.0, 2.0, 3.0), 0.4, 2.0)])
def test_a_share_that_falls_between_two_pixels_takes_the_larger(
    sizes: tuple[float, ...], share: float, expected: float
) -> None:
    size = torch.tensor([*sizes, 100.0]).reshape(1, 1, 1, -1)
    assert covered_quantiles(size, size < 100.0, (share,)) == [expected]


def test_what_nobody_chooses_and_the_last_quantile_that_may_be_chosen() -> None:
    assert PixelwiseNormalizationConfig().threshold == 0.1
    assert (AdaptiveClippingConfig().quantile, AdaptiveClippingConfig(quantile=1.0).quantile) == (0.9, 1.0)


GUARDS: list[Callable[[], object]] = [
    lambda: ValuewiseClippingConfig(threshold=0.0),
    lambda: PixelwiseNormalizationConfig(threshold=math.nan),
    lambda: OfficialVariantConfig(variant="soft", threshold=math.inf),
    lambda: OfficialVariantConfig(variant="sigmoid", steepness=0.0),
    lambda: AdaptiveClippingConfig(quantile=0.0),
    lambda: AdaptiveClippingConfig(quantile=-0.1),
    lambda: AdaptiveClippingConfig(quantile=1.1),
]


@pytest.mark.parametrize("build", GUARDS)
def test_guards(build: Callable[[], object]) -> None:
    with pytest.raises(ConfigError, match="regulation"):
        build()


@pytest.mark.parametrize("config", [AdaptiveClippingConfig(), PixelwiseNormalizationConfig()])
def test_an_unknown_norm_is_refused(config: AdaptiveClippingConfig | PixelwiseNormalizationConfig) -> None:
    # Set behind the constructor's back: under the run-time type check a wrong literal would not reach our own guard.
    object.__setattr__(config, "norm", "l1")
    with pytest.raises(ConfigError, match="norm"):
        config.__post_init__()


def test_without_regulation_the_gradient_is_as_it_was() -> None:
    everywhere = torch.ones(1, 1, 1, 1, dtype=torch.bool)
    assert torch.equal(build_regulation(UnregulatedConfig()).regulate(1e6 * G, everywhere), 1e6 * G)
