# SPDX-License-Identifier: Apache-2.0
"""Counted costs, against published figures and against each other."""

from __future__ import annotations

import pytest

from tests.benchmarks.guidance_cost import count_flops


@pytest.mark.slow
def test_stable_diffusion_15() -> None:
    cost = count_flops("sd15")
    # Published counts of one forward at 512 pixels lie around 0.80 TFLOP (0.40 T multiply-adds).
    assert cost.unet == pytest.approx(0.80e12, rel=0.02)
    assert 0.3 < cost.controlnet / cost.unet < 0.4
    # The gradient on the image costs as much as the way there: the weights get none.
    assert cost.vae_backward == pytest.approx(cost.vae_encode, rel=0.15)
    assert cost.step == 2 * (cost.unet + cost.controlnet) + cost.vae_encode + cost.vae_backward


@pytest.mark.slow
def test_sdxl() -> None:
    cost = count_flops("sdxl")
    assert cost.unet == pytest.approx(6.76e12, rel=0.02)
    assert cost.controlnet == pytest.approx(3.02e12, rel=0.02)
    assert cost.step == pytest.approx(29.9e12, rel=0.02)
