# SPDX-License-Identifier: Apache-2.0
"""The parts of a flow model, from a folder in the diffusers format or from a hub id that has been pulled.

No loader here runs code that comes with a model: each class is named in this file, and weights are safetensors.
"""

# diffusers exports its models lazily, which type checkers take for private.
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel
from diffusers.models.transformers.transformer_z_image import ZImageTransformer2DModel
from transformers import (
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Qwen2Tokenizer,
    Qwen3Model,
    T5EncoderModel,
    T5Tokenizer,
)

from pgc.errors import GuidanceError
from pgc.guidance.base import PromptEmbedding
from pgc.guidance.diffusion.loading import check_latents, freeze, read_model, read_scheduler, read_tokenizer
from pgc.guidance.diffusion.memory.waiting import place_of_weights
from pgc.guidance.diffusion.words.late import LateEncoder
from pgc.guidance.diffusion.words.stored import StoredWords, fingerprint_of, reader_of
from pgc.guidance.sources import flow_parts, locate

__all__ = ["FlowKind", "FlowParts", "Readers", "load_flow_parts"]

FlowKind = Literal["sd3", "flux", "z_image"]
_TEXT = (
    ("text_encoder", "tokenizer"),
    ("text_encoder_2", "tokenizer_2"),
    ("text_encoder_3", "tokenizer_3"),
)
_READERS: Mapping[FlowKind, tuple[tuple[Any, Any], ...]] = {
    "sd3": (
        (CLIPTextModelWithProjection, CLIPTokenizer),
        (CLIPTextModelWithProjection, CLIPTokenizer),
        (T5EncoderModel, T5Tokenizer),
    ),
    "flux": ((CLIPTextModel, CLIPTokenizer), (T5EncoderModel, T5Tokenizer)),
    "z_image": ((Qwen3Model, Qwen2Tokenizer),),
}
_NETWORKS: Mapping[FlowKind, Any] = {
    "sd3": SD3Transformer2DModel,
    "flux": FluxTransformer2DModel,
    "z_image": ZImageTransformer2DModel,
}
_TIME_EMBEDDINGS: Mapping[FlowKind, str] = {
    "sd3": "time_text_embed.timestep_embedder",
    "flux": "time_text_embed.timestep_embedder",
    "z_image": "t_embedder",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Readers:
    """Which text encoders a model is loaded with, and how."""

    most: int | None = None
    """How many, in their order; None: all."""
    words: Path | None = None
    """Folder of prompts that were encoded before (`diffusion.words.stored`): encoders are loaded when one is new."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FlowParts:
    """The parts of a flow model, frozen and in evaluation mode."""

    source: str
    vae: AutoencoderKL
    transformer: Any
    time_embedding: str
    """Which part of the transformer embeds the time."""
    text_encoders: tuple[Any, ...]
    """Each may be a `LateEncoder` of one."""
    tokenizers: tuple[Any, ...]
    scheduler: Mapping[str, Any]
    """Settings of the sampler that it ships with (`noise_schedule`)."""
    words: StoredWords | None = None
    """Prompts that these encoders have read before."""

    def encoded(
        self, prompts: Sequence[str], encode: Callable[[Sequence[str]], PromptEmbedding], length: int
    ) -> PromptEmbedding:
        """Returns prompts as `encode` makes them of so many tokens, those aside that were stored before."""
        return encode(prompts) if self.words is None else self.words.encoded(prompts, encode, length=length)


def load_flow_parts(
    source: str,
    kind: FlowKind,
    *,
    dtypes: tuple[torch.dtype, torch.dtype],
    device: torch.device,
    readers: Readers | None = None,
    streamed: bool = False,
    cache_dir: Path | None = None,
) -> FlowParts:
    """Loads all parts of one flow model.

    Args:
        source: hub id, or folder in the diffusers format.
        kind: which class of model.
        dtypes: of transformer and text encoders, and of the autoencoder.
        device: where they work; text encoders wait in main memory (`pgc.guidance.diffusion.memory.waiting`).
        readers: which text encoders; None: all, loaded now.
        streamed: the transformer waits there too.
        cache_dir: huggingface_hub's cache, by default its own choice.

    Raises:
        GuidanceError: missing, not safetensors, or not a model of this kind.
    """
    if Path(source).is_file():
        raise GuidanceError(
            f"{source} is a single file; models of this kind are read from a folder in the diffusers format. Give that."
        )
    dtype, vae_dtype = dtypes
    readers = readers or Readers()
    classes = _READERS[kind][: readers.most]
    folder = locate(source, flow_parts(len(classes)), cache_dir=cache_dir)
    vae = read_model(AutoencoderKL, folder / "vae", vae_dtype)
    check_latents(vae, source)
    transformer = read_model(_NETWORKS[kind], folder / "transformer", dtype)
    _check_channels(kind, transformer, vae, source)
    named = list(zip(classes, _TEXT, strict=False))
    waits = place_of_weights(device, waits=True)

    def read(reader: Any, name: str) -> Callable[[], Any]:  # noqa: ANN401 - one of transformers' classes
        """Makes what loads a text encoder to where it waits."""
        return lambda: freeze(read_model(reader, folder / name, dtype), waits)

    encoders = [read(one, name) for (one, _), (name, _) in named]
    words = None
    if readers.words is not None:
        names = [part for _, both in named for part in both]
        about = {"dtype": dtype, "device": device, "settings": {"kind": kind}}
        reader = reader_of(fingerprint_of(folder, names, half=dtype != torch.float32), **about)
        words = StoredWords(readers.words, reader, device)
    return FlowParts(
        source=source,
        vae=freeze(vae, device),
        transformer=freeze(transformer, place_of_weights(device, waits=streamed)),
        time_embedding=_TIME_EMBEDDINGS[kind],
        text_encoders=tuple(load() if words is None else LateEncoder(load, device) for load in encoders),
        tokenizers=tuple(read_tokenizer(folder / name, one) for (_, one), (_, name) in named),
        scheduler=read_scheduler(folder / "scheduler"),
        words=words,
    )


def _check_channels(kind: FlowKind, transformer: Any, vae: AutoencoderKL, source: str) -> None:  # noqa: ANN401
    """Refuses models that are shown more than latents (inpainting, edges, depth as channels)."""
    channels = int(vae.config["latent_channels"])
    expected = 4 * channels if kind == "flux" else channels
    given = int(transformer.config["in_channels"])
    if given != expected:
        raise GuidanceError(
            f"{source}: its transformer takes {given} channels, its autoencoder gives {expected}; expected a model of "
            "text to image, not one for filling, edges or depth."
        )
