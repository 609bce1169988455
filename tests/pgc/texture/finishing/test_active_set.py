# SPDX-License-Identifier: Apache-2.0
"""The solver over the texels near seams, against the plain one over all of them and a dense solution."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from pgc.texture.finishing.active_set import ActiveProblem
from pgc.texture.finishing.ladder import Matrix
from pgc.texture.finishing.quadratic import JumpLevel, MultiresolutionProblem, QuadraticConfig, QuadraticProblem

SIZE = 64
CONFIG = QuadraticConfig(stiffness=7.0, smoothness=2.0, iterations=400, refinements=400, tolerance=1e-6)


def seam_problem(tiles=1, mips=(0, 1, 3)):
    """A seam down the middle of every tile, felt on some mips; costs and free texels drawn by a seed."""
    random = np.random.default_rng(5)
    levels = []
    for mip in mips:
        side = SIZE >> mip
        rows = np.arange(tiles * side)
        columns = np.stack([rows * side + side // 2 - 1, rows * side + side // 2], axis=1)
        values = np.tile([1.0, -1.0], (len(rows), 1))
        places = (np.repeat(rows, 2), columns.reshape(-1))
        matrix = csr_matrix((values.reshape(-1), places), shape=(len(rows), tiles * side * side))
        levels.append(JumpLevel(matrix=matrix, mip=mip, weight=1.3**mip))
    cost = random.uniform(0.01, 1.0, (tiles, SIZE, SIZE))
    free = random.random((tiles, SIZE, SIZE)) < 0.9
    return levels, cost, free, random.random((tiles, SIZE, SIZE, 2)).astype(np.float32)


@pytest.mark.parametrize("tiles", [1, 2])
def test_finds_what_the_plain_solver_finds(tiles):
    levels, cost, free, image = seam_problem(tiles)
    expected = QuadraticProblem(levels, cost, free, CONFIG).change(image)
    assert np.abs(expected).max() > 0.1
    problem = ActiveProblem(levels, cost, free, CONFIG)
    np.testing.assert_allclose(problem.change(image), expected, atol=1e-4)
    guess = np.random.default_rng(1).random(image.shape).astype(np.float32)
    changed = problem.change(image, guess, 400)
    np.testing.assert_allclose(changed, expected, atol=1e-4)
    np.testing.assert_array_equal(changed[~free], 0.0)


def test_far_from_seams_nothing_changes_and_near_them_it_is_as_if_all_could():
    levels, cost, free, image = seam_problem(mips=(0, 1))
    expected = ActiveProblem(levels, cost, free, CONFIG).change(image)
    problem = ActiveProblem(levels, cost, free, CONFIG, reach=16)
    assert 0 < problem.unknowns < 0.8 * free.sum()
    changed = problem.change(image)
    far = np.abs(np.arange(SIZE) - (SIZE - 1) / 2) > 16 + 2 + 8
    np.testing.assert_array_equal(changed[:, :, far], 0.0)
    np.testing.assert_allclose(changed, expected, atol=1e-3)


def test_what_is_no_unknown_keeps_the_guess_and_is_reckoned_with():
    levels, cost, free, image = seam_problem(mips=(0,))
    free[:] = True
    guess = np.full_like(image, 0.25)
    changed = ActiveProblem(levels, cost, free, CONFIG, reach=8).change(image, guess, 400)
    far = np.abs(np.arange(SIZE) - (SIZE - 1) / 2) > 8 + 1 + 8
    np.testing.assert_array_equal(changed[:, :, far], 0.25)
    # The plain solver finds the same where the rest is no unknown either, but a change that the image has already:
    # its links pull towards no change at all, so that the two agree in the middle alone.
    near = ActiveProblem(levels, cost, free, CONFIG, reach=24).change(image, guess, 400)
    middle = slice(SIZE // 2 - 1, SIZE // 2 + 1)
    np.testing.assert_allclose(changed[:, :, middle], near[:, :, middle], atol=5e-3)


def test_seams_on_coarse_mips_alone_and_none_at_all():
    levels, cost, free, image = seam_problem(mips=(2,))
    expected = QuadraticProblem(levels, cost, free, CONFIG).change(image)
    np.testing.assert_allclose(ActiveProblem(levels, cost, free, CONFIG).change(image), expected, atol=1e-4)
    assert not ActiveProblem([], cost, free, CONFIG, reach=4).change(image).any()
    assert not ActiveProblem(levels, cost, np.zeros_like(free), CONFIG).change(image).any()


def test_the_same_bits_with_any_number_of_threads():
    levels, cost, free, image = seam_problem(4)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(ActiveProblem(levels, cost, free, CONFIG).change(image))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_a_change_is_prolonged_between_free_texels():
    levels, cost, free, _ = seam_problem(mips=(0,))
    problem = ActiveProblem(levels, cost, free, CONFIG)
    change = np.where(free[..., None], np.float32(0.3), np.float32(0.0)).repeat(2, axis=-1)
    prolonged = problem.prolonged(change)
    assert prolonged.shape == (1, 2 * SIZE, 2 * SIZE, 2)
    inside = free.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_allclose(prolonged[inside], 0.3, atol=1e-6)


def test_a_coarser_resolution_is_only_a_starting_point():
    levels, cost, free, image = seam_problem(mips=(0, 1))
    fine = ActiveProblem(levels, cost, free, CONFIG)
    coarse = ActiveProblem(
        [JumpLevel(matrix=levels[1].matrix, mip=0)], cost[:, ::2, ::2], np.ones((1, SIZE // 2, SIZE // 2), bool), CONFIG
    )
    solved = MultiresolutionProblem([fine, coarse], np.ones_like(cost)).solve(image)
    np.testing.assert_allclose(solved - image, fine.change(image), atol=1e-4)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
def test_the_form_for_graphics_cards_multiplies_alike():
    random = np.random.default_rng(3)
    dense = random.random((40, 30)) * (random.random((40, 30)) < 0.2)
    vector = torch.from_numpy(random.random(30).astype(np.float32))
    plain, torchs = (Matrix(csr_matrix(dense), torch.device("cpu"), in_torch=given) for given in (False, True))
    torch.testing.assert_close(torchs @ vector, plain @ vector)
    np.testing.assert_allclose(plain.on_host(vector.numpy()), dense.astype(np.float32) @ vector.numpy(), rtol=1e-5)
