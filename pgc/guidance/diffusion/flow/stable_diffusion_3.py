# SPDX-License-Identifier: Apache-2.0
"""Stable Diffusion 3 and 3.5 (Esser et al., "Scaling Rectified Flow Transformers", ICML 2024)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pgc.errors import GuidanceError
from pgc.guidance.base import PredictionType, PromptEmbedding
from pgc.guidance.diffusion.autoencoder import latent_factor
from pgc.guidance.diffusion.flow.flow_diffusion import FlowDiffusion
from pgc.guidance.diffusion.flow.parts import FlowParts
from pgc.guidance.diffusion.flow.reading import OneWindow, fits_length, t5_states
from pgc.guidance.diffusion.latent_diffusion import tokenize
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.diffusion.through_model import ThroughModel

__all__ = ["StableDiffusion3Guidance"]


class StableDiffusion3Guidance(ThroughModel[FlowDiffusion]):
    """`pgc.guidance.base.Guidance` with two CLIP encoders and, unless it is left out, T5."""

    def __init__(
        self, name: str, parts: FlowParts, *, t5_length: int, config: LatentDiffusionConfig, device: torch.device
    ) -> None:
        self.name = name
        self.device = device
        self._parts = parts
        self._t5_length = t5_length
        factor = latent_factor(parts.vae)
        native = int(parts.transformer.config["sample_size"]) * factor
        self._model = FlowDiffusion(parts, self._velocity, native_size=native, config=config, device=device)
        self.dtype = self._model.dtype
        self.image_size = self._model.image_size
        most = (
            int(parts.transformer.config["pos_embed_max_size"]) * int(parts.transformer.config["patch_size"]) * factor
        )
        if self.image_size > most:
            raise GuidanceError(f"guidance.image_size is {self.image_size}; {name} knows places up to {most} pixels.")
        self.alphas_cumprod = self._model.alphas_cumprod
        self.prediction_type: PredictionType = self._model.prediction_type
        self._clip = OneWindow.of(parts.tokenizers[:2])
        has_t5 = len(parts.tokenizers) == 3
        self._t5 = OneWindow(fits_length(parts.tokenizers[2], t5_length)) if has_t5 else None

    def retuned(self, config: LatentDiffusionConfig, *, t5_length: int) -> StableDiffusion3Guidance:
        """Returns the same weights under other settings (`pgc.guidance.retuning`)."""
        self._model.end_training()
        return StableDiffusion3Guidance(self.name, self._parts, t5_length=t5_length, config=config, device=self.device)

    def encode_prompt(self, prompts: Sequence[str], *, negative: bool = False) -> PromptEmbedding:
        """Encodes as `Guidance.encode_prompt` says.

        The penultimate states of both CLIPs side by side, padded to T5's width, and behind them T5's; both projections
        of CLIP as one vector. Without T5 its states are zeros, as in training, where it was left out now and then. The
        empty prompt is encoded like any other.
        """
        return self._parts.encoded(prompts, self._encode, self._t5_length)

    def left_out(self, prompt: str, *, negative: bool = False) -> tuple[str, ...]:
        """Returns what `LimitedReader.left_out` says: what T5 does not read, or CLIP where there is no T5."""
        return (self._t5 or self._clip).fitted(prompt).left_out

    def unknown_words(self, prompt: str) -> tuple[str, ...]:
        """Returns none: its tokens spell any word."""
        return ()

    @torch.no_grad()
    def _encode(self, prompts: Sequence[str]) -> PromptEmbedding:
        short = self._clip.texts(prompts)
        states, pooled = list[Tensor](), list[Tensor]()
        for encoder, tokenizer in zip(self._parts.text_encoders[:2], self._parts.tokenizers[:2], strict=True):
            output = encoder(tokenize(tokenizer, short).to(self.device), output_hidden_states=True)
            states.append(output.hidden_states[-2])
            pooled.append(output[0])
        clip = torch.cat(states, dim=-1)
        width = int(self._parts.transformer.config["joint_attention_dim"])
        if self._t5 is None:
            t5 = clip.new_zeros(len(prompts), self._t5_length, width)
        else:
            encoder, tokenizer = self._parts.text_encoders[2], self._parts.tokenizers[2]
            t5 = t5_states(encoder, tokenizer, self._t5.texts(prompts), self._t5_length, self.device)
        clip = F.pad(clip, (0, width - clip.shape[-1]))
        return PromptEmbedding(hidden_states=torch.cat([clip, t5.to(clip)], dim=1), pooled=torch.cat(pooled, dim=-1))

    def _velocity(self, state: Tensor, sigma: Tensor, prompt: PromptEmbedding) -> Tensor:
        if prompt.pooled is None:
            raise GuidanceError(f"{self.name} needs pooled prompt embeddings; encode prompts with the same guidance.")
        return self._parts.transformer(
            hidden_states=state,
            timestep=1000.0 * sigma,
            encoder_hidden_states=prompt.hidden_states.to(self.dtype),
            pooled_projections=prompt.pooled.to(self.dtype),
            return_dict=False,
        )[0]
