# SPDX-License-Identifier: Apache-2.0
"""Stable Diffusion 1.5 and 2.1 (Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", 2022).

One class for both: what differs (text encoder, v-prediction, native size) is written in the model's own settings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pgc.guidance.base import PredictionType, PromptEmbedding
from pgc.guidance.control_pictures import depth_image
from pgc.guidance.control_specs import ControlWish
from pgc.guidance.diffusion.controls import Control, ControlImage, depth_controls, retuned_controls
from pgc.guidance.diffusion.ip_adapter import set_adapter_scale
from pgc.guidance.diffusion.latent_diffusion import LatentDiffusion, PromptWindows, tokenize
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.diffusion.loading import Components, ControlNetModel
from pgc.guidance.diffusion.through_model import ThroughModel

__all__ = ["StableDiffusionGuidance"]


class StableDiffusionGuidance(ThroughModel[LatentDiffusion]):
    """`pgc.guidance.base.Guidance` with one CLIP text encoder."""

    def __init__(
        self,
        name: str,
        components: Components,
        *,
        controlnet: ControlNetModel | None,
        config: LatentDiffusionConfig,
        device: torch.device,
        control_image: ControlImage = depth_image,
        controls: Sequence[Control] = (),
    ) -> None:
        self.name = name
        self.device = device
        self.alphas_cumprod = components.alphas_cumprod
        self.prediction_type: PredictionType = components.prediction_type
        self._controlnet, self._control_image, self._further = controlnet, control_image, tuple(controls)
        self._model = LatentDiffusion(
            components,
            added_conditions=_nothing,
            vae=components.vae,
            config=config,
            device=device,
            controls=(*depth_controls(controlnet, control_image, config), *controls),
        )
        self._windows = PromptWindows(components.tokenizers)
        self.dtype = self._model.dtype
        self.image_size = self._model.image_size
        self.shows = self._model.shows

    def retuned(
        self, config: LatentDiffusionConfig, wishes: Sequence[ControlWish], *, adapter_scale: float | None = None
    ) -> StableDiffusionGuidance:
        """Returns the same weights under other settings (`pgc.guidance.retuning`)."""
        self._model.end_training()
        if adapter_scale is not None:
            set_adapter_scale(self._model.unet, adapter_scale)
        return StableDiffusionGuidance(
            self.name,
            self._model.components,
            controlnet=self._controlnet,
            config=config,
            device=self.device,
            control_image=self._control_image,
            controls=retuned_controls(self._further, wishes),
        )

    def encode_prompt(self, prompts: Sequence[str], *, negative: bool = False) -> PromptEmbedding:
        """Encodes as `Guidance.encode_prompt` says: returns the text encoder's last, normalised hidden states; those of
        the windows of a long prompt one behind the other."""
        return self._model.encode_words(prompts, self._encoded)

    @torch.no_grad()
    def _encoded(self, prompts: Sequence[str]) -> PromptEmbedding:
        (encoder,) = self._model.components.text_encoders
        (tokenizer,) = self._model.components.tokenizers
        rows = [self._windows.windows(prompt) for prompt in prompts]
        texts = [text for row in rows for text in row]
        states = encoder(tokenize(tokenizer, texts).to(self.device))[0].split([len(row) for row in rows])
        return PromptEmbedding.cat([PromptEmbedding(hidden_states=row.flatten(0, 1)[None]) for row in states])

    def end_training(self) -> None:
        """Takes what was trained beside the network out of it."""
        self._model.end_training()

    def left_out(self, prompt: str, *, negative: bool = False) -> tuple[str, ...]:
        """Returns what `LimitedReader.left_out` says."""
        return self._windows.fitted(prompt).left_out

    def fits_one_window(self, text: str) -> bool:
        """Says whether the text encoder reads a text in one piece."""
        return self._windows.fits(text)

    def unknown_words(self, prompt: str) -> tuple[str, ...]:
        """Returns none: its byte-pair tokens spell any word."""
        return ()


def _nothing(prompt: PromptEmbedding) -> Mapping[str, Tensor] | None:
    return None
