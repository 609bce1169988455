# SPDX-License-Identifier: Apache-2.0
"""Tiny LoRA files, learnt words and IP-Adapters with random weights, in the formats in which they are published."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from tests.pgc.guidance.conftest import WIDTH

__all__ = [
    "LAYERS",
    "SIDE",
    "Pairs",
    "kohya_name",
    "make_pairs",
    "write_encoder",
    "write_ip_adapter",
    "write_lora",
    "write_plus",
]

Pairs = Mapping[str, tuple[Tensor, Tensor]]
"""B and A by the layer's name in diffusers' model."""
LAYERS = (
    "attn1.to_q",
    "attn1.to_out.0",
    "attn2.to_k",
    "attn2.to_v",
    "ff.net.0.proj",
    "ff.net.2",
    "proj_in",
    "resnets.0.conv1",
    "resnets.0.time_emb_proj",
    "self_attn.q_proj",
    "mlp.fc1",
)
SIDE = 30
PICTURE = 24
"""Numbers that the tiny encoder makes of a picture."""


def make_pairs(
    parts: Mapping[str, nn.Module], *, rank: int = 2, seed: int = 0, layers: tuple[str, ...] = LAYERS
) -> Pairs:
    """A pair for each of these layers, by part and name."""
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, tuple[Tensor, Tensor]] = {}
    for part, whole in parts.items():
        for name, module in whole.named_modules():
            if not name.endswith(layers) or not isinstance(module, nn.Linear | nn.Conv2d):
                continue
            shape = tuple(module.weight.shape)
            tail = (1,) * (len(shape) - 2)
            found[f"{part}.{name}"] = (
                torch.randn((shape[0], rank, *tail), generator=generator) * 0.3,
                torch.randn((rank, *shape[1:]), generator=generator) * 0.3,
            )
    return found


def kohya_name(layer: str, *, xl: bool) -> str:
    """lora_unet_down_blocks_0_…, lora_te_text_model_encoder_…"""
    part, _, name = layer.partition(".")
    if part in ("unet", "transformer"):
        return f"lora_unet_{name.replace('.', '_')}"
    reader = {"text_encoder": "te1" if xl else "te", "text_encoder_2": "te2"}[part]
    return f"lora_{reader}_text_model_{name.removeprefix('text_model.').replace('.', '_')}"


def write_lora(
    path: Path, pairs: Pairs, name: Callable[[str], tuple[str, str]], *, alpha: float | None = None, **header: Any
) -> Path:
    """A file with these layers; `name` gives the names of A and B, and alpha stands beside them in kohya's way."""
    tensors: dict[str, Tensor] = {}
    for layer, (up, down) in pairs.items():
        names = name(layer)
        tensors[names[0]], tensors[names[1]] = down.clone(), up.clone()
        if alpha is not None:
            tensors[f"{names[0].split('.lora_')[0]}.alpha"] = torch.tensor(alpha)
    metadata = {"lora_adapter_metadata": json.dumps(header)} if header else None
    save_file(tensors, path, metadata=metadata)
    return path


def write_encoder(folder: Path, *, projection: int = PICTURE, seed: int = 0) -> Path:
    """A tiny CLIP that sees pictures."""
    torch.manual_seed(seed)
    config = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=10,
        projection_dim=projection,
    )
    CLIPVisionModelWithProjection(config).save_pretrained(folder)
    return folder


def _attention(unet: Any, generator: torch.Generator) -> dict[str, Tensor]:
    """The layers of cross-attention, numbered as the official code does it."""
    found: dict[str, Tensor] = {}
    for index, name in enumerate(unet.attn_processors):
        if name.endswith("attn2.processor"):
            shape = unet.get_submodule(name.removesuffix(".processor")).to_k.weight.shape
            for kind in ("to_k_ip", "to_v_ip"):
                found[f"ip_adapter.{index}.{kind}.weight"] = torch.randn(shape, generator=generator) * 0.3
    return found


def write_ip_adapter(path: Path, unet: Any, *, seed: int = 0, picture: int = PICTURE) -> Path:
    """The plain one: four tokens of a picture's vector. Its encoder goes to image_encoder beside it."""
    generator = torch.Generator().manual_seed(seed)
    width = int(unet.config["cross_attention_dim"])
    tensors = {
        "image_proj.proj.weight": torch.randn(4 * width, picture, generator=generator) * 0.3,
        "image_proj.proj.bias": torch.randn(4 * width, generator=generator) * 0.3,
        "image_proj.norm.weight": torch.ones(width),
        "image_proj.norm.bias": torch.zeros(width),
        **_attention(unet, generator),
    }
    save_file(tensors, path)
    return path


def write_plus(path: Path, unet: Any, *, seed: int = 0) -> Path:
    """IP-Adapter Plus: a resampler of the encoder's patches, under the names of the official code."""
    generator = torch.Generator().manual_seed(seed)
    width, inner, hidden = int(unet.config["cross_attention_dim"]), 64, 64

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator) * 0.3

    tensors = {
        "image_proj.latents": random(1, 5, hidden),
        "image_proj.proj_in.weight": random(hidden, WIDTH),
        "image_proj.proj_in.bias": random(hidden),
        "image_proj.proj_out.weight": random(width, hidden),
        "image_proj.proj_out.bias": random(width),
        "image_proj.norm_out.weight": torch.ones(width),
        "image_proj.norm_out.bias": torch.zeros(width),
        **_attention(unet, generator),
    }
    for layer in range(4):
        attention, forward = f"image_proj.layers.{layer}.0", f"image_proj.layers.{layer}.1"
        for norm in (f"{attention}.norm1", f"{attention}.norm2", f"{forward}.0"):
            tensors |= {f"{norm}.weight": torch.ones(hidden), f"{norm}.bias": torch.zeros(hidden)}
        tensors[f"{attention}.to_q.weight"] = random(inner, hidden)
        tensors[f"{attention}.to_kv.weight"] = random(2 * inner, hidden)
        tensors[f"{attention}.to_out.weight"] = random(hidden, inner)
        tensors[f"{forward}.1.weight"] = random(4 * hidden, hidden)
        tensors[f"{forward}.3.weight"] = random(hidden, 4 * hidden)
    save_file(tensors, path)
    return path
