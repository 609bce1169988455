# SPDX-License-Identifier: Apache-2.0
"""Loading through diffusers: what comes out is what was saved, from a folder or from one file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers.utils import logging as diffusers_logging
from safetensors.torch import load_file, save_file

from pgc.errors import GuidanceError
from pgc.guidance.diffusion.loading import load_components, load_controlnet, load_vae

CPU = torch.device("cpu")

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}


def to_original_unet(key: str) -> str:
    """The name of a UNet's tensor in the original format, for two blocks of one layer each."""
    parts = key.split(".")
    heads = {"conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2"}
    if parts[0] in heads:
        return ".".join([heads[parts[0]], *parts[1:]])
    if parts[0] == "time_embedding":
        return f"time_embed.{0 if parts[1] == 'linear_1' else 2}.{parts[2]}"
    if parts[0] == "mid_block":
        slot = {("resnets", "0"): 0, ("attentions", "0"): 1, ("resnets", "1"): 2}[parts[1], parts[2]]
        where, rest = f"middle_block.{slot}", parts[3:]
    else:
        down, block, kind, layer = parts[0] == "down_blocks", int(parts[1]), parts[2], int(parts[3])
        rest = parts[4:]
        if kind == "downsamplers":
            return ".".join([f"input_blocks.{2 * (block + 1)}.0.op", *rest[1:]])
        if kind == "upsamplers":
            return ".".join([f"output_blocks.{2 * block + 1}.1.conv", *rest[1:]])
        number = 2 * block + layer + (1 if down else 0)
        where = f"{'input' if down else 'output'}_blocks.{number}.{1 if kind == 'attentions' else 0}"
    return ".".join([where, RESNET.get(rest[0], rest[0]), *rest[1:]])


def to_original_vae(key: str) -> str:
    """Likewise for an autoencoder of three blocks of one layer; `up` counts backwards there."""
    parts = key.split(".")
    if len(parts) < 3 or parts[1] not in ("down_blocks", "up_blocks", "mid_block"):
        return key.replace("conv_norm_out", "norm_out")
    side, section, rest = parts[0], parts[1], parts[2:]
    if section == "mid_block":
        if rest[0] == "resnets":
            return ".".join([side, "mid", f"block_{int(rest[1]) + 1}", *rest[2:]]).replace(
                "conv_shortcut", "nin_shortcut"
            )
        names = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out": "proj_out"}
        return ".".join([side, "mid", "attn_1", names[rest[2]], rest[-1]])
    level = int(rest[0]) if section == "down_blocks" else 2 - int(rest[0])
    direction = section.removesuffix("_blocks")
    if rest[1] == "resnets":
        return ".".join([side, direction, str(level), "block", *rest[2:]]).replace("conv_shortcut", "nin_shortcut")
    return ".".join([side, direction, str(level), rest[1].removesuffix("rs").replace("sample", "sample"), *rest[3:]])


def write_single_file(folder: Path, path: Path) -> None:
    tensors: dict[str, torch.Tensor] = {}
    for key, value in load_file(folder / "unet" / "diffusion_pytorch_model.safetensors").items():
        tensors["model.diffusion_model." + to_original_unet(key)] = value
    for key, value in load_file(folder / "vae" / "diffusion_pytorch_model.safetensors").items():
        name = to_original_vae(key)
        # The original format stores the attention's linear layers as 1×1 convolutions.
        linear = ".attn_1." in name and name.endswith("weight") and ".norm." not in name
        tensors["first_stage_model." + name] = value[:, :, None, None].contiguous() if linear else value
    for key, value in load_file(folder / "text_encoder" / "model.safetensors").items():
        prefix = "" if key.startswith("text_model.") else "text_model."
        tensors["cond_stage_model.transformer." + prefix + key] = value
    save_file(tensors, path)


@pytest.mark.slow
def test_single_file_equals_the_folder_it_was_made_of(sd15_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    write_single_file(sd15_folder, path)
    whole = load_components(str(sd15_folder), xl=False, dtype=torch.float32, device=CPU)
    single = load_components(str(path), xl=False, dtype=torch.float32, device=CPU, config=str(sd15_folder))
    for a, b in ((whole.unet, single.unet), (whole.vae, single.vae), (whole.text_encoders[0], single.text_encoders[0])):
        expected, got = a.state_dict(), b.state_dict()
        assert expected.keys() == got.keys()
        for name, value in expected.items():
            assert torch.equal(value, got[name]), name
    assert torch.equal(whole.alphas_cumprod, single.alphas_cumprod)
    prompt = ["a red cube"]
    assert single.tokenizers[0](prompt).input_ids == whole.tokenizers[0](prompt).input_ids


def test_single_file_of_the_other_family_is_refused(sd15_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "xl.safetensors"
    save_file({"conditioner.embedders.1.model.ln_final.weight": torch.zeros(1)}, path)
    with pytest.raises(GuidanceError, match="a checkpoint of sdxl, but was to be loaded as Stable Diffusion"):
        load_components(str(path), xl=False, dtype=torch.float32, device=CPU, config=str(sd15_folder))


def test_broken_single_file_is_one_sentence(sd15_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "lacking.safetensors"
    save_file({"cond_stage_model.transformer.text_model.final_layer_norm.weight": torch.zeros(1)}, path)
    with pytest.raises(GuidanceError, match=r"lacking\.safetensors could not be loaded"):
        load_components(str(path), xl=False, dtype=torch.float32, device=CPU, config=str(sd15_folder))


def test_single_file_needs_its_settings(sd15_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    path = tmp_path / "tiny.safetensors"
    write_single_file(sd15_folder, path)
    with pytest.raises(GuidanceError, match="pgc models pull stable-diffusion-v1-5/stable-diffusion-v1-5"):
        load_components(str(path), xl=False, dtype=torch.float32, device=CPU, cache_dir=tmp_path)


@pytest.mark.slow
def test_sdxl_has_two_of_each(sdxl_folder: Path) -> None:
    parts = load_components(str(sdxl_folder), xl=True, dtype=torch.float32, device=CPU)
    assert len(parts.text_encoders) == len(parts.tokenizers) == 2
    assert type(parts.text_encoders[1]).__name__ == "CLIPTextModelWithProjection"


@pytest.mark.slow
def test_weights_come_in_the_precision_asked_for(sd15_folder: Path) -> None:
    parts = load_components(str(sd15_folder), xl=False, dtype=torch.bfloat16, device=CPU)
    net = load_controlnet(str(sd15_folder / "controlnet"), dtype=torch.bfloat16, device=CPU)
    vae = load_vae(str(sd15_folder / "vae"), dtype=torch.bfloat16, device=CPU)
    for part in (parts.unet, parts.vae, parts.text_encoders[0], net, vae):
        assert next(part.parameters()).dtype == torch.bfloat16
        assert not any(parameter.requires_grad for parameter in part.parameters())
    assert parts.alphas_cumprod.dtype == torch.float32


def test_damaged_weights_are_one_sentence(sd15_folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(sd15_folder, model)
    weights = model / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(GuidanceError, match="vae could not be loaded"):
        load_components(str(model), xl=False, dtype=torch.float32, device=CPU)


def test_unknown_prediction_type_is_refused(sd15_folder: Path, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(sd15_folder, model)
    path = model / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"prediction_type": "flow"}))
    with pytest.raises(GuidanceError, match="predicts 'flow'"):
        load_components(str(model), xl=False, dtype=torch.float32, device=CPU)


def test_progress_bars_are_put_back(sd15_folder: Path) -> None:
    diffusers_logging.enable_progress_bar()
    load_vae(str(sd15_folder / "vae"), dtype=torch.float32, device=CPU)
    assert diffusers_logging.is_progress_bar_enabled()
