# SPDX-License-Identifier: Apache-2.0
"""Conditioning, tokenizer, training state, and the shipped prior."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from pgc.pocket import takes_shading, weights_folder
from pgc.pocket.conditioning import depth_condition, lit_condition
from pgc.pocket.data.captions import unknown_words, vocabulary
from pgc.pocket.data.lit_captions import lit_vocabulary
from pgc.pocket.training.state import OptimizerConfig, TrainState, load_average, orthogonalise
from pgc.pocket.training.tokenizer import MAX_LENGTH, load_tokenizer, write_tokenizer

SHIPPED = (weights_folder() / "unet" / "config.json").exists()
needs_weights = pytest.mark.skipif(not SHIPPED, reason="the prior is not exported yet")


def test_depth_condition_by_hand() -> None:
    depth = torch.tensor([[2.0, 2.5, 3.0, 9.0]]).view(1, 1, 1, 4)
    mask = torch.tensor([[True, True, True, False]]).view(1, 1, 1, 4)
    result = depth_condition(depth, mask)
    assert result.shape == (1, 3, 1, 4)
    for channel in result[0, :, 0]:
        assert channel.tolist() == pytest.approx([1.0, 0.6, 0.2, 0.0], abs=1e-6)


def test_depth_condition_of_constant_and_empty_images() -> None:
    depth = torch.full((2, 1, 2, 2), 2.0)
    mask = torch.tensor([1.0, 0.0]).view(2, 1, 1, 1).expand(2, 1, 2, 2)
    result = depth_condition(depth, mask)
    assert torch.equal(result[0], torch.ones(3, 2, 2))
    assert torch.equal(result[1], torch.zeros(3, 2, 2))


def test_tokenizer_keeps_words_whole_and_takes_anything(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    for group in vocabulary().values():
        for word in group:
            # Digits are always split off by CLIP's own rules.
            assert len(tokenizer(word).input_ids) == 3 or word == "3d", word
    for prompt in ("a red brick vase , front view", "steampunk zeppelin"):
        assert tokenizer.decode(tokenizer(prompt).input_ids, skip_special_tokens=True).strip() == prompt
    padded = tokenizer("日本 ünïcode \n", padding="max_length", max_length=MAX_LENGTH, truncation=True).input_ids
    assert len(padded) == MAX_LENGTH


def test_unknown_words_are_named() -> None:
    known = vocabulary()
    assert unknown_words("A Red brick, steampunk teapot!", known) == ["steampunk", "teapot"]
    assert unknown_words("a blue checkered mug, side view, flat lighting", known) == []


def test_orthogonalise() -> None:
    matrix = torch.randn(6, 20, generator=torch.Generator().manual_seed(0))
    singular = torch.linalg.svdvals(orthogonalise(matrix))
    assert singular.min() > 0.6
    assert singular.max() < 1.3


def test_orthogonalise_survives_degenerate_gradients() -> None:
    low_rank = torch.outer(torch.linspace(-1.0, 1.0, 64), torch.linspace(0.0, 1.0, 640))
    assert orthogonalise(low_rank).isfinite().all()
    assert torch.equal(orthogonalise(torch.zeros(4, 9)), torch.zeros(4, 9))


def test_training_stops_at_a_loss_that_is_not_finite() -> None:
    state = TrainState(nn.Linear(2, 1), OptimizerConfig())
    with pytest.raises(FloatingPointError, match="step 0"):
        state.update(state.module(torch.full((1, 2), torch.nan)).sum(), 10)


def _train(state: TrainState, steps: int) -> None:
    while state.step < steps:
        x = torch.randn(8, 4, generator=torch.Generator().manual_seed(state.step))
        state.update((state.module(x) - x.sum(-1, keepdim=True)).square().mean(), 10)


def test_resumed_training_equals_uninterrupted(tmp_path: Path) -> None:
    def fresh() -> TrainState:
        torch.manual_seed(0)
        return TrainState(nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 1)), OptimizerConfig(warmup=2))

    straight, stopped, resumed = fresh(), fresh(), fresh()
    _train(straight, 10)
    _train(stopped, 5)
    stopped.save(tmp_path / "state.safetensors", {"loss": [1.0]})
    assert resumed.load(tmp_path / "state.safetensors") == {"loss": [1.0]}
    _train(resumed, 10)
    for name, value in straight.parameters.items():
        assert torch.equal(value, resumed.parameters[name])
        assert torch.equal(straight.average[name], resumed.average[name])
    resumed.save(tmp_path / "state.safetensors", {})
    load_average(tmp_path / "state.safetensors", fresh().module)


@needs_weights
def test_shipped_prior_is_small_and_complete() -> None:
    folder = weights_folder()
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 36 * 2**20
    for part in ("model_index.json", "MODEL_CARD.md", "vocabulary.json", "samples.webp"):
        assert (folder / part).exists(), part
    words = lit_vocabulary() if takes_shading(folder) else vocabulary()
    assert json.loads((folder / "vocabulary.json").read_text()) == words


@pytest.mark.slow
@needs_weights
def test_shipped_prior_denoises() -> None:
    """At a moderate noise level the prediction must explain most of the velocity."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.controlnets.controlnet import ControlNetModel
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
    from transformers import CLIPTextModel

    from pgc.pocket.data.render import RenderConfig, render_sample
    from pgc.pocket.training.train_vae import to_input

    folder = weights_folder()
    vae = AutoencoderKL.from_pretrained(folder, subfolder="vae", torch_dtype=torch.float32)
    unet = UNet2DConditionModel.from_pretrained(folder, subfolder="unet", torch_dtype=torch.float32)
    controlnet = ControlNetModel.from_pretrained(folder, subfolder="controlnet", torch_dtype=torch.float32)
    text = CLIPTextModel.from_pretrained(folder, subfolder="text_encoder", dtype=torch.float32)
    scheduler = DDPMScheduler.from_pretrained(folder, subfolder="scheduler")
    tokenizer = load_tokenizer(folder / "tokenizer")
    sample = render_sample(3, 90_000, RenderConfig())
    images = to_input(sample.image[None])
    with torch.no_grad():
        latents = vae.encode(images).latent_dist.mode() * vae.config.scaling_factor
        decoded = vae.decode(latents / vae.config.scaling_factor).sample
        psnr = -10.0 * ((decoded - images) / 2.0).square().mean().log10()
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
        timestep = torch.tensor([400])
        noisy, target = (
            scheduler.add_noise(latents, noise, timestep),
            scheduler.get_velocity(latents, noise, timestep),
        )
        tokens = tokenizer(sample.caption, padding="max_length", max_length=MAX_LENGTH, return_tensors="pt").input_ids
        hidden = text(tokens).last_hidden_state
        depth = torch.from_numpy(sample.depth)[None, None]
        condition = depth_condition(depth, depth > 0)
        if takes_shading(folder):
            condition = lit_condition(condition, None, controlnet.config["conditioning_channels"])
        down, middle = controlnet(noisy, timestep, hidden, controlnet_cond=condition, return_dict=False)
        predicted = unet(
            noisy, timestep, hidden, down_block_additional_residuals=down, mid_block_additional_residual=middle
        ).sample
    assert psnr > 24.0
    assert (predicted - target).square().mean() < 0.35 * target.square().mean()
