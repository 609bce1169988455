# SPDX-License-Identifier: Apache-2.0
"""What all latent diffusion models share: autoencoder, UNet with ControlNet, classifier-free guidance, precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pgc.guidance.base import (
    Conditions,
    NoisePrediction,
    PromptEmbedding,
    ShownKind,
    TrainableDenoiser,
    epsilon_from_prediction,
)
from pgc.guidance.diffusion.autoencoder import Autoencoder, latent_factor
from pgc.guidance.diffusion.controls import Control, ShownControl, control_residuals, shown_controls
from pgc.guidance.diffusion.halves import both_halves, check_prompts
from pgc.guidance.diffusion.ip_adapter import SeenPicture
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.diffusion.loading import AutoencoderKL, Components
from pgc.guidance.diffusion.long_prompts import FittedPrompt, fits_tokenizers, fitted_prompt, prompt_windows
from pgc.guidance.diffusion.lora import LoraDenoiser
from pgc.guidance.diffusion.memory.waiting import wait_where_it_is
from pgc.guidance.diffusion.words.late import LateEncoder

__all__ = ["MOST_WINDOWS", "LatentDiffusion", "PromptWindows", "tokenize"]

MOST_WINDOWS = 4
"""Of a prompt: 300 tokens of CLIP. Each further one makes cross-attention slower."""

AddedConditions = Callable[[PromptEmbedding], Mapping[str, Tensor] | None]
"""What a UNet takes besides the token embeddings (SDXL: pooled text and time ids)."""


def tokenize(tokenizer: Any, texts: Sequence[str]) -> Int[Tensor, "b l"]:  # noqa: ANN401 - no common base class
    """Returns token ids of fixed length, of texts that fit into it (`pgc.guidance.diffusion.long_prompts`)."""
    length = tokenizer.model_max_length
    batch = tokenizer(list(texts), padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    return batch.input_ids


class PromptWindows:
    """Texts cut into windows that each tokenizer of a model reads, up to MOST_WINDOWS; what is beyond is left out."""

    def __init__(self, tokenizers: Sequence[Any]) -> None:
        self.fits = fits_tokenizers(tokenizers)

    def fitted(self, prompt: str) -> FittedPrompt:
        """Says what is read of a prompt, and what is not."""
        return fitted_prompt(prompt, lambda text: len(prompt_windows(text, self.fits)) <= MOST_WINDOWS)

    def windows(self, prompt: str) -> tuple[str, ...]:
        """Returns one text a window; one at least."""
        return prompt_windows(self.fitted(prompt).text, self.fits)


class LatentDiffusion:
    """Autoencoder and denoiser of one model. Guidances hold one, and add what they know about prompts."""

    def __init__(
        self,
        components: Components,
        *,
        added_conditions: AddedConditions,
        vae: AutoencoderKL,
        config: LatentDiffusionConfig,
        device: torch.device,
        controls: Sequence[Control],
    ) -> None:
        for encoder in components.text_encoders:
            if not isinstance(encoder, LateEncoder):
                wait_where_it_is(encoder, device)
        for network in (components.unet, *(control.net for control in controls)):
            wait_where_it_is(network, device, pinned=True)
        self.components = components
        self.unet = components.unet
        self.vae = vae
        self.config = config
        self.device = device
        self.dtype = components.unet.dtype
        self.controls = tuple(controls)
        parts: list[Any] = [self.unet, *(control.net for control in self.controls)]
        for part in parts:
            # As in `Autoencoder`: faster on the CPU in float32.
            if device.type == "cpu" and part.dtype == torch.float32:
                part.to(memory_format=torch.channels_last)
        self._trainable: LoraDenoiser | None = None
        self._added_conditions = added_conditions
        self.image_size = config.image_size or int(self.unet.config["sample_size"]) * latent_factor(vae)
        self._autoencoder = Autoencoder(vae, image_size=self.image_size, device=device)

    def encode_words(
        self, prompts: Sequence[str], encode: Callable[[Sequence[str]], PromptEmbedding]
    ) -> PromptEmbedding:
        """Returns prompts as `encode` makes them, those aside that were stored before."""
        stored = self.components.words
        return encode(prompts) if stored is None else stored.encoded(prompts, encode)

    def encode_image(
        self, image: Float[Tensor, "b 3 h w"], *, generator: torch.Generator | None = None
    ) -> Float[Tensor, "b k m n"]:
        """Encodes as `Guidance.encode_image` says."""
        return self._autoencoder.encode_image(image, generator=generator)

    def decode_latents(self, latents: Float[Tensor, "b k m n"]) -> Float[Tensor, "b 3 h w"]:
        """Decodes as `Guidance.decode_latents` says; one view at a time where memory is short."""
        if self.config.memory.rows is None:
            return self._autoencoder.decode_latents(latents)
        return torch.cat([self._autoencoder.decode_latents(one) for one in latents.split(1)])

    def widen_autoencoder(self) -> bool:
        """Does what `HalfPrecisionAutoencoder.widen_autoencoder` says."""
        return self._autoencoder.widen()

    @torch.no_grad()
    def predict_noise(
        self, noisy_latents: Float[Tensor, "b k m n"], timestep: Int[Tensor, " b"], conditions: Conditions
    ) -> NoisePrediction:
        """Predicts as `Guidance.predict_noise` says."""
        check_prompts(noisy_latents, conditions)
        shown = self._shown(noisy_latents, timestep, conditions)
        seen = self._seen(conditions)

        def denoise(
            noisy: Tensor, at: Tensor, prompt: PromptEmbedding, is_prompted: Sequence[bool], views: slice
        ) -> Tensor:
            """Asks the network, with the control images of each view as often as the view is there."""
            return self._denoise(noisy, at, prompt, ([one.of(views) for one in shown], seen), is_prompted)

        return both_halves(denoise, noisy_latents, timestep, conditions, self.config)

    def end_training(self) -> None:
        """Takes what was trained beside the network out of it."""
        if self._trainable is not None:
            self._trainable.remove()
            self._trainable = None

    def trainable_denoiser(self, *, rank: int, seed: int) -> TrainableDenoiser:
        """Makes what `Trainable.trainable_denoiser` says."""
        self.end_training()
        self._trainable = LoraDenoiser(self.unet, self._denoise_prompted, rank=rank, seed=seed, device=self.device)
        return self._trainable

    @property
    def shows(self) -> frozenset[ShownKind]:
        """Which controls there are, and whether a picture is looked at (`Shown`)."""
        kinds: list[ShownKind] = [control.kind for control in self.controls]
        return frozenset(kinds if self.components.ip_adapter is None else [*kinds, "ip-adapter"])

    def _denoise_prompted(self, noisy: Tensor, timestep: Tensor, conditions: Conditions) -> Tensor:
        shown = self._shown(noisy, timestep, conditions)
        return self._denoise(noisy, timestep, conditions.prompt, (shown, self._seen(conditions)), (True,))

    def _denoise(
        self,
        noisy: Tensor,
        timestep: Tensor,
        prompt: PromptEmbedding,
        pictures: tuple[Sequence[ShownControl], SeenPicture | None],
        is_prompted: Sequence[bool],
    ) -> Tensor:
        """ε, float32, for one batch of latents and as many prompts, with the pictures of ControlNets and IP-Adapter."""
        sample = noisy.to(self.dtype)
        added = self._added_conditions(prompt)
        shown, seen = pictures
        words = prompt.hidden_states.to(self.dtype)
        common: dict[str, Any] = {"encoder_hidden_states": words, "added_cond_kwargs": added, "return_dict": False}
        residuals = control_residuals(shown, sample, timestep, is_prompted, common)
        if seen is not None:
            # The UNet alone looks at it.
            rows = seen.rows(is_prompted, len(sample) // len(is_prompted))
            common["added_cond_kwargs"] = {**(added or {}), "image_embeds": [rows]}
        prediction = self.unet(sample, timestep, **common, **residuals)[0]
        return epsilon_from_prediction(
            prediction.float(),
            noisy.float(),
            self.components.alphas_cumprod[timestep],
            self.components.prediction_type,
        )

    def _seen(self, conditions: Conditions) -> SeenPicture | None:
        adapter = self.components.ip_adapter
        return None if adapter is None else adapter.see(conditions.reference)

    def _shown(self, noisy: Tensor, timestep: Tensor, conditions: Conditions) -> list[ShownControl]:
        return shown_controls(
            self.controls,
            conditions,
            timestep,
            count=len(self.components.alphas_cumprod),
            image_size=self.image_size,
            like=noisy.to(self.dtype),
        )
