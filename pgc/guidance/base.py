# SPDX-License-Identifier: Apache-2.0
"""What every diffusion prior offers, and the plain data that goes in and out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from pgc.guidance.conditions import Conditions, PromptEmbedding
from pgc.guidance.control_specs import ControlKind

__all__ = [
    "Conditions",
    "Guidance",
    "HalfPrecisionAutoencoder",
    "LightAware",
    "LimitedReader",
    "NoisePrediction",
    "PredictionType",
    "PromptEmbedding",
    "Shown",
    "ShownKind",
    "Trainable",
    "TrainableDenoiser",
    "ViewTeacher",
    "epsilon_from_prediction",
]

PredictionType = Literal["epsilon", "v_prediction", "sample", "velocity"]
"""What the network itself was trained to predict. Outside of a guidance, predictions are always ε."""
ShownKind = ControlKind | Literal["ip-adapter"]
"""What a prior may be shown of the mesh, and of a reference picture."""


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
class Shown(Protocol):
    """A prior that is shown pictures of the mesh by ControlNets, or a reference picture by an IP-Adapter."""

    @property
    def shows(self) -> frozenset[ShownKind]:
        """Which; what these need of `Conditions` is to be given."""
        ...


@runtime_checkable
class ViewTeacher(Protocol):
    """A prior that judges views of an object by one picture of it: it is told `Conditions.reference`,
    `reference_to_world` and `camera_to_world`."""

    @property
    def sees_reference_view(self) -> bool:
        """Always true."""
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
    ε = √ᾱ·v + √(1 - ᾱ)·z_t; a predicted sample z gives ε = (z_t - √ᾱ·z) / √(1 - ᾱ). The velocity of a straight flow
    is u = ε - z, hence ε = (z_t + √ᾱ·u) / (√ᾱ + √(1 - ᾱ)).
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
        case "velocity":
            return (noisy_latents + signal * prediction) / (signal + sigma)
