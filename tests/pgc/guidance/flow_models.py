# SPDX-License-Identifier: Apache-2.0
"""Tiny checkpoints with random weights in the formats of SD3, FLUX.1 and Z-Image."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel
from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import (
    CLIPTextModel,
    CLIPTextModelWithProjection,
    Qwen3Config,
    Qwen3Model,
    T5Config,
    T5EncoderModel,
)

from tests.pgc.guidance.conftest import IMAGE_SIZE, WIDTH, text_config, write_tokenizer

__all__ = ["FLOWS", "write_flow"]

FlowName = Literal["sd3", "flux", "flux_dev", "z_image"]
FLOWS: tuple[FlowName, ...] = ("sd3", "flux", "flux_dev", "z_image")
LATENT = 4
_T5_WIDTH = 40
_LETTERS = [*string.ascii_lowercase, *string.digits, *",.'-:<>|/_\n "]


def _vae() -> AutoencoderKL:
    """As SD3's and FLUX's: with a shift, without the convolutions between encoder and latents."""
    build: Any = AutoencoderKL  # its own annotations ask for tuples of one
    return build(
        block_out_channels=(8, 8, 16),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=LATENT,
        scaling_factor=1.5,
        shift_factor=0.06,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def _write_t5(folder: Path, tokenizer_folder: Path) -> None:
    config = T5Config(
        vocab_size=len(_LETTERS) + 8, d_model=_T5_WIDTH, d_kv=8, d_ff=32, num_layers=2, num_heads=2, is_gated_act=True
    )
    T5EncoderModel(config).save_pretrained(folder)
    pieces = ["<pad>", "</s>", "<unk>", *_LETTERS]
    tokenizer = Tokenizer(models.Unigram([(piece, -1.0) for piece in pieces], unk_id=2))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", pieces.index("</s>"))]
    )
    tokenizer_folder.mkdir(parents=True)
    tokenizer.save(str(tokenizer_folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "T5Tokenizer",
        "model_max_length": 512,
        "pad_token": "<pad>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "extra_ids": 0,
    }
    (tokenizer_folder / "tokenizer_config.json").write_text(json.dumps(settings))


def _write_qwen(folder: Path, tokenizer_folder: Path) -> None:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    config = Qwen3Config(
        vocab_size=len(letters) + len(special),
        hidden_size=_T5_WIDTH,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
    )
    Qwen3Model(config).save_pretrained(folder)
    vocabulary = {letter: index for index, letter in enumerate([*letters, *special])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    tokenizer_folder.mkdir(parents=True)
    tokenizer.save(str(tokenizer_folder / "tokenizer.json"))
    (tokenizer_folder / "vocab.json").write_text(json.dumps(vocabulary))
    (tokenizer_folder / "merges.txt").write_text("#version: 0.2\n")
    template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    settings = {
        "tokenizer_class": "Qwen2Tokenizer",
        "model_max_length": 4096,
        "pad_token": "<|endoftext|>",
        "eos_token": "<|im_end|>",
        "chat_template": template,
    }
    (tokenizer_folder / "tokenizer_config.json").write_text(json.dumps(settings))


def _write_sd3(folder: Path) -> None:
    SD3Transformer2DModel(
        sample_size=IMAGE_SIZE // 4,
        in_channels=LATENT,
        out_channels=LATENT,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=_T5_WIDTH,
        caption_projection_dim=16,
        pooled_projection_dim=2 * WIDTH,
        pos_embed_max_size=8,
    ).save_pretrained(folder / "transformer")
    for ending in ("", "_2"):
        CLIPTextModelWithProjection(text_config()).save_pretrained(folder / f"text_encoder{ending}")
        write_tokenizer(folder / f"tokenizer{ending}")
    _write_t5(folder / "text_encoder_3", folder / "tokenizer_3")


def _write_flux(folder: Path, *, guided: bool) -> None:
    FluxTransformer2DModel(
        in_channels=4 * LATENT,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=_T5_WIDTH,
        pooled_projection_dim=WIDTH,
        guidance_embeds=guided,
        axes_dims_rope=(4, 6, 6),
    ).save_pretrained(folder / "transformer")
    CLIPTextModel(text_config()).save_pretrained(folder / "text_encoder")
    write_tokenizer(folder / "tokenizer")
    _write_t5(folder / "text_encoder_2", folder / "tokenizer_2")


def _write_z_image(folder: Path) -> None:
    torch.manual_seed(3)
    net = ZImageTransformer2DModel(
        in_channels=LATENT,
        dim=32,
        n_layers=2,
        n_refiner_layers=1,
        n_heads=2,
        n_kv_heads=2,
        cap_feat_dim=_T5_WIDTH,
        axes_dims=[4, 6, 6],
        axes_lens=[640, 32, 32],
    )
    net.save_pretrained(folder / "transformer")
    _write_qwen(folder / "text_encoder", folder / "tokenizer")


_SCHEDULERS: dict[FlowName, dict[str, object]] = {
    "sd3": {"shift": 3.0},
    "flux": {"shift": 1.0, "use_dynamic_shifting": False},
    "flux_dev": {
        "shift": 3.0,
        "use_dynamic_shifting": True,
        "base_shift": 0.5,
        "max_shift": 1.15,
        "base_image_seq_len": 256,
        "max_image_seq_len": 4096,
    },
    "z_image": {"shift": 6.0, "use_dynamic_shifting": False},
}
_PIPELINES: dict[FlowName, str] = {
    "sd3": "StableDiffusion3Pipeline",
    "flux": "FluxPipeline",
    "flux_dev": "FluxPipeline",
    "z_image": "ZImagePipeline",
}


def write_flow(folder: Path, name: FlowName, *, seed: int = 0) -> Path:
    """A whole model folder."""
    torch.manual_seed(seed)
    match name:
        case "sd3":
            _write_sd3(folder)
        case "z_image":
            _write_z_image(folder)
        case _:
            _write_flux(folder, guided=name == "flux_dev")
    _vae().save_pretrained(folder / "vae")
    scheduler = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, **_SCHEDULERS[name]}
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))
    (folder / "model_index.json").write_text(json.dumps({"_class_name": _PIPELINES[name]}))
    return folder
