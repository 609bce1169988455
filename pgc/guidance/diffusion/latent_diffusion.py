# SPDX-License-Identifier: Apache-2.0
"""What all latent diffusion models share: autoencoder, UNet with ControlNet, classifier-free guidance, precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pgc.errors import GuidanceError
from pgc.guidance.base import (
    Conditions,
    NoisePrediction,
    PromptEmbedding,
    TrainableDenoiser,
    epsilon_from_prediction,
)
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.diffusion.loading import AutoencoderKL, Components, ControlNetModel
from pgc.guidance.diffusion.long_prompts import FittedPrompt, fits_tokenizers, fitted_prompt, prompt_windows
from pgc.guidance.diffusion.lora import LoraDenoiser
from pgc.guidance.resizing import resize_bilinear

__all__ = ["MOST_WINDOWS", "ControlImage", "LatentDiffusion", "PromptWindows", "depth_image", "tokenize"]

MOST_WINDOWS = 4
"""Of a prompt: 300 tokens of CLIP. Each further one makes cross-attention slower."""
_FARTHEST = 0.2

ControlImage = Callable[
    [Float[Tensor, "b 1 h w"], Bool[Tensor, "b 1 h w"], Float[Tensor, "b k h w"] | None], Float[Tensor, "b c h w"]
]
"""From the G-buffer's depth and mask, and the shading of known materials where it is told, to the picture that a
ControlNet was trained on."""

AddedConditions = Callable[[PromptEmbedding], Mapping[str, Tensor] | None]
"""What a UNet takes besides the token embeddings (SDXL: pooled text and time ids)."""


def depth_image(
    depth: Float[Tensor, "b 1 h w"],
    mask: Bool[Tensor, "b 1 h w"],
    shading: Float[Tensor, "b k h w"] | None = None,
) -> Float[Tensor, "b 3 h w"]:
    """Draws depth in the polarity of MiDaS, on which the public depth ControlNets were trained: near white, background
    black.

    Inverse depth, as a disparity, stretched for each image over the object: the nearest point is 1, the farthest 0.2,
    so that the whole silhouette stands out from the background's 0. (The official PGC code feeds the opposite
    polarity, far white.)
    """
    inverse = torch.where(mask, 1.0 / depth.clamp_min(1e-6), torch.zeros_like(depth))
    near = inverse.amax(dim=(1, 2, 3), keepdim=True)
    far = torch.where(mask, inverse, near).amin(dim=(1, 2, 3), keepdim=True)
    # A flat object seen head-on has no range: all of it is near.
    value = 1.0 - (1.0 - _FARTHEST) * (near - inverse) / (near - far).clamp_min(1e-6)
    return torch.where(mask, value, torch.zeros_like(value)).expand(-1, 3, -1, -1)


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
        controlnet: ControlNetModel | None,
        control_image: ControlImage,
        added_conditions: AddedConditions,
        vae: AutoencoderKL,
        config: LatentDiffusionConfig,
        device: torch.device,
    ) -> None:
        self.components = components
        self.unet = components.unet
        self.vae = vae
        self.controlnet = controlnet
        self.config = config
        self.device = device
        self.dtype = components.unet.dtype
        parts: list[Any] = [self.unet, self.vae, *([controlnet] if controlnet is not None else [])]
        for part in parts:
            # A tenth faster on the CPU in float32; slower in bfloat16, and on a GPU it is cuDNN's own affair.
            if device.type == "cpu" and part.dtype == torch.float32:
                part.to(memory_format=torch.channels_last)
        self._trainable: LoraDenoiser | None = None
        self._control_image = control_image
        self._added_conditions = added_conditions
        self._vae_factor = 2 ** (len(vae.config["block_out_channels"]) - 1)
        self.image_size = config.image_size or int(self.unet.config["sample_size"]) * self._vae_factor

    def encode_image(
        self, image: Float[Tensor, "b 3 h w"], *, generator: torch.Generator | None = None
    ) -> Float[Tensor, "b k m n"]:
        """Encodes as `Guidance.encode_image` says."""
        signal = 2.0 * resize_bilinear(image.to(self.device), self.image_size) - 1.0
        posterior: Any = self.vae.encode(signal.to(self.vae.dtype), return_dict=False)[0]
        latents = posterior.mean.float()
        if generator is not None:
            # Drawn on the CPU in float32, so that every device and precision sees the same noise.
            noise = torch.randn(latents.shape, generator=generator).to(latents)
            latents = latents + posterior.std.float() * noise
        return (latents - self._shift) * self.vae.config["scaling_factor"]

    @torch.no_grad()
    def decode_latents(self, latents: Float[Tensor, "b k m n"]) -> Float[Tensor, "b 3 h w"]:
        """Decodes as `Guidance.decode_latents` says."""
        scaled = latents / self.vae.config["scaling_factor"] + self._shift
        sample: Any = scaled.to(device=self.device, dtype=self.vae.dtype)
        image = self.vae.decode(sample, return_dict=False)[0]
        return (image.float() * 0.5 + 0.5).clamp(0.0, 1.0)

    def widen_autoencoder(self) -> bool:
        """Does what `HalfPrecisionAutoencoder.widen_autoencoder` says."""
        if self.vae.dtype == torch.float32:
            return False
        # torch's own `to`: diffusers' warns of a precision change.
        torch.nn.Module.to(self.vae, dtype=torch.float32)
        return True

    @torch.no_grad()
    def predict_noise(
        self, noisy_latents: Float[Tensor, "b k m n"], timestep: Int[Tensor, " b"], conditions: Conditions
    ) -> NoisePrediction:
        """Predicts as `Guidance.predict_noise` says."""
        batch = noisy_latents.shape[0]
        if conditions.prompt.batch != batch:
            raise GuidanceError(f"Got {conditions.prompt.batch} prompts for {batch} latents; expected one a view.")
        control = self._control(conditions, batch)
        halves = (conditions.negative, conditions.prompt)
        if self.config.sequential_guidance:
            uncond, cond = (self._denoise(noisy_latents, timestep, half, control) for half in halves)
        else:
            both = self._denoise(
                torch.cat([noisy_latents] * 2),
                torch.cat([timestep] * 2),
                PromptEmbedding.cat(halves),
                None if control is None else torch.cat([control] * 2),
            )
            uncond, cond = both.chunk(2)
        return NoisePrediction(cond=cond, uncond=uncond)

    def trainable_denoiser(self, *, rank: int, seed: int) -> TrainableDenoiser:
        """Makes what `Trainable.trainable_denoiser` says."""
        if self._trainable is not None:
            self._trainable.remove()
            self._trainable = None
        self._trainable = LoraDenoiser(self.unet, self._denoise_prompted, rank=rank, seed=seed)
        return self._trainable

    def _denoise_prompted(self, noisy: Tensor, timestep: Tensor, conditions: Conditions) -> Tensor:
        return self._denoise(noisy, timestep, conditions.prompt, self._control(conditions, noisy.shape[0]))

    def _denoise(self, noisy: Tensor, timestep: Tensor, prompt: PromptEmbedding, control: Tensor | None) -> Tensor:
        """ε, float32, for one batch of latents and as many prompts."""
        sample = noisy.to(self.dtype)
        added = self._added_conditions(prompt)
        words = prompt.hidden_states.to(self.dtype)
        common = {"encoder_hidden_states": words, "added_cond_kwargs": added, "return_dict": False}
        residuals: dict[str, Any] = {}
        if self.controlnet is not None and control is not None:
            down, middle = self.controlnet(
                sample,
                timestep,
                controlnet_cond=control,
                conditioning_scale=self.config.control_scale,
                **common,
            )
            residuals = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        prediction = self.unet(sample, timestep, **common, **residuals)[0]
        return epsilon_from_prediction(
            prediction.float(),
            noisy.float(),
            self.components.alphas_cumprod[timestep],
            self.components.prediction_type,
        )

    def _control(self, conditions: Conditions, batch: int) -> Tensor | None:
        """The ControlNet's picture at `image_size`; None where there is no ControlNet or nothing to show it."""
        if self.controlnet is None or conditions.depth is None or conditions.mask is None:
            return None
        if conditions.depth.shape[0] != batch:
            raise GuidanceError(
                f"Got {conditions.depth.shape[0]} depth images for {batch} latents; expected one a view."
            )
        picture = self._control_image(conditions.depth.float(), conditions.mask, conditions.shading)
        return resize_bilinear(picture, self.image_size).to(device=self.device, dtype=self.dtype)

    @property
    def _shift(self) -> float:
        """Only newer autoencoders have one."""
        return float(self.vae.config.get("shift_factor") or 0.0)
