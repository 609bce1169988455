# SPDX-License-Identifier: Apache-2.0
"""Z-Image ("Z-Image: An Efficient Image Generation Foundation Model with Single-Stream Diffusion Transformer", 2025).

Its network counts time from noise to picture and says where to go, the opposite of the velocity; both are turned here.
It reads a prompt as a chat with its language model.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from pgc.errors import GuidanceError
from pgc.guidance.base import PredictionType, PromptEmbedding
from pgc.guidance.diffusion.flow.flow_diffusion import FlowDiffusion
from pgc.guidance.diffusion.flow.parts import FlowParts
from pgc.guidance.diffusion.flow.reading import OneWindow, fits_length, padded_tokens
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.diffusion.through_model import ThroughModel

__all__ = ["ZImageGuidance"]

_NATIVE_SIZE = 1024


class ZImageGuidance(ThroughModel[FlowDiffusion]):
    """`pgc.guidance.base.Guidance` with a language model as its reader."""

    def __init__(
        self, name: str, parts: FlowParts, *, text_length: int, config: LatentDiffusionConfig, device: torch.device
    ) -> None:
        self.name = name
        self.device = device
        self._parts = parts
        self._text_length = text_length
        self._model = FlowDiffusion(parts, self._velocity, native_size=_NATIVE_SIZE, config=config, device=device)
        self.dtype = self._model.dtype
        self.image_size = self._model.image_size
        self.alphas_cumprod = self._model.alphas_cumprod
        self.prediction_type: PredictionType = self._model.prediction_type
        fits = fits_length(parts.tokenizers[0], text_length)
        self._window = OneWindow(lambda text: fits(self._as_chat(text)))

    def retuned(self, config: LatentDiffusionConfig, *, text_length: int) -> ZImageGuidance:
        """Returns the same weights under other settings (`pgc.guidance.retuning`)."""
        self._model.end_training()
        return ZImageGuidance(self.name, self._parts, text_length=text_length, config=config, device=self.device)

    def encode_prompt(self, prompts: Sequence[str], *, negative: bool = False) -> PromptEmbedding:
        """Encodes as `Guidance.encode_prompt` says: the penultimate states of the language model. Padding is not read.
        The empty prompt is an empty question."""
        return self._parts.encoded(prompts, self._encode, self._text_length)

    def left_out(self, prompt: str, *, negative: bool = False) -> tuple[str, ...]:
        """Returns what `LimitedReader.left_out` says."""
        return self._window.fitted(prompt).left_out

    def unknown_words(self, prompt: str) -> tuple[str, ...]:
        """Returns none: its tokens spell any word."""
        return ()

    @torch.no_grad()
    def _encode(self, prompts: Sequence[str]) -> PromptEmbedding:
        (encoder,), (tokenizer,) = self._parts.text_encoders, self._parts.tokenizers
        texts = [self._as_chat(text) for text in self._window.texts(prompts)]
        ids, is_read = padded_tokens(tokenizer, texts, self._text_length)
        said = encoder(
            input_ids=ids.to(self.device), attention_mask=is_read.to(self.device).bool(), output_hidden_states=True
        )
        kept = [row[read] for row, read in zip(said.hidden_states[-2], is_read.to(self.device).bool(), strict=True)]
        lengths = torch.tensor([len(row) for row in kept], device=self.device)
        # Of one length for all prompts, whichever side the tokenizer pads.
        states = torch.stack([F.pad(row, (0, 0, 0, self._text_length - len(row))) for row in kept])
        return PromptEmbedding(hidden_states=states, lengths=lengths)

    def _as_chat(self, text: str) -> str:
        chat = [{"role": "user", "content": text}]
        return self._parts.tokenizers[0].apply_chat_template(
            chat, tokenize=False, add_generation_prompt=True, enable_thinking=True
        )

    def _velocity(self, state: Tensor, sigma: Tensor, prompt: PromptEmbedding) -> Tensor:
        if prompt.lengths is None:
            raise GuidanceError(f"{self.name} needs the lengths of prompts; encode prompts with the same guidance.")
        words = prompt.hidden_states.to(self.dtype)
        said = self._parts.transformer(
            list(state[:, :, None].unbind()),
            1.0 - sigma,
            [row[:length] for row, length in zip(words, prompt.lengths.tolist(), strict=True)],
            return_dict=False,
        )[0]
        return -torch.stack(list(said))[:, :, 0]
