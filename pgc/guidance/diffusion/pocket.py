# SPDX-License-Identifier: Apache-2.0
"""The pocket prior: this project's own small latent diffusion model, shipped in the package.

It is stored as Stable Diffusion is, loads through the same code and runs through the same class; only its depth
picture, its small vocabulary and its habit of asking for flat light are its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pgc.errors import GuidanceError
from pgc.guidance.base import PredictionType, PromptEmbedding
from pgc.guidance.diffusion.latent_diffusion_config import LatentDiffusionConfig
from pgc.guidance.diffusion.loading import Components, ControlNetModel
from pgc.guidance.diffusion.long_prompts import FittedPrompt, fitted_prompt
from pgc.guidance.diffusion.stable_diffusion import StableDiffusionGuidance
from pgc.guidance.diffusion.through_model import ThroughModel
from pgc.guidance.remembered_picture import remember_pictures
from pgc.guidance.sources import packaged_pocket
from pgc.guidance.vocabulary import Vocabulary
from pgc.pocket.conditioning import depth_condition, lit_condition

__all__ = ["PocketGuidance", "pocket_weights"]

_DEPTH_CHANNELS = 3


def pocket_weights() -> Path:
    """Returns the folder of the weights that came with this package.

    Raises:
        GuidanceError: this copy of the package has none.
    """
    folder = packaged_pocket()
    if not (folder / "model_index.json").is_file():
        raise GuidanceError(
            f"This copy of pgc has no pocket prior (expected {folder}); install the package again, or train it with: "
            "python -m pgc.pocket"
        )
    return folder


class PocketGuidance(ThroughModel[StableDiffusionGuidance]):
    """`pgc.guidance.base.Guidance` with a vocabulary of its own; `LightAware` with the weights for it."""

    def __init__(
        self,
        components: Components,
        *,
        controlnet: ControlNetModel | None,
        vocabulary: Vocabulary,
        prompt_suffix: str,
        config: LatentDiffusionConfig,
        device: torch.device,
    ) -> None:
        if controlnet is not None and device.type == "cpu":
            remember_pictures(controlnet)
        channels = _DEPTH_CHANNELS if controlnet is None else int(controlnet.config["conditioning_channels"])
        self._model = StableDiffusionGuidance(
            "pocket",
            components,
            controlnet=controlnet,
            config=config,
            device=device,
            control_image=partial(_control_image, channels=channels),
        )
        self._components, self._controlnet = components, controlnet
        self.takes_shading = channels > _DEPTH_CHANNELS
        self.vocabulary = vocabulary
        self.prompt_suffix = prompt_suffix
        self.name = self._model.name
        self.device = device
        self.dtype = self._model.dtype
        self.image_size = self._model.image_size
        self.alphas_cumprod = self._model.alphas_cumprod
        self.prediction_type: PredictionType = self._model.prediction_type

    def encode_prompt(self, prompts: Sequence[str], *, negative: bool = False) -> PromptEmbedding:
        """Encodes as `Guidance.encode_prompt` says; `prompt_suffix` goes on every prompt that says something and is
        wanted."""
        return self._model.encode_prompt([self._complete(prompt, negative=negative).text for prompt in prompts])

    def retuned(self, config: LatentDiffusionConfig, prompt_suffix: str) -> PocketGuidance:
        """Returns the same weights under other settings (`pgc.guidance.retuning`)."""
        self._model.end_training()
        return PocketGuidance(
            self._components,
            controlnet=self._controlnet,
            vocabulary=self.vocabulary,
            prompt_suffix=prompt_suffix,
            config=config,
            device=self.device,
        )

    def unknown_words(self, prompt: str) -> tuple[str, ...]:
        """Returns what `Guidance.unknown_words` says; `vocabulary.message` says the same in sentences."""
        return self.vocabulary.unknown_words(prompt)

    def left_out(self, prompt: str, *, negative: bool = False) -> tuple[str, ...]:
        """Returns what `LimitedReader.left_out` says."""
        return self._complete(prompt, negative=negative).left_out

    def _complete(self, prompt: str, *, negative: bool) -> FittedPrompt:
        """What is read of a prompt: it was trained with one window. The prompt asks for a texture, so that light and
        shade are better left to the renderer."""
        said = self.prompt_suffix.strip(" ,")
        if negative or not prompt.strip() or not said:
            return fitted_prompt(prompt, self._model.fits_one_window)
        ending = "" if said.lower() in prompt.lower() else self.prompt_suffix
        return fitted_prompt(prompt, self._model.fits_one_window, keep=(said,), ending=ending)


def _control_image(
    depth: Float[Tensor, "b 1 h w"],
    mask: Bool[Tensor, "b 1 h w"],
    shading: Float[Tensor, "b k h w"] | None = None,
    *,
    channels: int = _DEPTH_CHANNELS,
) -> Float[Tensor, "b c h w"]:
    """Depth as in training; and behind it the shading, for weights that look at it, or zeros where it is not told."""
    picture = depth_condition(depth, mask.to(depth.dtype))
    if channels == _DEPTH_CHANNELS:
        return picture
    expected = (len(depth), channels - _DEPTH_CHANNELS, *depth.shape[2:])
    if shading is not None and tuple(shading.shape) != expected:
        raise GuidanceError(f"Got shading of {tuple(shading.shape)}; this prior was trained with {expected}.")
    return lit_condition(picture, shading, channels)
