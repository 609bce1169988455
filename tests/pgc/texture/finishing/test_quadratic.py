# SPDX-License-Identifier: Apache-2.0
"""The seam solver against a dense solution of the same energy."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from pgc.errors import ConfigError
from pgc.texture.finishing.quadratic import (
    JumpLevel,
    MultiresolutionProblem,
    QuadraticConfig,
    QuadraticProblem,
    box_mip,
    box_mip_transposed,
)

SIZE = 8
CONFIG = QuadraticConfig(stiffness=7.0, smoothness=2.0, iterations=300, tolerance=1e-6)


def _problem() -> tuple[list[JumpLevel], np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(2)
    levels = []
    for mip, rows in ((0, 10), (1, 5)):
        side = SIZE >> mip
        matrix = np.zeros((rows, side * side))
        for row in range(rows):
            matrix[row, random.choice(side * side, 2, replace=False)] = 1.0, -1.0
        levels.append(JumpLevel(matrix=csr_matrix(matrix), mip=mip, weight=1.0 + mip))
    cost = random.uniform(0.1, 1.0, (1, SIZE, SIZE))
    free = random.random((1, SIZE, SIZE)) < 0.8
    return levels, cost, free, random.random((1, SIZE, SIZE, 2)).astype(np.float32)


def _dense(levels: list[JumpLevel], cost: np.ndarray, free: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Minimises the energy, written down term by term, with a dense solver."""
    count = SIZE * SIZE
    rows, goals = [], []
    for index in range(count):
        row = np.zeros(count)
        row[index] = np.sqrt(cost.flat[index])
        rows.append(row)
        goals.append(np.zeros(image.shape[-1]))
    for y, x in np.ndindex(SIZE, SIZE):
        for ny, nx in ((y + 1, x), (y, x + 1)):
            if ny < SIZE and nx < SIZE and free[0, y, x] and free[0, ny, nx]:
                row = np.zeros(count)
                weight = np.sqrt(CONFIG.smoothness * min(cost[0, y, x], cost[0, ny, nx]))
                row[y * SIZE + x], row[ny * SIZE + nx] = weight, -weight
                rows.append(row)
                goals.append(np.zeros(image.shape[-1]))
    averages = [np.eye(count), box_mip(np.eye(count).reshape(1, SIZE, SIZE, count), 1).reshape(-1, count)]
    for level in levels:
        matrix = np.sqrt(CONFIG.stiffness * level.weight) * level.matrix.toarray() @ averages[level.mip]
        rows.extend(matrix)
        goals.extend(-matrix @ image.reshape(count, -1).astype(np.float64))
    chosen = free.reshape(-1)
    change = np.zeros((count, image.shape[-1]))
    change[chosen] = np.linalg.lstsq(np.array(rows)[:, chosen], np.array(goals), rcond=None)[0]
    return change.reshape(image.shape)


def test_agrees_with_the_dense_solution() -> None:
    levels, cost, free, image = _problem()
    problem = QuadraticProblem(levels, cost, free, CONFIG)
    expected = _dense(levels, cost, free, image)
    assert np.abs(expected).max() > 0.05
    change = problem.change(image)
    np.testing.assert_allclose(change, expected, atol=2e-5)
    np.testing.assert_array_equal(change[~free], 0.0)
    guess = np.random.default_rng(1).random(image.shape).astype(np.float32)
    np.testing.assert_allclose(problem.change(image, guess, 300), expected, atol=2e-5)
    np.testing.assert_array_equal(MultiresolutionProblem([problem], np.ones_like(cost)).solve(image), image + change)


def test_a_coarser_problem_is_only_a_starting_point() -> None:
    levels, cost, free, image = _problem()
    fine = QuadraticProblem(levels, cost, free, CONFIG)
    coarse_cost, coarse_free = box_mip(cost[..., None], 1)[..., 0], np.ones((1, SIZE // 2, SIZE // 2), dtype=bool)
    coarse = QuadraticProblem([JumpLevel(matrix=levels[1].matrix, mip=0)], coarse_cost, coarse_free, CONFIG)
    refined = QuadraticConfig(stiffness=7.0, smoothness=2.0, iterations=300, refinements=300, tolerance=1e-6)
    fine = QuadraticProblem(levels, cost, free, refined)
    solved = MultiresolutionProblem([fine, coarse], np.ones_like(cost)).solve(image)
    np.testing.assert_allclose(solved - image, _dense(levels, cost, free, image), atol=2e-5)


def test_mip_and_its_transpose() -> None:
    random = np.random.default_rng(0)
    fine, coarse = random.random((2, 16, 16, 3)), random.random((2, 4, 4, 3))
    np.testing.assert_allclose(box_mip(fine, 2)[1, 0, 3], fine[1, :4, 12:].mean(axis=(0, 1)))
    np.testing.assert_allclose((box_mip(fine, 2) * coarse).sum(), (fine * box_mip_transposed(coarse, 2)).sum())


@pytest.mark.parametrize("changes", [{"stiffness": 0.0}, {"smoothness": -1.0}, {"iterations": 0}, {"refinements": 0}])
def test_bad_settings_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="Expected"):
        QuadraticConfig(**changes)  # pyright: ignore[reportArgumentType]
