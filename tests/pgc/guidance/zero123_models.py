# SPDX-License-Identifier: Apache-2.0
"""A tiny Zero123 with random weights, in the two layouts that conversions of it are published in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from tests.pgc.guidance.conftest import IMAGE_SIZE, WIDTH, tiny_vae, write_scheduler

Layout = Literal["Zero123Pipeline", "Zero1to3StableDiffusionPipeline"]
LAYOUTS: tuple[Layout, ...] = ("Zero123Pipeline", "Zero1to3StableDiffusionPipeline")


def write_zero123(folder: Path, layout: Layout = "Zero123Pipeline", *, seed: int = 0) -> Path:
    """Eight channels into the UNet, a CLIP that sees, and the camera's layer under the layout's names."""
    torch.manual_seed(seed)
    UNet2DConditionModel(
        sample_size=IMAGE_SIZE // 4,
        in_channels=8,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
    ).save_pretrained(folder / "unet")
    tiny_vae().save_pretrained(folder / "vae")
    seeing = CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        projection_dim=WIDTH,
    )
    CLIPVisionModelWithProjection(seeing).save_pretrained(folder / "image_encoder")
    write_scheduler(folder / "scheduler", "epsilon")
    first = layout == "Zero123Pipeline"
    name, layer, kind = (
        ("clip_camera_projection", "proj", "CLIPCameraProjection")
        if first
        else ("cc_projection", "projection", "CCProjection")
    )
    linear = nn.Linear(WIDTH + 4, WIDTH)
    (folder / name).mkdir()
    save_file(
        {f"{layer}.{key}": value.detach() for key, value in (("weight", linear.weight), ("bias", linear.bias))},
        folder / name / "diffusion_pytorch_model.safetensors",
    )
    sizes = {"embedding_dim": WIDTH, "additional_embeddings": 4} if first else {}
    (folder / name / "config.json").write_text(json.dumps({"_class_name": kind, **sizes}))
    index = {
        "_class_name": layout,
        "_diffusers_version": "0.18.2",
        name: ["zero123" if first else "pipeline_zero1to3", kind],
        "feature_extractor": ["transformers", "CLIPImageProcessor"],
        "image_encoder": ["transformers", "CLIPVisionModelWithProjection"],
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder
