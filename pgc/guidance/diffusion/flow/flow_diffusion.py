# SPDX-License-Identifier: Apache-2.0
"""What all flow models share, so that every loss of this package runs with them as with any other prior.

A flow's state is x_σ = (1 - σ)·x + σ·ε, and its network says the velocity u = ε - x. Divided by √((1 - σ)² + σ²) that
state is one of the usual family, √ᾱ·x + √(1 - ᾱ)·ε, and u at it gives ε: so a loss that adds noise and asks for noise
need not know of flows, and DDIM's deterministic steps are exactly the flow's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from pgc.errors import GuidanceError
from pgc.guidance.base import (
    Conditions,
    NoisePrediction,
    PredictionType,
    PromptEmbedding,
    TrainableDenoiser,
    epsilon_from_prediction,
)
from pgc.guidance.diffusion.autoencoder import Autoencoder, latent_factor
from pgc.guidance.diffusion.flow.noise_schedule import alphas_of, flow_sigmas
from pgc.guidance.diffusion.flow.parts import FlowParts
from pgc.guidance.diffusion.halves import both_halves
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.diffusion.lora import LoraDenoiser
from pgc.guidance.diffusion.memory.waiting import wait_where_it_is
from pgc.guidance.diffusion.words.late import LateEncoder

__all__ = ["FlowDiffusion", "Velocity"]

Velocity = Callable[[Tensor, Tensor, PromptEmbedding], Tensor]
"""u = ε - x from x_σ, σ (one a row) and a prompt a row."""
_PATCH = 2
"""Side of what a token stands for, in latent pixels."""


class FlowDiffusion:
    """`LatentModel` on a transformer that was trained on a straight flow."""

    def __init__(
        self,
        parts: FlowParts,
        velocity: Velocity,
        *,
        native_size: int,
        config: LatentDiffusionConfig,
        device: torch.device,
    ) -> None:
        for encoder in parts.text_encoders:
            if not isinstance(encoder, LateEncoder):
                wait_where_it_is(encoder, device)
        wait_where_it_is(parts.transformer, device, pinned=True)
        self.config = config
        self.device = device
        self.dtype: torch.dtype = parts.transformer.dtype
        self.image_size = config.image_size or native_size
        side = latent_factor(parts.vae) * _PATCH
        if self.image_size % side:
            raise GuidanceError(
                f"guidance.image_size is {self.image_size}; a token of {parts.source} stands for {side} pixels, so it "
                f"must be a multiple of {side}."
            )
        self.sigmas = flow_sigmas(parts.scheduler, parts.source, tokens=(self.image_size // side) ** 2).to(device)
        self.alphas_cumprod = alphas_of(self.sigmas)
        self.prediction_type: PredictionType = "velocity"
        self._autoencoder = Autoencoder(parts.vae, image_size=self.image_size, device=device)
        self._transformer = parts.transformer
        self._time_embedding = parts.time_embedding
        self._velocity = velocity
        self._trainable: LoraDenoiser | None = None

    def encode_image(
        self, image: Float[Tensor, "b 3 h w"], *, generator: torch.Generator | None = None
    ) -> Float[Tensor, "b k m n"]:
        """Encodes as `Guidance.encode_image` says."""
        return self._autoencoder.encode_image(image, generator=generator)

    def decode_latents(self, latents: Float[Tensor, "b k m n"]) -> Float[Tensor, "b 3 h w"]:
        """Decodes as `Guidance.decode_latents` says."""
        return self._autoencoder.decode_latents(latents)

    def widen_autoencoder(self) -> bool:
        """Does what `HalfPrecisionAutoencoder.widen_autoencoder` says."""
        return self._autoencoder.widen()

    @torch.no_grad()
    def predict_noise(
        self, noisy_latents: Float[Tensor, "b k m n"], timestep: Int[Tensor, " b"], conditions: Conditions
    ) -> NoisePrediction:
        """Predicts as `Guidance.predict_noise` says."""

        def denoise(
            noisy: Tensor, at: Tensor, prompt: PromptEmbedding, is_prompted: Sequence[bool], views: slice
        ) -> Tensor:
            """Asks the network, which is told the same whichever half and views these are."""
            del is_prompted, views
            return self._denoise(noisy, at, prompt)

        return both_halves(denoise, noisy_latents, timestep, conditions, self.config)

    def end_training(self) -> None:
        """Takes what was trained beside the network out of it."""
        if self._trainable is not None:
            self._trainable.remove()
            self._trainable = None

    def trainable_denoiser(self, *, rank: int, seed: int) -> TrainableDenoiser:
        """Makes what `Trainable.trainable_denoiser` says."""
        self.end_training()
        network: nn.Module = self._transformer
        self._trainable = LoraDenoiser(
            network,
            self._denoise_prompted,
            rank=rank,
            seed=seed,
            device=self.device,
            time_embedding=self._time_embedding,
        )
        return self._trainable

    def _denoise_prompted(self, noisy: Tensor, timestep: Tensor, conditions: Conditions) -> Tensor:
        return self._denoise(noisy, timestep, conditions.prompt)

    def _denoise(self, noisy: Tensor, timestep: Tensor, prompt: PromptEmbedding) -> Tensor:
        sigma = self.sigmas[timestep]
        alpha = self.alphas_cumprod[timestep]
        # x_σ = z_t·√((1 - σ)² + σ²), and 1 - σ = √ᾱ times that root.
        state = noisy.float() * ((1.0 - sigma).square() + sigma.square()).sqrt()[:, None, None, None]
        said: Any = self._velocity(state.to(self.dtype), sigma, prompt)
        return epsilon_from_prediction(said.float(), noisy.float(), alpha, self.prediction_type)
