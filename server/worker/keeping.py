# SPDX-License-Identifier: Apache-2.0
"""What a cancelled job leaves: its newest checkpoint becomes its result, without a step and without a prior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pgc.errors import GuidanceError
from pgc.guidance.base import Conditions, Guidance, NoisePrediction, PredictionType, PromptEmbedding
from server.recipes import PriorSpec

__all__ = ["AbsentPrior"]


@dataclass(frozen=True)
class AbsentPrior:
    """Stands where a prior does, in a run that takes no step: loading the real one may take minutes."""

    device: torch.device
    name: str = "absent"
    image_size: int = 1
    prediction_type: PredictionType = "epsilon"
    dtype: torch.dtype = torch.float32

    @staticmethod
    def of(_spec: PriorSpec, device: torch.device) -> Guidance:
        """Returns an absent prior in place of any other."""
        return AbsentPrior(device)

    @property
    def alphas_cumprod(self) -> Tensor:
        """A single 1: no noise."""
        return torch.ones(1, device=self.device)

    def encode_prompt(self, prompts: Sequence[str], *, negative: bool = False) -> PromptEmbedding:
        """Returns empty embeddings: a run encodes its negative prompt when it is made."""
        return PromptEmbedding(hidden_states=torch.zeros(len(prompts), 1, 1, device=self.device))

    def unknown_words(self, prompt: str) -> tuple[str, ...]:
        """Returns no word: only the prior itself could tell."""
        return ()

    def encode_image(self, image: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Raises GuidanceError."""
        raise _no_step()

    def decode_latents(self, latents: Tensor) -> Tensor:
        """Raises GuidanceError."""
        raise _no_step()

    def predict_noise(self, noisy_latents: Tensor, timestep: Tensor, conditions: Conditions) -> NoisePrediction:
        """Raises GuidanceError."""
        raise _no_step()


def _no_step() -> GuidanceError:
    return GuidanceError("This run keeps what a cancelled job had made; it has no prior and takes no step.")
