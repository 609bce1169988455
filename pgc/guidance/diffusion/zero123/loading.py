# SPDX-License-Identifier: Apache-2.0
"""A Zero123 from a folder or the hub's cache.

Two conversions of the original weights to the diffusers format are published. They differ in the name of the folder
with the linear layer that takes picture and camera together, and in the layer's own name; all else is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers import CLIPVisionModelWithProjection

from pgc.errors import GuidanceError
from pgc.guidance.diffusion.latent_diffusion_config import weights_dtypes
from pgc.guidance.diffusion.loading import (
    AutoencoderKL,
    UNet2DConditionModel,
    check_latents,
    freeze,
    read_model,
    read_scheduler,
)
from pgc.guidance.diffusion.noise_schedule import noise_schedule
from pgc.guidance.diffusion.zero123.guidance import TOLD, Zero123Guidance, Zero123Parts
from pgc.guidance.diffusion.zero123.specs import Zero123Spec
from pgc.guidance.sources import locate, weights_variant, zero123_folder, zero123_parts

__all__ = ["load_zero123"]

_LAYERS: Mapping[str, str] = {"clip_camera_projection": "proj", "cc_projection": "projection"}
"""The linear layer's name in each folder's file."""


def load_zero123(spec: Zero123Spec, device: torch.device, *, cache_dir: Path | None = None) -> Zero123Guidance:
    """Loads a Zero123, ready to use on this device.

    Raises:
        GuidanceError: its files are missing, no safetensors, or not those of a Zero123; the message says what to do.
        ConfigError: a setting that this device cannot fulfil.
    """
    dtype, vae_dtype = weights_dtypes(spec.run, device)
    projection = zero123_folder(spec.source, cache_dir=cache_dir)
    folder = locate(spec.source, zero123_parts(projection), cache_dir=cache_dir)
    schedule = noise_schedule(read_scheduler(folder / "scheduler"), spec.source)
    vae = read_model(AutoencoderKL, folder / "vae", vae_dtype)
    check_latents(vae, spec.source)
    parts = Zero123Parts(
        vae=freeze(vae, device, vae_dtype),
        unet=freeze(read_model(UNet2DConditionModel, folder / "unet", dtype), device),
        image_encoder=freeze(read_model(CLIPVisionModelWithProjection, folder / "image_encoder", dtype), device),
        projection=freeze(_read_projection(folder / projection, _LAYERS[projection]), device, dtype),
        alphas_cumprod=schedule.alphas_cumprod.to(device),
        prediction_type=schedule.prediction_type,
    )
    _check_widths(parts, spec.source)
    return Zero123Guidance(spec.source, parts, config=spec.run, device=device)


def _read_projection(folder: Path, layer: str) -> nn.Linear:
    variant = weights_variant(folder, half=False)
    path = folder / ("diffusion_pytorch_model" + (f".{variant}" if variant else "") + ".safetensors")
    try:
        tensors = load_file(str(path))
    except (SafetensorError, OSError) as error:
        raise GuidanceError(f"{path} cannot be read as safetensors ({error}); download it again.") from error
    weight, bias = tensors.get(f"{layer}.weight"), tensors.get(f"{layer}.bias")
    if weight is None or bias is None or weight.ndim != 2:
        raise GuidanceError(
            f"{path} holds {', '.join(sorted(tensors)) or 'nothing'}; expected {layer}.weight and {layer}.bias."
        )
    linear = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        linear.weight.copy_(weight)
        linear.bias.copy_(bias)
    return linear


def _check_widths(parts: Zero123Parts, source: str) -> None:
    """Raises GuidanceError where the parts are not those of one Zero123."""
    seen = int(parts.image_encoder.config.projection_dim)
    wanted = {
        "its UNet takes": (int(parts.unet.config["in_channels"]), 2 * int(parts.vae.config["latent_channels"])),
        "its camera layer takes": (parts.projection.in_features, seen + TOLD),
        "its camera layer gives": (parts.projection.out_features, int(parts.unet.config["cross_attention_dim"])),
    }
    for what, (found, expected) in wanted.items():
        if found != expected:
            raise GuidanceError(
                f"{source} is no Zero123: {what} {found} channels; expected {expected}. Take one in the layout of "
                "bennyguo/zero123-xl-diffusers."
            )
