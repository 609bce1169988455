# SPDX-License-Identifier: Apache-2.0
"""One run over several graphics cards: a process ("rank") for each, which share out the views of every step.

What is shared out is where the time goes: the autoencoder there and back, and the network. Drawing the views, and
learning from them, is a few hundredths of a step; each rank does it for all views, so that all hold the same texels,
and every draw of a step is the one of a run on one card. What a rank learnt is averaged with the others' before each
update, since a card adds up in no fixed order and copies would drift apart.

    with torch.distributed set up:    share(optimization, Ranks(rank=0, count=2, device=device))
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torch import Tensor

from pgc.distillation.base import DistillationLoss, LatentGradient, LearningLoss
from pgc.errors import ConfigError
from pgc.guidance.base import Conditions, Guidance, NoisePrediction, PredictionType, PromptEmbedding
from pgc.optimization.loop import Optimization
from pgc.optimization.view_encoder import EncodedViews, ViewEncoder

__all__ = ["Ranks", "SharedGuidance", "SharedLoss", "share"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """The processes of a run, over the default group of torch.distributed.

    Each method but `of` is called by all of them at the same place of the run; they wait for each other there.
    """

    rank: int
    """Of this process, from 0."""
    count: int
    device: torch.device
    """Of this process."""

    def of(self, views: int) -> tuple[int, int]:
        """Returns which views are this process's: from the first to before the second number."""
        return views * self.rank // self.count, views * (self.rank + 1) // self.count

    def gathered(self, part: Tensor, views: int) -> Tensor:
        """Returns the rows of all views, of which every process has its own."""
        edges = [views * rank // self.count for rank in range(self.count + 1)]
        sizes = [last - first for first, last in itertools.pairwise(edges)]
        # All send as much: the collectives know no other.
        padded = part.new_zeros((max(sizes), *part.shape[1:]))
        padded[: len(part)] = part.detach()
        received = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(received, padded)
        return torch.cat([rows[:size] for rows, size in zip(received, sizes, strict=True)])

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replaces each tensor by its mean over the processes."""
        for tensor in tensors:
            dist.all_reduce(tensor)
            tensor /= self.count

    def any(self, flag: bool) -> bool:
        """Says whether any of the processes says so."""
        said = torch.tensor([float(flag)], device=self.device)
        dist.all_reduce(said, op=dist.ReduceOp.MAX)
        return bool(said.item())

    def agree(self, value: int) -> bool:
        """Says whether all processes gave the same number."""
        said = torch.tensor([value, -value], device=self.device)
        dist.all_reduce(said, op=dist.ReduceOp.MAX)
        return int(said[0]) == -int(said[1])

    def first_says(self, value: int) -> int:
        """Returns what the first process gave."""
        said = torch.tensor([value], device=self.device)
        dist.broadcast(said, src=0)
        return int(said)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _SharedViews(EncodedViews):
    """All views, and those that this process encoded."""

    mine: EncodedViews


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _SharedEncoder(ViewEncoder):
    """An encoder of which each process uses its share."""

    ranks: Ranks

    def encode(self, image: Float[Tensor, "b 3 h w"], *, noise_seed: int = 0) -> EncodedViews:
        """Returns the latents of all pictures, of which this process encodes some."""
        first, last = self.ranks.of(len(image))
        mine = ViewEncoder.encode(self, image[first:last], noise_seed=noise_seed)
        latents = self.ranks.gathered(mine.latents, len(image))
        return _SharedViews(image=image.detach(), latents=latents, noise_seed=noise_seed, mine=mine)

    def propagate(self, encoded: EncodedViews, latent_gradient: Float[Tensor, "b k m n"]) -> Float[Tensor, "b 3 h w"]:
        """Returns ∂L/∂x of all pictures, of which this process computes some."""
        if not self.needs_gradient or not isinstance(encoded, _SharedViews):
            return ViewEncoder.propagate(self, encoded, latent_gradient)
        first, last = self.ranks.of(len(encoded.image))
        mine = ViewEncoder.propagate(self, encoded.mine, latent_gradient[first:last])
        return self.ranks.gathered(mine, len(encoded.image))


@dataclass(frozen=True, slots=True, eq=False)
class SharedGuidance:
    """A prior that answers for the views of this process, and hears from the others what theirs said."""

    own: Guidance
    ranks: Ranks

    @property
    def name(self) -> str:
        """The prior's name in reports."""
        return self.own.name

    @property
    def image_size(self) -> int:
        """Side of the pictures that the prior was trained on."""
        return self.own.image_size

    @property
    def alphas_cumprod(self) -> Float[Tensor, " t"]:
        """ᾱ_t of the prior."""
        return self.own.alphas_cumprod

    @property
    def prediction_type(self) -> PredictionType:
        """What the network predicts inside."""
        return self.own.prediction_type

    @property
    def device(self) -> torch.device:
        """Where this process's copy of the weights is."""
        return self.own.device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the weights."""
        return self.own.dtype

    def encode_prompt(self, prompts: Sequence[str], *, negative: bool = False) -> PromptEmbedding:
        """Encodes prompts; each process all of them."""
        return self.own.encode_prompt(prompts, negative=negative)

    def unknown_words(self, prompt: str) -> tuple[str, ...]:
        """Returns the words that the prior cannot know."""
        return self.own.unknown_words(prompt)

    def encode_image(
        self, image: Float[Tensor, "b 3 h w"], *, generator: torch.Generator | None = None
    ) -> Float[Tensor, "b k m n"]:
        """Encodes pictures; each process all of them, since a gradient may go back to all."""
        return self.own.encode_image(image, generator=generator)

    def decode_latents(self, latents: Float[Tensor, "b k m n"]) -> Float[Tensor, "b 3 h w"]:
        """Decodes this process's share of latents; returns the pictures of all."""
        if len(latents) < self.ranks.count:
            return self.own.decode_latents(latents)
        first, last = self.ranks.of(len(latents))
        return self.ranks.gathered(self.own.decode_latents(latents[first:last]), len(latents))

    def predict_noise(
        self, noisy_latents: Float[Tensor, "b k m n"], timestep: Int[Tensor, " b"], conditions: Conditions
    ) -> NoisePrediction:
        """Predicts for this process's share of latents; returns the predictions for all."""
        views = len(noisy_latents)
        if views < self.ranks.count:
            return self.own.predict_noise(noisy_latents, timestep, conditions)
        first, last = self.ranks.of(views)
        mine = self.own.predict_noise(noisy_latents[first:last], timestep[first:last], conditions.of_views(first, last))
        answers = {item.name: self.ranks.gathered(getattr(mine, item.name), views) for item in fields(mine)}
        return NoisePrediction(**answers)


class SharedLoss:
    """A loss that asks a shared prior; its draws are those of all views."""

    def __init__(self, own: DistillationLoss, ranks: Ranks) -> None:
        self.own = own
        self.ranks = ranks
        self.needs_encoder_gradient = own.needs_encoder_gradient
        self.has_image_target = own.has_image_target

    def gradient(
        self,
        latents: Float[Tensor, "b k m n"],
        guidance: Guidance,
        conditions: Conditions,
        *,
        progress: float,
        generator: torch.Generator,
    ) -> LatentGradient:
        """Returns ∂L/∂z of all views."""
        shared = SharedGuidance(guidance, self.ranks)
        return self.own.gradient(latents, shared, conditions, progress=progress, generator=generator)


def share(optimization: Optimization, ranks: Ranks) -> None:
    """Shares a run out from its next step on, which every process of `ranks` has set up alike.

    Raises:
        ConfigError: there are more processes than views, or the loss trains a network of its own.
    """
    views, loss = optimization.config.views, optimization.loss
    if views < ranks.count:
        raise ConfigError(
            f"{ranks.count} processes are to share {views} views a step; start no more than there are views, or give "
            "more --views."
        )
    if isinstance(loss, LearningLoss):
        raise ConfigError("A loss that trains a network of its own (vsd) cannot be shared out; run it on one card.")
    own = optimization.encoder
    encoder = {item.name: getattr(own, item.name) for item in fields(own)}
    optimization.encoder = _SharedEncoder(**{**encoder, "first_view": ranks.of(views)[0]}, ranks=ranks)
    optimization.loss = SharedLoss(loss, ranks)

    if optimization.warm is not None:
        optimization.warm.share(SharedGuidance(optimization.guidance, ranks), ranks.average)

    def average(optimizer: torch.optim.Optimizer, *given: object) -> None:
        """Averages what the processes learnt."""
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        ranks.average([parameter.grad for parameter in parameters if parameter.grad is not None])

    optimization.optimizer.register_step_pre_hook(average)
