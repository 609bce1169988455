# SPDX-License-Identifier: Apache-2.0
"""Against diffusers' own pipeline: the same prompts, latents and depth give the same noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.controlnet.pipeline_controlnet import StableDiffusionControlNetPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler

from pgc.guidance.base import Conditions
from pgc.guidance.control_pictures import depth_image
from pgc.guidance.diffusion.loading import ControlNetModel
from pgc.guidance.diffusion.stable_diffusion import StableDiffusionGuidance
from pgc.guidance.specs import StableDiffusionSpec, load_guidance

CPU = torch.device("cpu")
Scene = Callable[..., Conditions]


def load(folder: Path) -> StableDiffusionGuidance:
    guidance = load_guidance(StableDiffusionSpec(source=str(folder), controlnet=str(folder / "controlnet")), CPU)
    assert isinstance(guidance, StableDiffusionGuidance)
    return guidance


@pytest.mark.slow
@pytest.mark.parametrize("fixture", ["sd15_folder", "sd21_folder"])
def test_noise_equals_the_pipelines_own(fixture: str, request: pytest.FixtureRequest, scene: Scene) -> None:
    folder: Path = request.getfixturevalue(fixture)
    pipeline: Any = StableDiffusionControlNetPipeline.from_pretrained(
        folder,
        controlnet=ControlNetModel.from_pretrained(folder / "controlnet"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    guidance = load(folder)
    conditions = scene(guidance)
    assert conditions.depth is not None
    assert conditions.mask is not None
    seen: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    handle = pipeline.unet.register_forward_hook(
        lambda module, inputs, output: seen.append((inputs[0], inputs[1], output[0]))
    )
    pipeline(
        ["red cube", "blue ball"],
        negative_prompt=["", ""],
        image=torch.nn.functional.interpolate(
            depth_image(conditions.depth, conditions.mask), (32, 32), mode="bilinear", antialias=True
        ),
        height=32,
        width=32,
        num_inference_steps=3,
        guidance_scale=7.5,
        latents=torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(1)),
        output_type="latent",
    )
    handle.remove()
    assert len(seen) == 3
    for sample, timestep, output in seen:
        latents = sample[:2]
        ours = guidance.predict_noise(latents, timestep.expand(2), conditions)
        alpha = guidance.alphas_cumprod[int(timestep)]
        if fixture == "sd21_folder":
            output = alpha.sqrt() * output + (1 - alpha).sqrt() * sample
        uncond, cond = output.chunk(2)
        assert torch.allclose(ours.uncond, uncond, atol=1e-5)
        assert torch.allclose(ours.cond, cond, atol=1e-5)


@pytest.mark.slow
def test_schedule_and_prediction_type_are_read_from_the_model(sd15_folder: Path, sd21_folder: Path) -> None:
    one, two = load(sd15_folder), load(sd21_folder)
    assert (one.prediction_type, two.prediction_type) == ("epsilon", "v_prediction")
    for t, expected in {20: 0.981314, 250: 0.673793, 680: 0.095309}.items():
        assert one.alphas_cumprod[t].item() == pytest.approx(expected, abs=1e-6)
    assert one.unknown_words("xyzzy") == ()
    assert one.image_size == 32


@pytest.mark.slow
def test_a_model_without_controlnet_runs_free(sd15_folder: Path, scene: Scene) -> None:
    guidance = load_guidance(StableDiffusionSpec(source=str(sd15_folder), controlnet=None), CPU)
    latents = torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(1))
    timestep = torch.tensor([5, 500])
    with_depth = guidance.predict_noise(latents, timestep, scene(guidance))
    without = guidance.predict_noise(latents, timestep, scene(guidance, depth=False))
    assert torch.equal(with_depth.cond, without.cond)
