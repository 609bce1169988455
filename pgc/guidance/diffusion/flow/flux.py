# SPDX-License-Identifier: Apache-2.0
"""FLUX.1 dev and schnell (Black Forest Labs, 2024): no paper; the network is that of diffusers.

FLUX.1-dev was distilled from its own guidance: it is told a scale as a number (`embedded_guidance`) and answers as if
guided by it. The usual guidance of the losses goes on top, with an encoded negative prompt. Such models are said to be
weaker teachers than ones that were not distilled.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from pgc.errors import GuidanceError
from pgc.guidance.base import PredictionType, PromptEmbedding
from pgc.guidance.diffusion.flow.flow_diffusion import FlowDiffusion
from pgc.guidance.diffusion.flow.parts import FlowParts
from pgc.guidance.diffusion.flow.reading import OneWindow, fits_length, t5_states
from pgc.guidance.diffusion.latent_diffusion import tokenize
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.diffusion.through_model import ThroughModel

__all__ = ["FluxGuidance", "packed", "unpacked"]

_NATIVE_SIZE = 1024


def packed(latents: Float[Tensor, "b k m n"]) -> Float[Tensor, "b tokens d"]:
    """Makes a token of each square of two by two latent pixels, row by row; channel first within a token."""
    rows, channels, height, width = latents.shape
    squares = latents.reshape(rows, channels, height // 2, 2, width // 2, 2).permute(0, 2, 4, 1, 3, 5)
    return squares.reshape(rows, height // 2 * (width // 2), 4 * channels)


def unpacked(tokens: Float[Tensor, "b tokens d"], height: int, width: int) -> Float[Tensor, "b k m n"]:
    """Undoes `packed` for latents of this height and width."""
    rows, _, depth = tokens.shape
    squares = tokens.reshape(rows, height // 2, width // 2, depth // 4, 2, 2).permute(0, 3, 1, 4, 2, 5)
    return squares.reshape(rows, depth // 4, height, width)


class FluxGuidance(ThroughModel[FlowDiffusion]):
    """`pgc.guidance.base.Guidance` with CLIP's one vector and T5's words."""

    def __init__(
        self,
        name: str,
        parts: FlowParts,
        *,
        t5_length: int,
        embedded_guidance: float,
        config: LatentDiffusionConfig,
        device: torch.device,
    ) -> None:
        self.name = name
        self.device = device
        self._parts = parts
        self._t5_length = t5_length
        self._embedded_guidance = embedded_guidance if parts.transformer.config["guidance_embeds"] else None
        self._model = FlowDiffusion(parts, self._velocity, native_size=_NATIVE_SIZE, config=config, device=device)
        self.dtype = self._model.dtype
        self.image_size = self._model.image_size
        self.alphas_cumprod = self._model.alphas_cumprod
        self.prediction_type: PredictionType = self._model.prediction_type
        self._clip = OneWindow.of(parts.tokenizers[:1])
        self._t5 = OneWindow(fits_length(parts.tokenizers[1], t5_length))

    def retuned(self, config: LatentDiffusionConfig, *, t5_length: int, embedded_guidance: float) -> FluxGuidance:
        """Returns the same weights under other settings (`pgc.guidance.retuning`)."""
        self._model.end_training()
        return FluxGuidance(
            self.name,
            self._parts,
            t5_length=t5_length,
            embedded_guidance=embedded_guidance,
            config=config,
            device=self.device,
        )

    def encode_prompt(self, prompts: Sequence[str], *, negative: bool = False) -> PromptEmbedding:
        """Encodes as `Guidance.encode_prompt` says: T5's states, and CLIP's one vector.

        The empty prompt is encoded like any other.
        """
        return self._parts.encoded(prompts, self._encode, self._t5_length)

    def left_out(self, prompt: str, *, negative: bool = False) -> tuple[str, ...]:
        """Returns what `LimitedReader.left_out` says: what T5 does not read."""
        return self._t5.fitted(prompt).left_out

    def unknown_words(self, prompt: str) -> tuple[str, ...]:
        """Returns none: its tokens spell any word."""
        return ()

    @torch.no_grad()
    def _encode(self, prompts: Sequence[str]) -> PromptEmbedding:
        clip, t5 = self._parts.text_encoders
        short, long = self._parts.tokenizers
        pooled = clip(tokenize(short, self._clip.texts(prompts)).to(self.device)).pooler_output
        states = t5_states(t5, long, self._t5.texts(prompts), self._t5_length, self.device)
        return PromptEmbedding(hidden_states=states, pooled=pooled)

    def _velocity(self, state: Tensor, sigma: Tensor, prompt: PromptEmbedding) -> Tensor:
        if prompt.pooled is None:
            raise GuidanceError(f"{self.name} needs pooled prompt embeddings; encode prompts with the same guidance.")
        height, width = state.shape[2:]
        words = prompt.hidden_states.to(self.dtype)
        row, column = torch.meshgrid(torch.arange(height // 2), torch.arange(width // 2), indexing="ij")
        places = torch.stack([torch.zeros_like(row), row, column], dim=-1).reshape(-1, 3)
        told = None
        if self._embedded_guidance is not None:
            told = torch.full((len(state),), self._embedded_guidance, device=self.device)
        said = self._parts.transformer(
            hidden_states=packed(state),
            timestep=sigma,
            guidance=told,
            encoder_hidden_states=words,
            pooled_projections=prompt.pooled.to(self.dtype),
            img_ids=places.to(device=self.device, dtype=self.dtype),
            txt_ids=torch.zeros(words.shape[1], 3, device=self.device, dtype=self.dtype),
            return_dict=False,
        )[0]
        return unpacked(said, height, width)
