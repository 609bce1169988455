# SPDX-License-Identifier: Apache-2.0
"""Each loss with each teacher: against the one that was written from scratch, and for three steps of its own."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import get_args

import pytest
import torch

from pgc.distillation.base import LearningLoss
from pgc.distillation.build import DistillationName, build_distillation, distillation_named
from pgc.distillation.hifa import HiFAConfig
from pgc.distillation.noise.sources import SurfaceNoiseConfig
from pgc.distillation.sds import SDSConfig
from pgc.distillation.timestep import UniformTimestepConfig
from pgc.gradient_regulation.pixelwise_clipping import clip_gradient_pixelwise
from pgc.guidance.base import Conditions
from pgc.optimization.map_gradients import image_residual
from pgc.surface import SurfacePoints
from tests.pgc.distillation.teachers import from_scratch

NAMES = tuple(name for name in get_args(DistillationName) if name != "rfds")
"""Without the one that flow teachers alone serve."""
TIMES = UniformTimestepConfig(minimum=0.05, maximum=0.2)
"""On both sides of SSD's switch, and of ISM's strides."""
SIDE, VIEWS = 32, 2


def conditions(guidance):
    corner = torch.arange(SIDE) / SIDE
    v, u = torch.meshgrid(corner, corner, indexing="ij")
    flat = torch.tensor([1.0, 0.0, 0.0, 1.0]) / SIDE
    nothing = torch.zeros(VIEWS, 3, SIDE, SIDE)
    return Conditions(
        prompt=guidance.encode_prompt(["red cube", "blue ball"]),
        negative=guidance.encode_prompt(["", ""], negative=True),
        camera_to_world=torch.rand((VIEWS, 4, 4), generator=torch.Generator().manual_seed(9)),
        surface=SurfacePoints(
            uv=torch.stack([u, v]).expand(VIEWS, 2, SIDE, SIDE),
            uv_footprint=flat[None, :, None, None].expand(VIEWS, 4, SIDE, SIDE),
            position=nothing,
            normal=nothing,
            mask=torch.ones(VIEWS, 1, SIDE, SIDE, dtype=torch.bool),
        ),
    )


def pictures(seed=1):
    return torch.rand((VIEWS, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(seed))


def regulated(loss, guidance, image, said, generator):
    """∂L/∂x as the loop makes it, clipped at 0.1, and what the loss said."""
    leaf = image.clone().requires_grad_()
    latents = guidance.encode_image(leaf)
    outcome = loss.gradient(latents.detach(), guidance, said, progress=0.5, generator=generator)
    (gradient,) = torch.autograd.grad(latents, leaf, outcome.gradient)
    return clip_gradient_pixelwise(gradient + image_residual(image, outcome), 0.1), outcome


def scratch_of(name, loss):
    """The loss written from scratch, for one view; VSD's with the adapters that are in `loss`, changed at random."""
    if name != "vsd":
        return getattr(from_scratch, name)
    generator = torch.Generator().manual_seed(8)
    weights = {
        key: 0.1 * torch.randn(value.shape, generator=generator) for key, value in loss.denoiser.state_dict().items()
    }
    loss.denoiser.load_state_dict(weights)
    return partial(from_scratch.vsd, adapted=weights)


@pytest.mark.slow
@pytest.mark.parametrize("teacher", ["sd21", "sdxl"])
@pytest.mark.parametrize("name", NAMES)
def test_a_loss_and_clipping_agree_with_the_ones_written_from_scratch(name, teacher, teachers, checkpoints):
    guidance, folder = teachers[teacher], checkpoints[teacher]
    said, image = conditions(guidance), pictures()
    config = replace(distillation_named(name, SDSConfig()), timestep=TIMES)
    loss = build_distillation(config, guidance, seed=2)
    formula = scratch_of(name, loss)
    found, outcome = regulated(loss, guidance, image, said, torch.Generator().manual_seed(1))

    generator = torch.Generator().manual_seed(1)
    times = torch.randint(50, 201, (VIEWS,), generator=generator).tolist()
    noise = torch.randn(outcome.noise.shape, generator=generator)
    assert outcome.timestep.tolist() == times
    assert min(times) <= 100 < max(times)
    for view in range(VIEWS):
        net = from_scratch.Network(folder, v_prediction=teacher == "sd21")
        for which, read in (("cond", said.prompt), ("uncond", said.negative)):
            row = read.select([view])
            net.read[which] = (row.hidden_states, row.pooled)
        of_view = formula
        if name == "vsd":
            second = from_scratch.Network(folder, v_prediction=teacher == "sd21")
            second.read = net.read
            from_scratch.with_adapters(second, formula.keywords["adapted"], said.camera_to_world[view])
            of_view = partial(from_scratch.vsd, adapted=lambda z, t, second=second: second.noise(z, t, "cond"))
        leaf = image[view : view + 1].clone().requires_grad_()
        z = net.encode(leaf)
        gradient, target, weight = of_view(net, z.detach(), times[view], noise[view : view + 1])
        torch.testing.assert_close(outcome.gradient[view : view + 1], gradient, atol=1e-4, rtol=1e-4)
        (z * gradient).sum().backward()
        whole = leaf.grad if target is None else leaf.grad + weight * (leaf.detach() - target)
        torch.testing.assert_close(found[view : view + 1], from_scratch.clipped(whole, 0.1), atol=1e-4, rtol=1e-4)


def test_rescaled_guidance_agrees_with_the_one_written_from_scratch(teachers, checkpoints):
    guidance = teachers["sd21"]
    said, image = conditions(guidance), pictures()
    config = SDSConfig(guidance_scale=7.5, guidance_rescale=0.5, timestep=TIMES)
    _, outcome = regulated(build_distillation(config), guidance, image, said, torch.Generator().manual_seed(1))
    net = from_scratch.Network(checkpoints["sd21"], v_prediction=True)
    net.read = {
        "cond": (said.prompt.select([1]).hidden_states, None),
        "uncond": (said.negative.select([1]).hidden_states, None),
    }
    with torch.no_grad():
        z = net.encode(image[1:])
    expected, _, _ = from_scratch.sds(net, z, int(outcome.timestep[1]), outcome.noise[1:], 7.5, 0.5)
    torch.testing.assert_close(outcome.gradient[1:], expected, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("teacher", ["sd15", "sd21", "sdxl"])
@pytest.mark.parametrize("name", NAMES)
def test_three_steps_are_finite_and_change_the_picture(name, teacher, teachers):
    guidance = teachers[teacher]
    said = conditions(guidance)
    config = distillation_named(name, HiFAConfig() if name == "sds" else SDSConfig())
    loss = build_distillation(config, guidance, seed=3)
    learnt = loss.state_dict() if isinstance(loss, LearningLoss) else {}
    learnt = {key: value.clone() for key, value in learnt.items()}
    image = pictures().requires_grad_()
    optimizer = torch.optim.Adam([image], lr=0.01)
    for step in range(3):
        before = image.detach().clone()
        generator = torch.Generator().manual_seed(step)
        latents = guidance.encode_image(image)
        outcome = loss.gradient(latents.detach(), guidance, said, progress=step / 3, generator=generator)
        optimizer.zero_grad()
        latents.backward(outcome.gradient)
        assert image.grad is not None
        image.grad += image_residual(image.detach(), outcome)
        assert bool(torch.isfinite(image.grad).all())
        assert bool((image.grad.abs().amax(dim=(1, 2, 3)) > 0).all())
        optimizer.step()
        assert not torch.equal(image.detach(), before)
        assert (outcome.image_target is not None) == loss.has_image_target
    if isinstance(loss, LearningLoss):
        now = loss.state_dict()
        assert all(bool(torch.isfinite(value).all()) for value in now.values())
        assert any(not torch.equal(now[key], value) for key, value in learnt.items())


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name != "ism"])
def test_noise_of_the_surface_goes_with_every_loss_that_draws_any(name, teachers):
    guidance = teachers["sd15"]
    config = replace(distillation_named(name, SDSConfig()), noise=SurfaceNoiseConfig())
    loss = build_distillation(config, guidance, seed=3)
    latents = guidance.encode_image(pictures()).detach()
    first, second = (
        loss.gradient(
            latents, guidance, conditions(guidance), progress=0.5, generator=torch.Generator().manual_seed(seed)
        )
        for seed in (1, 2)
    )
    assert bool(torch.isfinite(first.gradient).all())
    if name != "sdi":
        # Both views show the same square, and every step the same noise.
        assert torch.equal(first.noise[0], first.noise[1])
        assert torch.equal(first.noise, second.noise)


def test_a_prior_with_adapters_answers_as_before_and_gives_them_back(teachers):
    guidance = teachers["sd15"]
    said, noisy, at = conditions(guidance), torch.randn(VIEWS, 4, 8, 8), torch.tensor([100, 700])
    before = guidance.predict_noise(noisy, at, said)
    config = distillation_named("vsd", SDSConfig())
    first = build_distillation(config, guidance, seed=1)
    assert isinstance(first, LearningLoss)
    kept = {key: value.clone() for key, value in first.state_dict().items()}
    latents = guidance.encode_image(pictures()).detach()
    first.gradient(latents, guidance, said, progress=0.0, generator=torch.Generator().manual_seed(1))
    after = guidance.predict_noise(noisy, at, said)
    assert torch.equal(before.cond, after.cond)
    assert torch.equal(before.uncond, after.uncond)
    again = build_distillation(config, guidance, seed=1)
    assert isinstance(again, LearningLoss)
    assert kept.keys() == again.state_dict().keys()
    assert all(torch.equal(value, kept[key]) for key, value in again.state_dict().items())
    other = build_distillation(config, guidance, seed=2)
    assert isinstance(other, LearningLoss)
    assert any(not torch.equal(value, kept[key]) for key, value in other.state_dict().items())
