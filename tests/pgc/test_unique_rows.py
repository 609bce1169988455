# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pgc.unique_rows import unique_rows


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.float32, np.float64, np.int32, np.int64]),
        st.tuples(st.integers(1, 30), st.integers(1, 4)),
        elements=st.integers(-2, 2),
    )
)
def test_it_equals_numpys_slow_way(rows: np.ndarray) -> None:
    pool, inverse = unique_rows(rows)
    expected, numbers = np.unique(rows, axis=0, return_inverse=True)
    np.testing.assert_array_equal(pool, expected)
    np.testing.assert_array_equal(inverse, numbers.reshape(-1))
    np.testing.assert_array_equal(pool[inverse], rows)


def test_zeros_of_both_signs_are_one_row() -> None:
    _, inverse = unique_rows(np.array([[0.0, 1.0], [-0.0, 1.0]], np.float32))
    assert inverse.tolist() == [0, 0]


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_no_rows_are_no_rows(columns: int) -> None:
    pool, inverse = unique_rows(np.empty((0, columns), np.float32))
    assert pool.shape == (0, columns)
    assert inverse.shape == (0,)
