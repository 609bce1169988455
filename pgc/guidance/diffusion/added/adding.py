# SPDX-License-Identifier: Apache-2.0
"""Puts what is added to a model into its freshly loaded parts, which no other run shares."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import CLIPVisionModelWithProjection

from pgc.errors import GuidanceError
from pgc.guidance.diffusion.added.embedding_files import learn_words
from pgc.guidance.diffusion.added.lora_files import merge_loras
from pgc.guidance.diffusion.added.specs import AddedFiles, IpAdapterSpec
from pgc.guidance.diffusion.ip_adapter import IpAdapter, set_adapter_scale
from pgc.guidance.diffusion.loading import Components, UNet2DConditionModel, freeze, read_model
from pgc.guidance.diffusion.memory.waiting import place_of_weights

__all__ = ["with_added"]


def with_added(parts: Components, added: AddedFiles, device: torch.device) -> Components:
    """Returns the model with LoRAs merged, words learnt and an IP-Adapter in its UNet. The parts are changed in place.

    Raises:
        GuidanceError: a file cannot be read, or was made for another model.
    """
    merge_loras(added.loras, parts.unet, parts.text_encoders)
    tokenizers = learn_words(added.embeddings, parts.text_encoders, parts.tokenizers)
    if added.ip_adapter is None:
        return replace(parts, tokenizers=tuple(tokenizers))
    adapter = _load_ip_adapter(added.ip_adapter, parts.unet, device)
    return replace(parts, tokenizers=tuple(tokenizers), ip_adapter=adapter)


def _load_ip_adapter(spec: IpAdapterSpec, unet: UNet2DConditionModel, device: torch.device) -> IpAdapter:
    encoder = read_model(CLIPVisionModelWithProjection, Path(spec.image_encoder), unet.dtype)
    encoder = freeze(encoder, place_of_weights(device, waits=True))
    try:
        tensors = load_file(spec.path)
        parts: dict[str, dict[str, Any]] = {"image_proj": {}, "ip_adapter": {}}
        for name, value in tensors.items():
            part, _, inner = name.partition(".")
            parts[part][inner] = value
            if not value.float().isfinite().all():
                raise ValueError(f"{name} has values that are not finite")
        # Of diffusers, though its name is private: what its pipelines' load_ip_adapter calls.
        load: Any = unet._load_ip_adapter_weights
        load([parts], low_cpu_mem_usage=False)
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise GuidanceError(
            f"{spec.path} does not fit this model ({reason[:200]}); expected an IP-Adapter for the same base model."
        ) from error
    freeze(unet, unet.device)
    set_adapter_scale(unet, spec.scale)
    return IpAdapter(encoder, device, reads_patches="latents" in parts["image_proj"])
