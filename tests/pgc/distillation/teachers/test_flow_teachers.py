# SPDX-License-Identifier: Apache-2.0
"""Each loss with each flow teacher: score distillation against one from scratch, and three steps of every loss."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
import torch

from pgc.distillation.build import DistillationName, build_distillation, distillation_named
from pgc.distillation.hifa import HiFAConfig
from pgc.distillation.rfds import RFDSConfig, signal_share
from pgc.distillation.sds import SDSConfig
from pgc.distillation.timestep import UniformTimestepConfig
from pgc.errors import ConfigError
from tests.pgc.distillation.teachers import flows_from_scratch
from tests.pgc.distillation.teachers.from_scratch import clipped
from tests.pgc.distillation.teachers.test_teachers import VIEWS, conditions, pictures, regulated
from tests.pgc.guidance.flow_models import FLOWS

TIMES = UniformTimestepConfig(minimum=0.2, maximum=0.95)


@pytest.mark.slow
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("name", ["sds", "rfds"])
def test_score_distillation_and_clipping_agree_with_the_ones_written_from_scratch(name, flow, flows, flow_folders):
    guidance = flows[flow]
    said, image = conditions(guidance), pictures()
    # RFDS divides by 1 - σ: at the largest σ and a scale of 100 the last digits of float32 would be compared.
    scale, most = (100.0, 0.95) if name == "sds" else (7.5, 0.8)
    times = UniformTimestepConfig(minimum=0.2, maximum=most)
    config = replace(distillation_named(name, HiFAConfig()), timestep=times, guidance_scale=scale)
    loss = build_distillation(config, guidance)
    found, outcome = regulated(loss, guidance, image, said, torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(1)
    times = torch.randint(200, round(1000 * most) + 1, (VIEWS,), generator=generator).tolist()
    noise = torch.randn(outcome.noise.shape, generator=generator)
    assert outcome.timestep.tolist() == times
    net = flows_from_scratch.FlowNetwork(flow_folders[flow], flow)
    for view in range(VIEWS):
        for which, read in (("cond", said.prompt), ("uncond", said.negative)):
            row = read.select([view])
            length = None if row.lengths is None else int(row.lengths)
            net.read[which] = (row.hidden_states, row.pooled, length)
        leaf = image[view : view + 1].clone().requires_grad_()
        z = net.encode(leaf)
        gradient = getattr(flows_from_scratch, name)(net, z.detach(), times[view], noise[view : view + 1], scale)
        torch.testing.assert_close(outcome.gradient[view : view + 1], gradient, atol=1e-4, rtol=1e-4)
        (z * gradient).sum().backward()
        torch.testing.assert_close(found[view : view + 1], clipped(leaf.grad, 0.1), atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("name", get_args(DistillationName))
def test_three_steps_are_finite_and_change_the_picture(name, flow, flows):
    guidance = flows[flow]
    said = conditions(guidance)
    loss = build_distillation(
        distillation_named(name, HiFAConfig() if name == "sds" else SDSConfig()), guidance, seed=3
    )
    image = pictures()
    for step in range(3):
        found, outcome = regulated(loss, guidance, image, said, torch.Generator().manual_seed(step))
        assert bool(torch.isfinite(found).all())
        assert bool((found.abs().amax(dim=(1, 2, 3)) > 0).all())
        assert (outcome.image_target is not None) == loss.has_image_target
        image = (image - 0.05 * found).clamp(0.0, 1.0)


def test_rfds_is_sds_with_another_weight(flows):
    guidance = flows["sd3"]
    said, latents = conditions(guidance), torch.randn(VIEWS, 4, 8, 8)

    def asked(config):
        generator = torch.Generator().manual_seed(4)
        loss = build_distillation(config, guidance)
        return loss.gradient(latents, guidance, said, progress=0.5, generator=generator)

    plain = asked(SDSConfig(timestep=TIMES, weighting=RFDSConfig().weighting))
    flow = asked(RFDSConfig(timestep=TIMES))
    share = signal_share(guidance.alphas_cumprod[flow.timestep])
    torch.testing.assert_close(flow.gradient * share, plain.gradient)
    assert bool((share < 1.0).all())


@pytest.mark.slow
def test_rfds_is_refused_for_a_prior_without_velocities(teachers):
    for name in ("sd15", "sd21", "sdxl"):
        with pytest.raises(ConfigError, match=r"rfds.*predicts (epsilon|v_prediction); use sds"):
            build_distillation(RFDSConfig(), teachers[name])
