# SPDX-License-Identifier: Apache-2.0
"""LoRA files, merged into a model's weights as it is loaded: W + s·(alpha/r)·B·A (Hu et al., "LoRA", ICLR 2022).

A step then costs what it did before. Names are brought to diffusers' by its own loaders; PEFT, which these want for
wrapping layers, is not needed for adding a product once. Sums are taken in float32, whatever the weights' precision.
A LoRA must fit in full: one that only finds some of its layers was made for another model.
"""

# diffusers exports its loaders lazily, which type checkers take for private.
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.loaders.lora_pipeline import (
    FluxLoraLoaderMixin,
    SD3LoraLoaderMixin,
    StableDiffusionLoraLoaderMixin,
    ZImageLoraLoaderMixin,
)
from diffusers.utils.state_dict_utils import (
    StateDictType,
    convert_state_dict_to_peft,
    convert_unet_state_dict_to_peft,
)
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from pgc.errors import GuidanceError
from pgc.guidance.diffusion.added.specs import FlowName, LoraSpec

__all__ = ["merge_loras"]

_METADATA = "lora_adapter_metadata"
"""Under which diffusers keeps a LoRA's rank and alpha in a file's header."""
_DOWN, _UP, _ALPHA = ".lora_A.weight", ".lora_B.weight", ".alpha"


def merge_loras(
    loras: Sequence[LoraSpec],
    network: nn.Module,
    text_encoders: Sequence[nn.Module],
    *,
    flow: FlowName | None = None,
) -> None:
    """Adds LoRA files to the weights, one after the other.

    Args:
        loras: which, and how strongly.
        network: UNet or transformer.
        text_encoders: those of CLIP, in their order.
        flow: which flow model it is; None: Stable Diffusion or SDXL.

    Raises:
        GuidanceError: a file cannot be read, is no LoRA, or is one for another model.
    """
    parts = {"transformer" if flow else "unet": network}
    parts |= {f"text_encoder{f'_{index}' if index > 1 else ''}": one for index, one in enumerate(text_encoders, 1)}
    modules = {f"{part}.{name}": module for part, whole in parts.items() for name, module in whole.named_modules()}
    for lora in loras:
        layers = _read(Path(lora.path), network, flow)
        # All are looked at before one is changed.
        changes = [(_module(modules, name, layer, lora), layer) for name, layer in layers.items()]
        for module, layer in changes:
            _add(module, layer, lora.scale)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Layer:
    down: Tensor
    up: Tensor
    factor: float
    """What their product counts, but for the scale that a person gave."""


def _read(path: Path, network: Any, flow: FlowName | None) -> dict[str, _Layer]:  # noqa: ANN401 - UNet or transformer
    """The layers of a file, by their names in diffusers' models, with the part's name in front."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in tuple(file.keys())}
        named = _named(_with_part(tensors, "transformer" if flow else "unet"), network, flow)
        return _layers(named, json.loads(metadata.get(_METADATA, "{}")))
    except (OSError, SafetensorError, ValueError, KeyError, AttributeError, IndexError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise GuidanceError(
            f"{path} cannot be read as a LoRA for this model ({reason[:200]}); expected one for the same base model, "
            "in kohya's or diffusers' names."
        ) from error


def _with_part(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    """Old files of diffusers name the network's layers alone."""
    bare = ("down_blocks.", "mid_block.", "up_blocks.", "transformer_blocks.", "single_transformer_blocks.")
    return {f"{part}.{name}" if name.startswith(bare) else name: value for name, value in tensors.items()}


def _named(tensors: dict[str, Tensor], network: Any, flow: FlowName | None) -> dict[str, Tensor]:  # noqa: ANN401
    """The same tensors under diffusers' names, with PEFT's endings."""
    # Their annotations do not say which of several things they return.
    stable: Any = StableDiffusionLoraLoaderMixin
    flux: Any = FluxLoraLoaderMixin
    sd3: Any = SD3LoraLoaderMixin
    z_image: Any = ZImageLoraLoaderMixin
    found: dict[str, Tensor]
    match flow:
        case None:
            # Before names are changed: alphas get names of their own there.
            found, _ = stable.lora_state_dict(_scaled(tensors), unet_config=network.config)
        case "flux":
            found, alphas = flux.lora_state_dict(tensors, return_alphas=True)
            found = {**found, **(alphas or {})}
        case "sd3":
            found = sd3.lora_state_dict(tensors)
        case "z_image":
            found = z_image.lora_state_dict(tensors)
    text = {name: value for name, value in found.items() if name.startswith("text_encoder")}
    rest = {name: value for name, value in found.items() if name not in text}
    # Both older ways of naming, one after the other: left to itself, it guesses by a layer that a file may not have.
    for way in (StateDictType.DIFFUSERS_OLD, StateDictType.DIFFUSERS):
        text = convert_state_dict_to_peft(text, way)
    return {**convert_unet_state_dict_to_peft(rest), **text}


def _scaled(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Takes kohya's alphas into its matrices."""
    found = dict(tensors)
    for name in [name for name in tensors if name.endswith(_ALPHA)]:
        layer = name.removesuffix(_ALPHA)
        down, up = f"{layer}.lora_down.weight", f"{layer}.lora_up.weight"
        if down in found and up in found:
            found[up] = found[up].float() * (float(found.pop(name)) / len(found[down]))
    return found


def _layers(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> dict[str, _Layer]:
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        ending = next((ending for ending in (_DOWN, _UP, _ALPHA) if name.endswith(ending)), None)
        if ending is None:
            raise ValueError(f"{name} is no part of a LoRA")
        parts.setdefault(name.removesuffix(ending), {})[ending] = values = value.float()
        if not values.isfinite().all():
            raise ValueError(f"{name} has values that are not finite")
    if not parts:
        raise ValueError("it has no layers")
    return {name: _layer(name, found, metadata) for name, found in parts.items()}


def _layer(name: str, found: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> _Layer:
    if _DOWN not in found or _UP not in found:
        raise ValueError(f"{name} has only one of its two matrices")
    rank = len(found[_DOWN])
    alpha = float(found[_ALPHA]) if _ALPHA in found else _told_alpha(name, metadata, rank)
    return _Layer(down=found[_DOWN], up=found[_UP], factor=1.0 if alpha is None else alpha / rank)


def _told_alpha(name: str, metadata: Mapping[str, Any], rank: int) -> float | None:
    """What diffusers wrote into the header; None: nothing, where alpha is the rank."""
    part, _, module = name.partition(".")
    patterns = metadata.get(f"{part}.alpha_pattern") or {}
    alpha = next((patterns[key] for key in patterns if module == key or module.endswith(f".{key}")), None)
    alpha = metadata.get(f"{part}.lora_alpha") if alpha is None else alpha
    if metadata.get(f"{part}.use_dora"):
        raise ValueError("it is a DoRA")
    if alpha is not None and metadata.get(f"{part}.use_rslora"):
        return float(alpha) * math.sqrt(rank)
    return None if alpha is None else float(alpha)


def _module(modules: Mapping[str, nn.Module], name: str, layer: _Layer, lora: LoraSpec) -> nn.Linear | nn.Conv2d:
    """The layer of the model that is to be changed."""
    part, _, inner = name.partition(".")
    # Newer versions of transformers have no "text_model" in between.
    names = (name, f"{part}.{inner.removeprefix('text_model.')}", f"{part}.text_model.{inner}")
    module = next((modules[one] for one in names if one in modules), None)
    if not isinstance(module, nn.Linear | nn.Conv2d):
        raise GuidanceError(
            f"{lora.path} changes {name}, which this model does not have; expected a LoRA for the same base model."
        )
    made, wanted = (*layer.up.shape[:1], *layer.down.shape[1:]), tuple(module.weight.shape)
    # A projection is stored as a matrix, or as a convolution of one pixel.
    if layer.up.shape[1] != len(layer.down) or _bare(made) != _bare(wanted):
        raise GuidanceError(
            f"{lora.path} was made for another model: its layer {name} is {_spelled(made)}, the model's "
            f"{_spelled(wanted)}. Give a LoRA for the same base model."
        )
    return module


def _bare(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:2] if shape[2:] in ((), (1, 1)) else shape


def _spelled(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


@torch.no_grad()
def _add(module: nn.Linear | nn.Conv2d, layer: _Layer, scale: float) -> None:
    weight = module.weight
    product = layer.up.to(weight.device).flatten(1) @ layer.down.to(weight.device).flatten(1)
    weight.copy_((weight.float() + scale * layer.factor * product.view(weight.shape)).to(weight.dtype))
