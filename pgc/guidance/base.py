# SPDX-License-Identifier: Apache-2.0
"""What every diffusion prior offers, and the plain data that goes in and out of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from pgc.errors import GuidanceError
from pgc.surface import SurfacePoints

__all__ = [
    "Conditions",
    "Guidance",
    "HalfPrecisionAutoencoder",
    "LightAware",
    "LimitedReader",
    "NoisePrediction",
    "PredictionType",
    "PromptEmbedding",
    "Trainable",
    "TrainableDenoiser",
    "epsilon_from_prediction",
]

PredictionType = Literal["epsilon", "v_prediction", "sample"]
"""What the network itself was trained to predict. Outside of a guidance, predictions are always ε."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PromptEmbedding:
    """A batch of encoded prompts, in the dtype and on the device of the guidance that made it."""

    hidden_states: Float[Tensor, "b l d"]
    """One vector a token, what cross-attention reads."""
    pooled: Float[Tensor, "rows p"] | None = None
    """One vector a prompt (SDXL); None where the model has no use for it."""

    def __post_init__(self) -> None:
        if self.pooled is not None and self.pooled.shape[0] != self.hidden_states.shape[0]:
            raise GuidanceError(
                f"A prompt embedding has {self.hidden_states.shape[0]} rows of tokens and {self.pooled.shape[0]} "
                "pooled rows; both must come from the same call of encode_prompt."
            )

    @property
    def batch(self) -> int:
        """How many prompts."""
        return int(self.hidden_states.shape[0])

    def repeat(self, count: int) -> PromptEmbedding:
        """Repeats the whole batch `count` times over: (a, b) becomes (a, b, a, b, …)."""
        if count < 1:
            raise GuidanceError(f"A prompt embedding cannot be repeated {count} times; the count must be 1 or more.")
        return PromptEmbedding.cat([self] * count)

    def select(self, indices: Sequence[int]) -> PromptEmbedding:
        """Returns the rows named, in that order; a row may be named more than once."""
        index = torch.tensor(list(indices), dtype=torch.long, device=self.hidden_states.device)
        pooled = None if self.pooled is None else self.pooled[index]
        return PromptEmbedding(hidden_states=self.hidden_states[index], pooled=pooled)

    @staticmethod
    def cat(embeddings: Sequence[PromptEmbedding]) -> PromptEmbedding:
        """Makes one batch out of several, in order.

        Rows of fewer tokens are repeated until all have the same number: attention to a sequence and to that sequence
        several times over is the same, so nothing changes by it.

        Raises:
            GuidanceError: there are none, or only some of them have a pooled vector.
        """
        pooled = [embedding.pooled for embedding in embeddings if embedding.pooled is not None]
        if not embeddings or len(pooled) not in (0, len(embeddings)):
            raise GuidanceError(
                f"Got {len(embeddings)} prompt embeddings, {len(pooled)} of them pooled; expected one or more from "
                "the same guidance."
            )
        length = math.lcm(*(embedding.hidden_states.shape[1] for embedding in embeddings))
        states = [embedding.hidden_states for embedding in embeddings]
        return PromptEmbedding(
            hidden_states=torch.cat([state.repeat(1, length // state.shape[1], 1) for state in states]),
            pooled=torch.cat(pooled) if pooled else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conditions:
    """All that a noise prediction depends on besides the latents and the timestep; one row a view."""

    prompt: PromptEmbedding
    negative: PromptEmbedding
    """For the unconditional half of classifier-free guidance."""
    depth: Float[Tensor, "b 1 h w"] | None = None
    """Distance along the camera's -Z, as the G-buffer holds it; 0 at the background. None: no control."""
    mask: Bool[Tensor, "b 1 h w"] | None = None
    """Where the object is. Given wherever depth is."""
    shading: Float[Tensor, "b k h w"] | None = None
    """Known materials under the light of the picture (`pgc.rendering.known_materials`), sRGB in [0, 1], 0 off the
    mask. None: the light is not told. Only a `LightAware` prior looks at it."""
    reference_image: Float[Tensor, "b 3 h w"] | None = None
    """What the oracle takes for the truth: sRGB in [0, 1]. All other priors ignore it."""
    camera_to_world: Float[Tensor, "b 4 4"] | None = None
    """Where each view was taken from, on the CPU. Only a network that a loss trains (VSD) looks at it, and takes it to
    its device; for all others that would be a copy a step."""
    surface: SurfacePoints | None = None
    """What each pixel of the views shows. Only a loss whose noise belongs to the surface looks at it."""
    generator: torch.Generator | None = None
    """For what a guidance itself draws (the oracle's noise); a CPU generator."""

    def __post_init__(self) -> None:
        if self.prompt.batch != self.negative.batch:
            raise GuidanceError(
                f"Got {self.prompt.batch} prompts and {self.negative.batch} negative prompts; expected as many of "
                "each as there are views."
            )
        if (self.depth is None) != (self.mask is None):
            raise GuidanceError("Depth control needs depth and mask together; got only one of them.")
        if self.shading is not None and self.depth is None:
            raise GuidanceError("Shading is a part of the control image; got it without depth and mask.")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NoisePrediction:
    """Both halves of classifier-free guidance, as ε, float32."""

    cond: Float[Tensor, "b k m n"]
    uncond: Float[Tensor, "b k m n"]

    def guided(self, guidance_scale: float) -> Float[Tensor, "b k m n"]:
        """Returns ε̂ = uncond + s·(cond - uncond).

        Ho and Salimans, "Classifier-Free Diffusion Guidance", 2022, eq. 6, in the convention of diffusers: s = 1
        is the conditional prediction. The official PGC code computes cond + s·(cond - uncond), so that its 100
        is 101 here.
        """
        return self.uncond + guidance_scale * (self.cond - self.uncond)


@runtime_checkable
class Guidance(Protocol):
    """A diffusion prior: frozen weights, latents in, noise out. `encode_image` alone is differentiable."""

    @property
    def name(self) -> str:
        """The prior's name in reports: "pocket", "sd15", a hub id, a folder's name."""
        ...

    @property
    def image_size(self) -> int:
        """Side in pixels of the square images the prior was trained on, to which `encode_image` resizes."""
        ...

    @property
    def alphas_cumprod(self) -> Float[Tensor, " t"]:
        """ᾱ_t for t = 0 … T-1, float32, on `device`."""
        ...

    @property
    def prediction_type(self) -> PredictionType:
        """What the network predicts inside; `predict_noise` returns ε whatever this says."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the weights are and where latents come out."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the UNet's weights. What the methods below return is float32 all the same."""
        ...

    def encode_prompt(self, prompts: Sequence[str], *, negative: bool = False) -> PromptEmbedding:
        """Encodes prompts, one row each; "" is the unconditional prompt.

        `negative`: these say what is not wanted, so that nothing a prior likes to add to a prompt is added.
        """
        ...

    def unknown_words(self, prompt: str) -> tuple[str, ...]:
        """Returns the words of the prompt that the prior cannot know, in order, once each; empty for an open
        vocabulary."""
        ...

    def encode_image(
        self, image: Float[Tensor, "b 3 h w"], *, generator: torch.Generator | None = None
    ) -> Float[Tensor, "b k m n"]:
        """Returns scaled latents of sRGB images in [0, 1] of any size; differentiable.

        The posterior's mean, or with a generator (on the CPU) a sample of it.
        """
        ...

    def decode_latents(self, latents: Float[Tensor, "b k m n"]) -> Float[Tensor, "b 3 h w"]:
        """Returns images in [0, 1] at `image_size`; not differentiable."""
        ...

    def predict_noise(
        self, noisy_latents: Float[Tensor, "b k m n"], timestep: Int[Tensor, " b"], conditions: Conditions
    ) -> NoisePrediction:
        """Predicts ε̂ with and without the prompt at z_t = √ᾱ_t·z + √(1 - ᾱ_t)·ε; not differentiable.

        Raises:
            GuidanceError: a condition that this prior needs is missing or does not fit the batch.
        """
        ...


@runtime_checkable
class LimitedReader(Protocol):
    """A prior that reads a limited number of words, and says which it leaves out."""

    def left_out(self, prompt: str, *, negative: bool = False) -> tuple[str, ...]:
        """Returns the phrases of the prompt that `encode_prompt` leaves out, in order; empty where all of it is
        read."""
        ...


@runtime_checkable
class LightAware(Protocol):
    """A prior that may be told the light, by `Conditions.shading`."""

    @property
    def takes_shading(self) -> bool:
        """Whether these weights were trained with it."""
        ...


@runtime_checkable
class HalfPrecisionAutoencoder(Protocol):
    """A prior whose autoencoder may run in half precision, whose numbers end at 65504."""

    def widen_autoencoder(self) -> bool:
        """Goes on in float32 from now on; returns False where it ran so already."""
        ...


@runtime_checkable
class TrainableDenoiser(Protocol):
    """A network of a loss's own that starts as the prior and is trained beside it."""

    def parameters(self) -> list[nn.Parameter]:
        """Returns what is trained, in a fixed order."""
        ...

    def predict_noise(
        self,
        noisy_latents: Float[Tensor, "b k m n"],
        timestep: Int[Tensor, " b"],
        conditions: Conditions,
        camera: Float[Tensor, "b 16"] | None,
    ) -> Float[Tensor, "b k m n"]:
        """Predicts ε̂ under the prompt; differentiable by the parameters. `camera` None: it is not told."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the trained weights by name."""
        ...

    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes trained weights back."""
        ...


@runtime_checkable
class Trainable(Protocol):
    """A prior that can be trained beside itself, as VSD does."""

    def trainable_denoiser(self, *, rank: int, seed: int) -> TrainableDenoiser:
        """Makes a denoiser with adapters of this rank, whose first answer is the prior's own; an earlier one ends."""
        ...


def epsilon_from_prediction(
    prediction: Float[Tensor, "b k m n"],
    noisy_latents: Float[Tensor, "b k m n"],
    alpha_cumprod: Float[Tensor, " b"],
    prediction_type: PredictionType,
) -> Float[Tensor, "b k m n"]:
    """Turns a network's output into ε.

    v = √ᾱ·ε - √(1 - ᾱ)·z (Salimans and Ho, "Progressive Distillation", 2022, appendix D), hence
    ε = √ᾱ·v + √(1 - ᾱ)·z_t; a predicted sample z gives ε = (z_t - √ᾱ·z) / √(1 - ᾱ).
    """
    signal = alpha_cumprod.sqrt()[:, None, None, None]
    sigma = (1.0 - alpha_cumprod).sqrt()[:, None, None, None]
    match prediction_type:
        case "epsilon":
            return prediction
        case "v_prediction":
            return signal * prediction + sigma * noisy_latents
        case "sample":
            return (noisy_latents - signal * prediction) / sigma
