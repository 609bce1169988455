# SPDX-License-Identifier: Apache-2.0
"""Watches for gradients that are not finite: a prior whose half precision overflows teaches nothing.

A few such pixels a step are harmless, since they count as zero. Where they are many, the autoencoder goes on in single
precision, if it was in half; and where that does not help, the run ends with a sentence, rather than with half an
hour of gray.
"""

from __future__ import annotations

from collections.abc import Mapping

from pgc.errors import GuidanceError
from pgc.guidance.base import Guidance, HalfPrecisionAutoencoder

__all__ = ["MOST_SPOILT_IN_A_ROW", "FiniteWatch"]

MOST_SPOILT_IN_A_ROW = 8
_SPOILT = 0.01
"""Share of a step's pixels without a finite gradient from which on the step counts as spoilt."""


class FiniteWatch:
    """Counts, widens the autoencoder once, and ends a run that learns nothing."""

    def __init__(self, guidance: Guidance) -> None:
        self._guidance = guidance
        self._steps = 0
        self._pixels = 0
        self._in_a_row = 0
        self._widened_after: int | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the person who asked."""
        if self._widened_after is None:
            return ()
        return (
            f"The autoencoder's half precision overflowed in step {self._widened_after}; it goes on in float32, "
            "which takes more memory and time.",
        )

    def summary(self) -> Mapping[str, int | None]:
        """Returns the counts for a run's report."""
        return {"steps": self._steps, "pixels": self._pixels, "autoencoder_float32_after": self._widened_after}

    def after_step(self, step: int, lost: int, pixels: int) -> None:
        """Takes note of a step.

        Args:
            step: 1 after the first step.
            lost: pixels without a finite gradient; pixels: of all views together.

        Raises:
            GuidanceError: too many steps in a row were spoilt.
        """
        self._pixels += lost
        self._steps += lost > 0
        if lost <= _SPOILT * pixels:
            self._in_a_row = 0
            return
        self._in_a_row += 1
        if self._widened_after is None and self._widen():
            self._widened_after = step
            self._in_a_row = 0
            return
        if self._in_a_row >= MOST_SPOILT_IN_A_ROW:
            raise GuidanceError(
                f"The prior {self._guidance.name} gave no finite gradient for {lost / pixels:.0%} of the pixels, "
                f"{self._in_a_row} steps in a row up to step {step}, so that the texture cannot learn: its numbers "
                f"overflow in {str(self._guidance.dtype).removeprefix('torch.')}. Choose another model, or run this "
                "one on the CPU (--device cpu)."
            )

    def _widen(self) -> bool:
        return isinstance(self._guidance, HalfPrecisionAutoencoder) and self._guidance.widen_autoencoder()
