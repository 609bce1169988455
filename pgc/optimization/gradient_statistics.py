# SPDX-License-Identifier: Apache-2.0
"""What regulation did to the gradient: by step for those who follow a run, and in all for its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pgc.gradient_regulation.base import covered_quantiles, pixel_norm

__all__ = ["GradientStatistics", "RegulationRecord", "gradient_statistics"]

_SHARES = (0.5, 0.999)
"""Median and tail."""
_UNCHANGED = 1e-4
"""Relative change of a pixel's norm below which it counts as left alone: the arithmetic of half precision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GradientStatistics:
    """Norms (Euclidean, over channels) of ∂L/∂x at the pixels where the mesh is; all 0 where there are none."""

    pixels: int
    """How many there are, of all views."""
    clipped_fraction: float
    """Share of them that regulation made shorter, longer or turned."""
    median_before: float
    tail_before: float
    """The 99.9th percentile."""
    median_after: float
    tail_after: float
    maximum_after: float
    non_finite_pixels: int
    """Of the whole pictures: their gradient was an infinity or a NaN, and counted as zero."""


def gradient_statistics(
    before: Float[Tensor, "b c h w"],
    after: Float[Tensor, "b c h w"],
    covered: Bool[Tensor, "b 1 h w"],
    lost: Bool[Tensor, "n 1 h w"],
) -> GradientStatistics:
    """Compares ∂L/∂x before and after regulation; one wait for a GPU.

    Args:
        before: finite everywhere.
        after: of the same pictures.
        covered: where the mesh is.
        lost: where the gradient was not finite, in these pictures and those that are not regulated.
    """
    sizes = pixel_norm(before.float())
    regulated = pixel_norm(after.float())
    changed = pixel_norm(after.float() - before.float()) > _UNCHANGED * sizes
    values = [
        covered.sum(),
        lost.sum(),
        (changed & covered).sum(),
        *covered_quantiles(sizes, covered, _SHARES),
        *covered_quantiles(regulated, covered, _SHARES),
        torch.where(covered, regulated, torch.zeros_like(regulated)).amax(),
    ]
    # float32 counts exactly as far as 16 million pixels; Apple's GPUs know no float64.
    pixels, gone, touched, *norms = torch.stack([value.float() for value in values]).tolist()
    median_before, tail_before, median_after, tail_after, largest = norms
    return GradientStatistics(
        pixels=int(pixels),
        clipped_fraction=touched / pixels if pixels else 0.0,
        median_before=median_before,
        tail_before=tail_before,
        median_after=median_after,
        tail_after=tail_after,
        maximum_after=largest,
        non_finite_pixels=int(gone),
    )


class RegulationRecord:
    """Sums over a run's steps, weighted by pixels, that its report and its checkpoints hold."""

    def __init__(self) -> None:
        self._steps = 0
        self._pixels = 0
        self._sums: dict[str, float] = {}
        self._largest_share = 0.0

    def after_step(self, statistics: GradientStatistics) -> None:
        """Takes note of a step."""
        values = asdict(statistics)
        pixels = values.pop("pixels")
        del values["non_finite_pixels"]
        self._steps += 1
        self._pixels += pixels
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value * pixels
        self._largest_share = max(self._largest_share, statistics.clipped_fraction)

    def summary(self) -> Mapping[str, float | int]:
        """Returns the means for a run's report; of no step, zeros."""
        means = {name: value / max(self._pixels, 1) for name, value in self._sums.items()}
        return {
            "steps": self._steps,
            "pixels": self._pixels,
            "largest_clipped_fraction": self._largest_share,
            **means,
        }

    def state(self) -> dict[str, Any]:
        """Returns what a checkpoint holds of it, as JSON."""
        return {
            "steps": self._steps,
            "pixels": self._pixels,
            "largest": self._largest_share,
            "sums": dict(self._sums),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        self._steps = int(state["steps"])
        self._pixels = int(state["pixels"])
        self._largest_share = float(state["largest"])
        self._sums = {str(name): float(value) for name, value in state["sums"].items()}
