# SPDX-License-Identifier: Apache-2.0
"""Each figure against a value worked out by hand or taken from the literature."""

from __future__ import annotations

import pytest

from pgc.errors import ConfigError
from pgc.evaluation.measures.statistics import confusion_matrix, majority, median, proportion, wilson_interval


def test_wilson_matches_newcombe_1998_table_1() -> None:
    """R. G. Newcombe, Statistics in Medicine 17, 1998: 81 of 263 and 15 of 148 by the score method."""
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)


def test_wilson_at_the_ends() -> None:
    # 0 of 20: the upper end is z^2 / (n + z^2) = 3.8415 / 23.8415.
    assert wilson_interval(0, 20) == pytest.approx((0.0, 0.16113), abs=1e-5)
    assert wilson_interval(20, 20) == pytest.approx((0.83887, 1.0), abs=1e-5)
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_wilson_with_z_1_by_hand() -> None:
    # 1 of 1 with z = 1: centre (1 + 1/2) / 2 = 3/4, half width sqrt(1/4) / 2 = 1/4.
    assert wilson_interval(1, 1, z=1.0) == pytest.approx((0.5, 1.0))


@pytest.mark.parametrize(("successes", "trials"), [(-1, 3), (4, 3)])
def test_wilson_refuses_impossible_counts(successes: int, trials: int) -> None:
    with pytest.raises(ConfigError, match="successes"):
        wilson_interval(successes, trials)


def test_proportion_counts() -> None:
    score = proportion([True, False, True, True])
    assert (score.successes, score.trials, score.share) == (3, 4, 0.75)
    assert (score.low, score.high) == wilson_interval(3, 4)
    assert str(score).startswith("75.0 % (3 of 4, 95 % CI ")
    assert proportion([]).share == 0.0


def test_majority_counts_before_weights() -> None:
    assert majority(["red", "red", "blue"], [0.1, 0.1, 9.0]) == "red"
    assert majority(["red", "blue"], [0.4, 0.6]) == "blue"
    assert majority(["red", "blue"], [0.5, 0.5]) == majority(["blue", "red"], [0.5, 0.5]) == "blue"


def test_majority_refuses_empty_and_uneven() -> None:
    with pytest.raises(ConfigError, match="votes"):
        majority([], [])
    with pytest.raises(ConfigError, match="votes"):
        majority(["red"], [])


def test_confusion_matrix_rows_are_truth() -> None:
    assert confusion_matrix(["a", "a", "b"], ["a", "b", "b"], ["a", "b", "c"]) == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_confusion_matrix_refuses_strangers_and_uneven() -> None:
    with pytest.raises(ConfigError, match="not among"):
        confusion_matrix(["a"], ["z"], ["a", "b"])
    with pytest.raises(ConfigError, match="equally many"):
        confusion_matrix(["a"], [], ["a"])


def test_median() -> None:
    assert median([3.0, 1.0, 2.0]) == 2.0
    assert median([4.0, 1.0, 2.0, 3.0]) == 2.5
    with pytest.raises(ConfigError, match="median"):
        median([])
