# SPDX-License-Identifier: Apache-2.0
"""A jump at a mask's border is seen, of whatever axis and tile; one elsewhere is none of the border's."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pgc.evaluation.measures.mask_borders import border_ratios
from pgc.texture.field import BakedTexture
from tests.pgc.texture.conftest import build_quad

SIZE = 32


def _texture(values: np.ndarray) -> BakedTexture:
    return BakedTexture(maps={"base_color": [torch.from_numpy(values.astype(np.float32)).expand(3, -1, -1).clone()]})


@pytest.mark.parametrize("axis", [0, 1])
def test_a_step_at_the_border_counts_and_one_elsewhere_does_not(
    axis: int,
) -> None:
    ramp = (20 + 2 * np.arange(SIZE)) / 255
    values = np.moveaxis(np.tile(ramp, (SIZE, 1)), 1, axis)
    kept = np.moveaxis(np.tile(np.arange(SIZE) < SIZE // 2, (SIZE, 1)), 1, axis)[None]
    plain = border_ratios(build_quad(), _texture(values), kept)
    # On a ramp along one axis, places of the other axis have no jump at all, so that the mean is half of the step.
    assert plain[0].ratio == pytest.approx(2.0, abs=0.3)
    stepped = border_ratios(build_quad(), _texture(values + 0.4 * kept[0]), kept)
    assert all(after.ratio > 10 * before.ratio for after, before in zip(stepped, plain, strict=True))
    assert stepped[0].border_places == SIZE
    elsewhere = np.moveaxis(np.tile(np.arange(SIZE) < SIZE // 4, (SIZE, 1)), 1, axis)
    assert border_ratios(build_quad(), _texture(values + 0.4 * elsewhere), kept)[0].ratio < plain[0].ratio


def test_without_a_border_or_without_jumps_the_ratio_is_one() -> None:
    flat = _texture(np.full((SIZE, SIZE), 0.5))
    for kept in (np.zeros((1, SIZE, SIZE), bool), np.arange(SIZE * SIZE).reshape(1, SIZE, SIZE) % SIZE < 9):
        assert [jumps.ratio for jumps in border_ratios(build_quad(), flat, kept)] == [1.0, 1.0, 1.0]
    assert replace(border_ratios(build_quad(), flat, kept)[0], border_jump=1.0).ratio == float("inf")
