# SPDX-License-Identifier: Apache-2.0
"""Stable Diffusion XL (Podell et al., "SDXL: Improving Latent Diffusion Models", 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from pgc.errors import GuidanceError
from pgc.guidance.base import PredictionType, PromptEmbedding
from pgc.guidance.control_pictures import depth_image
from pgc.guidance.control_specs import ControlWish
from pgc.guidance.diffusion.controls import Control, depth_controls, retuned_controls
from pgc.guidance.diffusion.ip_adapter import set_adapter_scale
from pgc.guidance.diffusion.latent_diffusion import LatentDiffusion, PromptWindows, tokenize
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.diffusion.loading import AutoencoderKL, Components, ControlNetModel
from pgc.guidance.diffusion.long_prompts import fitted_prompt
from pgc.guidance.diffusion.through_model import ThroughModel

__all__ = ["SDXLGuidance"]


class SDXLGuidance(ThroughModel[LatentDiffusion]):
    """`pgc.guidance.base.Guidance` with two text encoders and size conditioning."""

    def __init__(
        self,
        name: str,
        components: Components,
        *,
        controlnet: ControlNetModel | None,
        config: LatentDiffusionConfig,
        device: torch.device,
        vae: AutoencoderKL | None = None,
        controls: Sequence[Control] = (),
    ) -> None:
        """`vae` stands in for the model's own (the fp16-fix one, say).

        An autoencoder that asks for it (`force_upcast`, as SDXL's own does: its activations overflow float16) runs
        in float32 when the rest is float16.
        """
        self.name = name
        self._zeros_for_nothing = config.empty_prompt == "own"
        self.device = device
        self.alphas_cumprod = components.alphas_cumprod
        self.prediction_type: PredictionType = components.prediction_type
        self._controlnet, self._other_vae, self._further = controlnet, vae, tuple(controls)
        autoencoder = vae or components.vae
        if autoencoder.config["force_upcast"] and autoencoder.dtype == torch.float16:
            torch.nn.Module.to(autoencoder, torch.float32)
        self._model = LatentDiffusion(
            components,
            added_conditions=self._added_conditions,
            vae=autoencoder,
            config=config,
            device=device,
            controls=(*depth_controls(controlnet, depth_image, config), *controls),
        )
        self._windows = PromptWindows(components.tokenizers)
        self.dtype = self._model.dtype
        self.image_size = self._model.image_size
        self.shows = self._model.shows

    def retuned(
        self, config: LatentDiffusionConfig, wishes: Sequence[ControlWish], *, adapter_scale: float | None = None
    ) -> SDXLGuidance:
        """Returns the same weights under other settings (`pgc.guidance.retuning`)."""
        self._model.end_training()
        if adapter_scale is not None:
            set_adapter_scale(self._model.unet, adapter_scale)
        return SDXLGuidance(
            self.name,
            self._model.components,
            controlnet=self._controlnet,
            config=config,
            device=self.device,
            vae=self._other_vae,
            controls=retuned_controls(self._further, wishes),
        )

    def encode_prompt(self, prompts: Sequence[str], *, negative: bool = False) -> PromptEmbedding:
        """Encodes as `Guidance.encode_prompt` says.

        The penultimate hidden states of both encoders side by side, and the second encoder's projection. The empty
        prompt is all zeros, which is how SDXL was trained to be unconditional, unless told otherwise. The windows of a
        long prompt stand one behind the other; there is one projection all the same, of as much as fits into one.
        """
        return self._model.encode_words(prompts, self._encoded)

    @torch.no_grad()
    def _encoded(self, prompts: Sequence[str]) -> PromptEmbedding:
        rows = [self._windows.windows(prompt) for prompt in prompts]
        texts = [text for row in rows for text in row]
        # One more text a prompt: for its projection.
        texts += [fitted_prompt(prompt, self._windows.fits).text for prompt in prompts]
        states = []
        pooled = torch.empty(0)
        for encoder, tokenizer in zip(
            self._model.components.text_encoders, self._model.components.tokenizers, strict=True
        ):
            output = encoder(tokenize(tokenizer, texts).to(self.device), output_hidden_states=True)
            states.append(output.hidden_states[-2])
            pooled = output[0]
        *pieces, _ = torch.cat(states, dim=-1).split([*(len(row) for row in rows), len(prompts)])
        is_read = [bool(prompt) or not self._zeros_for_nothing for prompt in prompts]
        return PromptEmbedding.cat(
            [
                PromptEmbedding(hidden_states=piece.flatten(0, 1)[None] * factor, pooled=one[None] * factor)
                for factor, piece, one in zip(is_read, pieces, pooled[-len(prompts) :], strict=True)
            ]
        )

    def left_out(self, prompt: str, *, negative: bool = False) -> tuple[str, ...]:
        """Returns what `LimitedReader.left_out` says."""
        return self._windows.fitted(prompt).left_out

    def unknown_words(self, prompt: str) -> tuple[str, ...]:
        """Returns none: its byte-pair tokens spell any word."""
        return ()

    def _added_conditions(self, prompt: PromptEmbedding) -> Mapping[str, Tensor]:
        """Pooled text, and "an image of this size, uncropped, shown at this size" (the paper's section 2.2)."""
        if prompt.pooled is None:
            raise GuidanceError("SDXL needs pooled prompt embeddings; encode prompts with the same guidance.")
        size = self.image_size
        time_ids = torch.tensor([[size, size, 0, 0, size, size]], dtype=self.dtype, device=self.device)
        return {"text_embeds": prompt.pooled.to(self.dtype), "time_ids": time_ids.expand(prompt.batch, -1)}
