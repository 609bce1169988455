# SPDX-License-Identifier: Apache-2.0
"""The toy: always the same material, and a few steps towards it help."""

from __future__ import annotations

import pytest
import torch

from pgc.evaluation.materials.toy import ToyConfig, run_toy, toy_truth


def test_the_truth_is_always_the_same_and_in_range() -> None:
    truth = toy_truth()
    assert truth.shape == (5, 128, 128)
    assert torch.equal(truth, toy_truth())
    assert 0.08 <= float(truth[:3].min()) <= float(truth[:3].max()) <= 0.88
    assert 0.25 <= float(truth[3].min()) <= float(truth[3].max()) <= 0.85
    assert set(truth[4].unique().tolist()) == {0.0, torch.tensor(0.95).item()}


@pytest.mark.slow
def test_steps_help_and_are_repeatable() -> None:
    config = ToyConfig(steps=12, noise=0.0)
    short, first = run_toy("known", ToyConfig(steps=1, noise=0.0)), run_toy("known", config)
    assert first["base_color_psnr"] > short["base_color_psnr"] + 1.0
    second = run_toy("known", config)
    assert {k: v for k, v in first.items() if k != "seconds"} == {k: v for k, v in second.items() if k != "seconds"}


@pytest.mark.slow
def test_knowing_the_light_helps() -> None:
    known, unknown = (run_toy(light, ToyConfig(steps=24, noise=0.0)) for light in ("known", "unknown"))
    assert known["base_color_psnr"] > unknown["base_color_psnr"] + 1.0
    assert known["relit_psnr"] > unknown["relit_psnr"] + 1.0
