# SPDX-License-Identifier: Apache-2.0
"""SDXL against diffusers' own pipeline; its two encoders, its time ids, its touchy autoencoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.controlnet.pipeline_controlnet_sd_xl import StableDiffusionXLControlNetPipeline

from pgc.errors import GuidanceError
from pgc.guidance.base import Conditions, PromptEmbedding
from pgc.guidance.control_pictures import depth_image
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.diffusion.loading import ControlNetModel, load_components, load_vae
from pgc.guidance.diffusion.sdxl import SDXLGuidance
from pgc.guidance.specs import SDXLSpec, load_guidance

CPU = torch.device("cpu")
Scene = Callable[..., Conditions]


@pytest.fixture(scope="module")
def guidance(sdxl_folder: Path) -> SDXLGuidance:
    loaded = load_guidance(SDXLSpec(source=str(sdxl_folder), controlnet=str(sdxl_folder / "controlnet")), CPU)
    assert isinstance(loaded, SDXLGuidance)
    return loaded


@pytest.fixture(scope="module")
def pipeline(sdxl_folder: Path) -> Any:
    pipe: Any = StableDiffusionXLControlNetPipeline.from_pretrained(
        sdxl_folder, controlnet=ControlNetModel.from_pretrained(sdxl_folder / "controlnet"), add_watermarker=False
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.mark.slow
def test_noise_equals_the_pipelines_own(guidance: SDXLGuidance, pipeline: Any, scene: Scene) -> None:
    conditions = scene(guidance)
    assert conditions.depth is not None
    assert conditions.mask is not None
    seen: list[tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor], torch.Tensor]] = []
    handle = pipeline.unet.register_forward_hook(
        lambda module, inputs, kwargs, output: seen.append(
            (inputs[0], inputs[1], kwargs["added_cond_kwargs"], output[0])
        ),
        with_kwargs=True,
    )
    pipeline(
        ["red cube", "blue ball"],
        image=torch.nn.functional.interpolate(
            depth_image(conditions.depth, conditions.mask), (32, 32), mode="bilinear", antialias=True
        ),
        height=32,
        width=32,
        num_inference_steps=2,
        guidance_scale=7.5,
        controlnet_conditioning_scale=1.0,
        latents=torch.randn((2, 4, 8, 8), generator=torch.Generator().manual_seed(1)),
        output_type="latent",
    )
    handle.remove()
    assert len(seen) == 2
    for sample, timestep, added, output in seen:
        # No negative prompt: diffusers, too, takes zeros for it.
        assert added["time_ids"][0].tolist() == [32, 32, 0, 0, 32, 32]
        assert torch.allclose(added["text_embeds"][2:], conditions.prompt.pooled, atol=1e-6)  # type: ignore[arg-type]
        ours = guidance.predict_noise(sample[:2], timestep.expand(2), conditions)
        uncond, cond = output.chunk(2)
        assert torch.allclose(ours.uncond, uncond, atol=1e-5)
        assert torch.allclose(ours.cond, cond, atol=1e-5)


def test_prompt_is_both_encoders_penultimate_states(guidance: SDXLGuidance, pipeline: Any) -> None:
    expected, _, pooled, _ = pipeline.encode_prompt("red cube", device=CPU, do_classifier_free_guidance=False)
    ours = guidance.encode_prompt(["red cube", ""])
    assert ours.pooled is not None
    assert torch.allclose(ours.hidden_states[:1], expected, atol=1e-6)
    assert torch.allclose(ours.pooled[:1], pooled, atol=1e-6)
    assert not ours.hidden_states[1].any()
    assert not ours.pooled[1].any()


def test_the_empty_prompt_may_be_read_as_the_official_code_does(sdxl_folder: Path, pipeline: Any) -> None:
    run = LatentDiffusionConfig(empty_prompt="encoded")
    other = SDXLGuidance(
        "xl",
        load_components(str(sdxl_folder), xl=True, dtype=torch.float32, device=CPU),
        controlnet=None,
        config=run,
        device=CPU,
    )
    expected, _, pooled, _ = pipeline.encode_prompt("", device=CPU, do_classifier_free_guidance=False)
    read = other.encode_prompt([""], negative=True)
    assert read.pooled is not None
    assert torch.allclose(read.hidden_states, expected, atol=1e-6)
    assert torch.allclose(read.pooled, pooled, atol=1e-6)
    assert bool(read.hidden_states.any())


def test_pooled_embedding_is_needed(guidance: SDXLGuidance) -> None:
    words = PromptEmbedding(hidden_states=torch.zeros(1, 24, 32))
    with pytest.raises(GuidanceError, match="pooled"):
        guidance.predict_noise(torch.zeros(1, 4, 8, 8), torch.tensor([5]), Conditions(prompt=words, negative=words))


@pytest.mark.slow
@pytest.mark.parametrize(("upcast", "expected"), [(True, torch.float32), (False, torch.float16)])
def test_autoencoder_that_overflows_runs_in_float32(sdxl_folder: Path, upcast: bool, expected: torch.dtype) -> None:
    parts = load_components(str(sdxl_folder), xl=True, dtype=torch.float16, device=CPU)
    vae = load_vae(str(sdxl_folder / "vae"), dtype=torch.float16, device=CPU)
    vae.register_to_config(force_upcast=upcast)
    guidance = SDXLGuidance("xl", parts, controlnet=None, config=LatentDiffusionConfig(), device=CPU, vae=vae)
    assert guidance.dtype == torch.float16
    assert guidance._model.vae.dtype == expected
    latents = guidance.encode_image(torch.rand(1, 3, 32, 32))
    assert latents.dtype == torch.float32
