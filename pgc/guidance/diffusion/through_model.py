# SPDX-License-Identifier: Apache-2.0
"""The part of a guidance that is the same for all diffusion models: what their model does is passed on to it."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pgc.guidance.base import Conditions, NoisePrediction, TrainableDenoiser

__all__ = ["LatentModel", "ThroughModel"]


class LatentModel(Protocol):
    """What encodes, decodes and denoises: a latent diffusion model, or a guidance that holds one."""

    def encode_image(
        self, image: Float[Tensor, "b 3 h w"], *, generator: torch.Generator | None = None
    ) -> Float[Tensor, "b k m n"]:
        """Encodes as `Guidance.encode_image` says."""
        ...

    def decode_latents(self, latents: Float[Tensor, "b k m n"]) -> Float[Tensor, "b 3 h w"]:
        """Decodes as `Guidance.decode_latents` says."""
        ...

    def widen_autoencoder(self) -> bool:
        """Does what `HalfPrecisionAutoencoder.widen_autoencoder` says."""
        ...

    def predict_noise(
        self, noisy_latents: Float[Tensor, "b k m n"], timestep: Int[Tensor, " b"], conditions: Conditions
    ) -> NoisePrediction:
        """Predicts as `Guidance.predict_noise` says."""
        ...

    def trainable_denoiser(self, *, rank: int, seed: int) -> TrainableDenoiser:
        """Makes what `Trainable.trainable_denoiser` says."""
        ...


_Model = TypeVar("_Model", bound=LatentModel)


class ThroughModel(Generic[_Model]):
    """A guidance's calls that go to its model as they are."""

    _model: _Model

    def encode_image(
        self, image: Float[Tensor, "b 3 h w"], *, generator: torch.Generator | None = None
    ) -> Float[Tensor, "b k m n"]:
        """Encodes as `Guidance.encode_image` says."""
        return self._model.encode_image(image, generator=generator)

    def decode_latents(self, latents: Float[Tensor, "b k m n"]) -> Float[Tensor, "b 3 h w"]:
        """Decodes as `Guidance.decode_latents` says."""
        return self._model.decode_latents(latents)

    def widen_autoencoder(self) -> bool:
        """Does what `HalfPrecisionAutoencoder.widen_autoencoder` says."""
        return self._model.widen_autoencoder()

    def predict_noise(
        self, noisy_latents: Float[Tensor, "b k m n"], timestep: Int[Tensor, " b"], conditions: Conditions
    ) -> NoisePrediction:
        """Predicts as `Guidance.predict_noise` says."""
        return self._model.predict_noise(noisy_latents, timestep, conditions)

    def trainable_denoiser(self, *, rank: int, seed: int) -> TrainableDenoiser:
        """Makes what `Trainable.trainable_denoiser` says."""
        return self._model.trainable_denoiser(rank=rank, seed=seed)
