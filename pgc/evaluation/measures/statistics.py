# SPDX-License-Identifier: Apache-2.0
"""Counting: proportions with their intervals, votes, confusion matrices. No tensors."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import scipy.special

from pgc.errors import ConfigError

__all__ = [
    "Z_95",
    "Proportion",
    "confusion_matrix",
    "majority",
    "mean_interval",
    "median",
    "proportion",
    "wilson_interval",
]

Z_95 = 1.959963984540054
"""The standard normal's 97.5 % quantile: a two-sided interval of 95 %."""


def wilson_interval(successes: int, trials: int, z: float = Z_95) -> tuple[float, float]:
    """Computes the Wilson score interval of a proportion (E. B. Wilson, JASA 22, 1927).

    Args:
        successes: how many of the trials succeeded.
        trials: how many there were, 0 or more.
        z: quantile of the standard normal; 1.96 for 95 %.

    Returns:
        The lower and upper end, in [0, 1]. Without trials nothing is known: (0, 1).

    Raises:
        ConfigError: successes are not between 0 and trials.
    """
    if not 0 <= successes <= trials:
        raise ConfigError(f"{successes} successes of {trials} trials; expected 0 <= successes <= trials.")
    if trials == 0:
        return 0.0, 1.0
    share = successes / trials
    scale = 1.0 + z * z / trials
    centre = (share + z * z / (2.0 * trials)) / scale
    half = z * math.sqrt(share * (1.0 - share) / trials + z * z / (4.0 * trials * trials)) / scale
    # Rounding must not exclude an end that the formula reaches exactly.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return low, high


@dataclass(frozen=True, slots=True, kw_only=True)
class Proportion:
    """A share of successes with its 95 % Wilson interval."""

    successes: int
    trials: int
    share: float
    low: float
    high: float

    def __str__(self) -> str:
        interval = f"95 % CI {100 * self.low:.1f} to {100 * self.high:.1f}"
        return f"{100 * self.share:.1f} % ({self.successes} of {self.trials}, {interval})"


def proportion(outcomes: Sequence[bool]) -> Proportion:
    """Returns the share of true outcomes. Without outcomes the share is 0 and the interval (0, 1)."""
    successes, trials = sum(outcomes), len(outcomes)
    low, high = wilson_interval(successes, trials)
    return Proportion(
        successes=successes, trials=trials, share=successes / trials if trials else 0.0, low=low, high=high
    )


def majority(votes: Sequence[str], weights: Sequence[float]) -> str:
    """Returns the value with most votes; among values with equally many, the one with the larger summed weight.

    Raises:
        ConfigError: there are no votes, or not one weight a vote.
    """
    if not votes or len(votes) != len(weights):
        raise ConfigError(
            f"{len(votes)} votes with {len(weights)} weights; expected one or more of each, equally many."
        )
    counts = Counter(votes)
    weight = {value: sum(w for v, w in zip(votes, weights, strict=True) if v == value) for value in counts}
    # The name comes last so that an exact tie has one answer, whatever the order of the votes.
    return min(counts, key=lambda value: (-counts[value], -weight[value], value))


def confusion_matrix(truth: Sequence[str], answers: Sequence[str], labels: Sequence[str]) -> list[list[int]]:
    """Counts the answers: row = the true label, column = the answer, both in the order of `labels`.

    Raises:
        ConfigError: lengths differ, or a value is not among the labels.
    """
    if len(truth) != len(answers):
        raise ConfigError(f"{len(truth)} true values with {len(answers)} answers; expected equally many.")
    at = {label: index for index, label in enumerate(labels)}
    strange = sorted({*truth, *answers} - at.keys())
    if strange:
        raise ConfigError(f"Values {strange} are not among the labels {list(labels)}.")
    matrix = [[0] * len(labels) for _ in labels]
    for expected, answer in zip(truth, answers, strict=True):
        matrix[at[expected]][at[answer]] += 1
    return matrix


def mean_interval(values: Sequence[float]) -> dict[str, float | int]:
    """Returns the mean with a 95 % interval by Student's distribution (n − 1 degrees of freedom); worst and best value;
    n.

    With one value the interval is that value: there is nothing to tell its spread by.
    """
    count = len(values)
    mean = sum(values) / count
    spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1)) if count > 1 else 0.0
    quantile = float(scipy.special.stdtrit(count - 1, 0.975)) if count > 1 else 0.0
    half = quantile * spread / math.sqrt(count)
    return {"n": count, "mean": mean, "low": mean - half, "high": mean + half, "min": min(values), "max": max(values)}


def median(values: Sequence[float]) -> float:
    """Returns the middle value; the mean of the two middle values where their number is even.

    Raises:
        ConfigError: there are no values.
    """
    if not values:
        raise ConfigError("The median of no values was asked for; measure at least once.")
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else 0.5 * (ordered[middle - 1] + ordered[middle])
