# SPDX-License-Identifier: Apache-2.0
"""Zero123 as a teacher: what an object looks like from elsewhere, by one picture of it.

The picture reaches the network in two ways: its latents stand beside the noisy ones (eight channels in all), and the
vector that CLIP sees in it goes with the camera's way through a linear layer to cross-attention. Of the latents beside
it is the posterior's mean as the autoencoder gives it, not multiplied by the scaling factor; so was the model trained.
The unconditional half of classifier-free guidance has zeros in both places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from pgc.errors import GuidanceError
from pgc.guidance.base import (
    Conditions,
    NoisePrediction,
    PredictionType,
    PromptEmbedding,
    epsilon_from_prediction,
)
from pgc.guidance.diffusion.autoencoder import Autoencoder, latent_factor
from pgc.guidance.diffusion.halves import both_halves
from pgc.guidance.diffusion.ip_adapter import CLIP_MEAN, CLIP_SPREAD
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.diffusion.loading import AutoencoderKL, UNet2DConditionModel
from pgc.guidance.diffusion.zero123.camera import relative_camera
from pgc.guidance.resizing import resize_bilinear

__all__ = ["TOLD", "Zero123Guidance", "Zero123Parts"]

TOLD = 4
"""Numbers that say how the camera moved."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Zero123Parts:
    """The networks of a Zero123, frozen and in evaluation mode."""

    vae: AutoencoderKL
    unet: UNet2DConditionModel
    image_encoder: Any
    """transformers' CLIPVisionModelWithProjection."""
    projection: nn.Linear
    """From what CLIP sees, and the camera's way, to a token of cross-attention."""
    alphas_cumprod: Float[Tensor, " t"]
    prediction_type: PredictionType


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Seen:
    """The reference picture as the networks see it."""

    picture: Tensor
    latents: Float[Tensor, "1 k m n"]
    vector: Float[Tensor, "1 d"]


class Zero123Guidance:
    """`pgc.guidance.base.Guidance` that is told a reference picture and cameras, and reads no prompt."""

    sees_reference_view = True

    def __init__(self, name: str, parts: Zero123Parts, *, config: LatentDiffusionConfig, device: torch.device) -> None:
        self.name = name
        self.device = device
        self.config = config
        self.parts = parts
        self.dtype: torch.dtype = parts.unet.dtype
        self.alphas_cumprod = parts.alphas_cumprod
        self.prediction_type: PredictionType = parts.prediction_type
        self.image_size = config.image_size or int(parts.unet.config["sample_size"]) * latent_factor(parts.vae)
        self._autoencoder = Autoencoder(parts.vae, image_size=self.image_size, device=device)
        self._seen: _Seen | None = None

    def retuned(self, config: LatentDiffusionConfig) -> Zero123Guidance:
        """Returns the same weights under other settings (`pgc.guidance.retuning`)."""
        return Zero123Guidance(self.name, self.parts, config=config, device=self.device)

    def encode_prompt(self, prompts: Sequence[str], *, negative: bool = False) -> PromptEmbedding:
        """Returns, since the model does not read, zeros of the right number of rows."""
        states = torch.zeros((len(prompts), 1, self.parts.projection.out_features), dtype=self.dtype)
        return PromptEmbedding(hidden_states=states.to(self.device))

    def unknown_words(self, prompt: str) -> tuple[str, ...]:
        """Returns none: what the prompt says does not matter."""
        return ()

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
        # What the narrow one made of the picture may be no numbers.
        self._seen = None
        return self._autoencoder.widen()

    @torch.no_grad()
    def predict_noise(
        self, noisy_latents: Float[Tensor, "b k m n"], timestep: Int[Tensor, " b"], conditions: Conditions
    ) -> NoisePrediction:
        """Predicts as `Guidance.predict_noise` says, for the cameras of the conditions and their reference picture.

        Raises:
            GuidanceError: there is no reference picture, or it is not said where pictures were taken from.
        """
        seen = self._see(conditions)
        tokens = self._tokens(seen, conditions)
        told = replace(
            conditions,
            prompt=PromptEmbedding(hidden_states=tokens),
            negative=PromptEmbedding(hidden_states=torch.zeros_like(tokens)),
        )

        def denoise(
            noisy: Tensor, at: Tensor, prompt: PromptEmbedding, is_prompted: Sequence[bool], views: slice
        ) -> Tensor:
            """Asks the network; the reference's latents are beside those of the conditional half alone."""
            count = len(noisy) // len(is_prompted)
            shown = [seen.latents if prompted else torch.zeros_like(seen.latents) for prompted in is_prompted]
            beside = torch.cat([one.expand(count, *one.shape[1:]) for one in shown])
            return self._denoise(noisy, beside, at, prompt)

        return both_halves(denoise, noisy_latents, timestep, told, self.config)

    def _denoise(self, noisy: Tensor, beside: Tensor, timestep: Tensor, prompt: PromptEmbedding) -> Tensor:
        sample = torch.cat([noisy.to(self.dtype), beside.to(self.dtype)], dim=1)
        prediction = self.parts.unet(sample, timestep, encoder_hidden_states=prompt.hidden_states, return_dict=False)[0]
        return epsilon_from_prediction(
            prediction.float(), noisy.float(), self.alphas_cumprod[timestep], self.prediction_type
        )

    def _tokens(self, seen: _Seen, conditions: Conditions) -> Float[Tensor, "b 1 d"]:
        cameras, own = conditions.camera_to_world, conditions.reference_to_world
        if cameras is None or own is None:
            raise GuidanceError(
                f"{self.name} judges views by how the camera moved from the reference picture; got no cameras. Take it "
                "for pgc image."
            )
        told = relative_camera(cameras, own).to(self.device)
        rows = torch.cat([seen.vector.expand(len(told), -1).float(), told], dim=1)
        return self.parts.projection(rows.to(self.parts.projection.weight.dtype)).to(self.dtype)[:, None]

    def _see(self, conditions: Conditions) -> _Seen:
        """Encodes the reference picture, once for as long as it is the same."""
        picture = conditions.reference
        if picture is None:
            raise GuidanceError(f"{self.name} knows an object by a picture of it; got none. Take it for pgc image.")
        if self._seen is None or self._seen.picture is not picture:
            small = resize_bilinear(picture.to(self.device, torch.float32), self.image_size)
            scaled = self._autoencoder.encode_image(small)
            self._seen = _Seen(
                picture=picture,
                latents=scaled / self.parts.vae.config["scaling_factor"],
                vector=self._vector(small),
            )
        return self._seen

    def _vector(self, picture: Float[Tensor, "1 3 s s"]) -> Float[Tensor, "1 d"]:
        """What CLIP sees, resized without antialiasing and corner to corner, as the model was trained."""
        encoder = self.parts.image_encoder
        side = int(encoder.config.image_size)
        resized = F.interpolate(picture, (side, side), mode="bicubic", align_corners=True)
        mean, spread = (picture.new_tensor(numbers)[:, None, None] for numbers in (CLIP_MEAN, CLIP_SPREAD))
        return encoder(((resized - mean) / spread).to(encoder.dtype)).image_embeds
