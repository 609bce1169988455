# SPDX-License-Identifier: Apache-2.0
"""Tiny checkpoints with random weights, in the very formats that Stable Diffusion and SDXL are published in."""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection
from transformers.utils import logging as transformers_logging

from pgc.guidance.base import Conditions, Guidance

WIDTH = 16
IMAGE_SIZE = 32
TIME_IDS = 4


@pytest.fixture(scope="session", autouse=True)
def _no_progress_bars() -> None:
    transformers_logging.disable_progress_bar()


def write_tokenizer(folder: Path) -> None:
    """One token a letter: bytes are spelt as CLIP spells them, but nothing is merged."""
    folder.mkdir(parents=True)
    letters = string.ascii_lowercase + string.digits + ",.'-"
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(letter + "</w>" for letter in letters)]
    (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    special = {"bos_token": tokens[0], "eos_token": tokens[1], "unk_token": tokens[1], "pad_token": tokens[1]}
    settings = {"model_max_length": 24, "tokenizer_class": "CLIPTokenizer", **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def text_config(*, projection: int = WIDTH) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=90,
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=24,
        projection_dim=projection,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )


def tiny_unet(*, xl: bool) -> UNet2DConditionModel:
    extra = (
        {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": TIME_IDS,
            "projection_class_embeddings_input_dim": 6 * TIME_IDS + WIDTH,
        }
        if xl
        else {}
    )
    return UNet2DConditionModel(
        sample_size=IMAGE_SIZE // 4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        cross_attention_dim=2 * WIDTH if xl else WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
        **extra,
    )


def tiny_vae() -> AutoencoderKL:
    build: Any = AutoencoderKL  # its own annotations ask for tuples of one
    return build(
        block_out_channels=(8, 8, 16),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        norm_num_groups=4,
        scaling_factor=0.2,
    )


def tiny_controlnet(unet: UNet2DConditionModel, channels: int = 3) -> ControlNetModel:
    """With the zero convolutions filled, or else it would have no influence that a test could see. `channels`: of the
    picture that it is shown."""
    net = ControlNetModel.from_unet(
        unet, conditioning_embedding_out_channels=(8, 16, 16), conditioning_channels=channels
    )
    for name, parameter in net.named_parameters():
        if name.startswith(("controlnet_down", "controlnet_mid", "controlnet_cond_embedding.conv_out")):
            torch.nn.init.normal_(parameter, std=0.2)
    return net


def write_scheduler(folder: Path, prediction_type: str) -> None:
    """The numbers of Stable Diffusion 1 and 2; ᾱ does not depend on the sampler named."""
    folder.mkdir(parents=True)
    settings = {
        "_class_name": "DDIMScheduler",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "num_train_timesteps": 1000,
        "prediction_type": prediction_type,
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
    }
    (folder / "scheduler_config.json").write_text(json.dumps(settings))


def write_model(folder: Path, *, xl: bool, prediction_type: str = "epsilon", seed: int = 0) -> Path:
    """A whole model folder, its ControlNet beside it in "controlnet"."""
    torch.manual_seed(seed)
    unet = tiny_unet(xl=xl)
    unet.save_pretrained(folder / "unet")
    tiny_controlnet(unet).save_pretrained(folder / "controlnet")
    tiny_vae().save_pretrained(folder / "vae")
    CLIPTextModel(text_config()).save_pretrained(folder / "text_encoder")
    write_tokenizer(folder / "tokenizer")
    write_scheduler(folder / "scheduler", prediction_type)
    index: dict[str, object] = {
        "_class_name": "StableDiffusionXLPipeline" if xl else "StableDiffusionPipeline",
        "_diffusers_version": "0.36.0",
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    if xl:
        CLIPTextModelWithProjection(text_config()).save_pretrained(folder / "text_encoder_2")
        write_tokenizer(folder / "tokenizer_2")
        index |= {
            "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
            "tokenizer_2": ["transformers", "CLIPTokenizer"],
        }
    else:
        index |= {"safety_checker": [None, None], "feature_extractor": [None, None]}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture(scope="session")
def sd15_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("sd15"), xl=False)


@pytest.fixture(scope="session")
def sd21_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("sd21"), xl=False, prediction_type="v_prediction")


@pytest.fixture(scope="session")
def sdxl_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("sdxl"), xl=True)


def write_pocket(folder: Path) -> Path:
    """A folder as the built-in model's, of another size and with weights of chance."""
    write_model(folder, xl=False)
    words = {
        "colors": ["red", "blue"],
        "materials": ["brick", "wood", "wooden"],
        "shapes": ["cube", "ball"],
        "other": ["a", "of", "flat", "lighting"],
        "untrained": ["seamless"],
    }
    (folder / "vocabulary.json").write_text(json.dumps(words))
    return folder


@pytest.fixture(scope="session")
def pocket_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pocket(tmp_path_factory.mktemp("pocket"))


@pytest.fixture
def scene() -> Callable[..., Conditions]:
    """Conditions for two views of a ball in front of nothing."""

    def build(
        guidance: Guidance, *, prompts: tuple[str, str] = ("red cube", "blue ball"), depth: bool = True
    ) -> Conditions:
        y, x = torch.meshgrid(torch.linspace(-1, 1, 48), torch.linspace(-1, 1, 48), indexing="ij")
        radius = torch.stack([(x**2 + y**2), (2 * x**2 + y**2)])[:, None]
        mask = radius < 0.7
        distance = torch.where(mask, 2.2 - (1 - radius).clamp_min(0).sqrt() * 0.8, torch.zeros_like(radius))
        return Conditions(
            prompt=guidance.encode_prompt(prompts),
            negative=guidance.encode_prompt(["", ""], negative=True),
            depth=distance if depth else None,
            mask=mask if depth else None,
        )

    return build
