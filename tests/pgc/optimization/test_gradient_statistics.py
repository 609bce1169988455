# SPDX-License-Identifier: Apache-2.0
"""What regulation did, counted pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from pgc.gradient_regulation.pixelwise_clipping import clip_gradient_pixelwise
from pgc.optimization.gradient_statistics import GradientStatistics, RegulationRecord, gradient_statistics

NOTHING = torch.zeros(2, 1, 16, 16, dtype=torch.bool)


def pictures(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    gradient = torch.randn(2, 3, 16, 16, generator=generator) * 0.08
    return gradient, torch.rand(2, 1, 16, 16, generator=generator) > 0.4


def test_agrees_with_a_count_by_hand() -> None:
    before, covered = pictures()
    after = clip_gradient_pixelwise(before, 0.1)
    found = gradient_statistics(before, after, covered, NOTHING)
    norms = np.linalg.norm(before.numpy(), axis=1)[covered[:, 0].numpy()]
    assert found.pixels == len(norms)
    assert found.clipped_fraction == pytest.approx(np.mean(norms > 0.1), abs=1e-6)
    assert found.median_before == pytest.approx(np.quantile(norms, 0.5, method="inverted_cdf"))
    assert found.tail_before == pytest.approx(np.quantile(norms, 0.999, method="inverted_cdf"))
    clipped = np.minimum(norms, 0.1)
    assert found.median_after == pytest.approx(np.quantile(clipped, 0.5, method="inverted_cdf"), rel=1e-5)
    assert found.tail_after == found.maximum_after == pytest.approx(0.1, rel=1e-5)
    assert 0.05 < found.clipped_fraction < 0.95


def test_a_turned_pixel_counts_and_one_outside_the_mesh_does_not() -> None:
    before, covered = pictures()
    covered[0, 0, 0, 0], covered[0, 0, 0, 1] = True, False
    after = before.clone()
    after[0, :, 0, 0] = -after[0, :, 0, 0]
    after[0, :, 0, 1] = 9.0
    found = gradient_statistics(before, after, covered, NOTHING)
    assert found.clipped_fraction == pytest.approx(1 / found.pixels)
    assert found.maximum_after < 9.0


def test_without_a_covered_pixel_all_is_zero() -> None:
    before, _ = pictures()
    found = gradient_statistics(before, before, NOTHING, ~NOTHING)
    assert found == GradientStatistics(
        pixels=0,
        clipped_fraction=0.0,
        median_before=0.0,
        tail_before=0.0,
        median_after=0.0,
        tail_after=0.0,
        maximum_after=0.0,
        non_finite_pixels=2 * 16 * 16,
    )


def test_the_record_weighs_steps_by_their_pixels() -> None:
    before, covered = pictures()
    few = covered & (torch.arange(16) < 3)
    record = RegulationRecord()
    assert record.summary() == {"steps": 0, "pixels": 0, "largest_clipped_fraction": 0.0}
    steps = [
        gradient_statistics(before, clip_gradient_pixelwise(before, 0.1), covered, NOTHING),
        gradient_statistics(before, before, few, NOTHING),
    ]
    for step in steps:
        record.after_step(step)
    summary = record.summary()
    assert summary["steps"] == 2
    assert summary["pixels"] == steps[0].pixels + steps[1].pixels
    clipped = steps[0].clipped_fraction * steps[0].pixels / summary["pixels"]
    assert summary["clipped_fraction"] == pytest.approx(clipped)
    assert summary["largest_clipped_fraction"] == steps[0].clipped_fraction
    resumed = RegulationRecord()
    resumed.load_state(record.state())
    assert resumed.summary() == summary
