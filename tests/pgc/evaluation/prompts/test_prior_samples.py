# SPDX-License-Identifier: Apache-2.0
"""DDIM against a prior whose samples are known."""

from __future__ import annotations

import pytest
import torch

from pgc.distillation.ddim import trailing_timesteps
from pgc.errors import ConfigError
from pgc.evaluation.prompts.prior_samples import SamplingConfig, ddim_sample
from pgc.guidance.base import Conditions
from pgc.guidance.oracle import OracleConfig, OracleGuidance


def test_timesteps_are_even_and_start_at_the_last() -> None:
    assert trailing_timesteps(1000, 4) == [999, 749, 499, 249]
    assert trailing_timesteps(10, 10) == list(range(9, -1, -1))
    with pytest.raises(ConfigError, match="10 or fewer"):
        trailing_timesteps(10, 11)
    with pytest.raises(ConfigError, match="1 or more"):
        SamplingConfig(steps=0)


@pytest.mark.parametrize("steps", [1, 7])
def test_the_oracles_only_sample_is_its_reference(steps: int) -> None:
    guidance = OracleGuidance(OracleConfig(image_size=16), torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    reference = torch.rand(2, 3, 16, 16, generator=generator)
    prompt = guidance.encode_prompt(["", ""])
    conditions = Conditions(prompt=prompt, negative=prompt, truth_image=reference)
    noise = torch.randn(2, 3, 16, 16, generator=generator)
    image = ddim_sample(guidance, conditions, noise, SamplingConfig(steps=steps, guidance_scale=3.0))
    torch.testing.assert_close(image, reference, atol=2e-4, rtol=0)
