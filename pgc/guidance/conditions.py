# SPDX-License-Identifier: Apache-2.0
"""What a prior is told besides the latents: encoded prompts, and what the views show of the mesh."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pgc.errors import GuidanceError
from pgc.surface import SurfacePoints

__all__ = ["Conditions", "PromptEmbedding"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PromptEmbedding:
    """A batch of encoded prompts, in the dtype and on the device of the guidance that made it."""

    hidden_states: Float[Tensor, "b l d"]
    """One vector a token, what cross-attention reads."""
    pooled: Float[Tensor, "rows p"] | None = None
    """One vector a prompt (SDXL); None where the model has no use for it."""
    lengths: Int[Tensor, " rows"] | None = None
    """How many of a row's tokens are read, where the model is not to see the rest (Z-Image); None: all."""

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

    def rows(self, rows: slice) -> PromptEmbedding:
        """Returns consecutive rows, without a copy."""
        pooled = None if self.pooled is None else self.pooled[rows]
        lengths = None if self.lengths is None else self.lengths[rows]
        return PromptEmbedding(hidden_states=self.hidden_states[rows], pooled=pooled, lengths=lengths)

    def select(self, indices: Sequence[int]) -> PromptEmbedding:
        """Returns the rows named, in that order; a row may be named more than once."""
        index = torch.tensor(list(indices), dtype=torch.long, device=self.hidden_states.device)
        pooled = None if self.pooled is None else self.pooled[index]
        lengths = None if self.lengths is None else self.lengths[index]
        return PromptEmbedding(hidden_states=self.hidden_states[index], pooled=pooled, lengths=lengths)

    @staticmethod
    def cat(embeddings: Sequence[PromptEmbedding]) -> PromptEmbedding:
        """Makes one batch out of several, in order.

        Rows of fewer tokens are repeated until all have the same number: attention to a sequence and to that sequence
        several times over is the same, so nothing changes by it.

        Raises:
            GuidanceError: there are none, or only some of them have a pooled vector.
        """
        pooled = [embedding.pooled for embedding in embeddings if embedding.pooled is not None]
        lengths = [embedding.lengths for embedding in embeddings if embedding.lengths is not None]
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
            lengths=torch.cat(lengths) if len(lengths) == len(embeddings) else None,
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
    lit_white: Float[Tensor, "b k h w"] | None = None
    """White surfaces of known finishes under the light of the picture, linear radiance, in the order of
    `pgc.rendering.known_materials.LIT_WHITE`; 0 off the mask. Given where a control shows it of a lit picture."""
    normal: Float[Tensor, "b 3 h w"] | None = None
    """Unit normals in the camera's axes (x right, y up, z towards the viewer). Given where a control shows it."""
    regions: Int[Tensor, "b 1 h w"] | None = None
    """Number of the material that each pixel shows, negative at the background. Given where a control shows it."""
    picture: Float[Tensor, "b 3 h w"] | None = None
    """The views themselves, sRGB in [0, 1], cut off from the texture. Given where a control shows it."""
    reference: Float[Tensor, "1 3 y x"] | None = None
    """A picture that the texture is to resemble, or of the object that is to be found, sRGB in [0, 1]. Given where a
    control shows it, or the prior knows the object by it."""
    reference_to_world: Float[Tensor, "4 4"] | None = None
    """Where that picture was taken from, on the CPU; given where the prior compares views with it (`ViewTeacher`)."""
    progress: float = 0.0
    """Share of the run that is done; for controls that act in a part of it."""
    truth_image: Float[Tensor, "b 3 h w"] | None = None
    """What the oracle takes for the truth: sRGB in [0, 1]. All other priors ignore it."""
    camera_to_world: Float[Tensor, "b 4 4"] | None = None
    """Where each view was taken from, on the CPU. Only a network that a loss trains (VSD) and a `ViewTeacher` look
    at it, and take it to their device; for all others that would be a copy a step."""
    surface: SurfacePoints | None = None
    """What each pixel of the views shows. Only a loss whose noise belongs to the surface looks at it."""
    generator: torch.Generator | None = None
    """For what a guidance itself draws (the oracle's noise); a CPU generator."""
    among: tuple[int, int] | None = None
    """Where these are a part of a step's views: the number of the first, and how many there are in all. What is drawn
    for a view is then what would be drawn for it among all. None: these are all."""

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

    def of_views(self, first: int, last: int) -> Conditions:
        """Returns the conditions of the views from `first` to before `last`, for a guidance; what only losses look at
        is left out."""
        rows = ("depth", "mask", "shading", "lit_white", "normal", "regions", "picture", "truth_image")
        if self.reference_to_world is not None:
            rows = (*rows, "camera_to_world")
        part: dict[str, Any] = {"camera_to_world": None}
        part |= {name: None if (whole := getattr(self, name)) is None else whole[first:last] for name in rows}
        views = range(first, last)
        return replace(
            self,
            prompt=self.prompt.select(views),
            negative=self.negative.select(views),
            surface=None,
            among=(first, self.prompt.batch),
            **part,
        )
