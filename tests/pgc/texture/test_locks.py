# SPDX-License-Identifier: Apache-2.0
"""Locked texels come back bit for bit, through every stage of a bake."""

import hashlib
from collections.abc import Callable

import pytest
import torch

from pgc.errors import TextureError
from pgc.mesh.data import TriangleMesh
from pgc.surface import SurfacePoints
from pgc.texture.field import BakedTexture
from pgc.texture.locks import check_locks, restore_locked
from pgc.texture.texel_pyramid import TexelPyramid, TexelPyramidConfig

SIZE = 32
CONFIG = TexelPyramidConfig(texture_size=SIZE, coarsest_size=4, start_size=32)


def _initial() -> BakedTexture:
    generator = torch.Generator().manual_seed(8)
    return BakedTexture.from_uint8(
        {"base_color": [torch.randint(0, 256, (3, SIZE, SIZE), dtype=torch.uint8, generator=generator)]}
    )


def _sha(values: torch.Tensor) -> str:
    return hashlib.sha256(values.contiguous().numpy().tobytes()).hexdigest()


def test_locked_texels_keep_their_bytes_and_their_look(
    two_charts: TriangleMesh, make_points: Callable[..., SurfacePoints]
) -> None:
    locked = torch.zeros(SIZE, SIZE, dtype=torch.bool)
    locked[:, :11] = True  # part of one chart, its seam, and gutter
    field = TexelPyramid(two_charts, CONFIG, _initial(), [locked])
    adam = torch.optim.Adam(field.parameter_groups(0.2))
    uv = torch.rand(1, 2, 16, 16, generator=torch.Generator().manual_seed(1))
    points = make_points(uv, torch.full((1, 4, 16, 16), 0.4 / SIZE))
    for _ in range(20):
        field.set_progress(1.0)
        adam.zero_grad(set_to_none=True)
        field.sample(points)["base_color"].sum().backward()
        adam.step()
    before, after = (texture.to_uint8()["base_color"][0] for texture in (_initial(), field.bake()))
    assert _sha(after[:, locked]) == _sha(before[:, locked])
    assert not torch.equal(after[:, ~locked], before[:, ~locked])
    assert torch.equal(
        field.bake(finish=False).maps["base_color"][0][:, locked], _initial().maps["base_color"][0][:, locked]
    )
    rows = torch.tensor([3, 17])
    u, v = (torch.tensor([4, 9]) + 0.5) / SIZE, 1.0 - (rows + 0.5) / SIZE
    seen = field.sample(make_points(torch.stack([u, v])[None, :, None], torch.full((1, 4, 1, 2), 1e-6)))
    torch.testing.assert_close(seen["base_color"][0, :, 0], _initial().maps["base_color"][0][:, rows, [4, 9]])


def test_a_mask_needs_an_initial_texture() -> None:
    with pytest.raises(TextureError, match="without an initial texture"):
        check_locks([torch.ones(SIZE, SIZE, dtype=torch.bool)], None, SIZE, (1001,))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(16, 16, dtype=torch.bool), "resize the mask to 32x32"),
        (torch.ones(48, 48, dtype=torch.bool), "is 48x48, .* resize the mask to 32x32"),
        (torch.ones(SIZE, 33, dtype=torch.bool), "resize the mask to 32x32"),
        (torch.ones(SIZE, SIZE), "expected bool"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(mask: torch.Tensor, message: str) -> None:
    with pytest.raises(TextureError, match=message):
        check_locks([mask], _initial(), SIZE, (1001,))


@pytest.mark.parametrize(("masks", "tiles"), [(1, (1001, 1002)), (2, (1001,))])
def test_one_mask_a_tile(masks: int, tiles: tuple[int, ...]) -> None:
    with pytest.raises(TextureError, match="one mask a tile"):
        check_locks([torch.ones(SIZE, SIZE, dtype=torch.bool)] * masks, _initial(), SIZE, tiles)


def test_locked_texels_alone_are_put_back() -> None:
    texture, initial = torch.zeros(2, 3, 4, 4), torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    locked = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    locked[1, :, 2:] = True
    kept = restore_locked(texture, initial, locked)
    assert torch.equal(kept[1, :, 2:], initial[1, :, 2:])
    assert not kept[0].any()
    assert not kept[1, :, :2].any()
    assert restore_locked(texture, initial, None) is texture


def test_a_mask_that_locks_nothing_costs_nothing() -> None:
    assert check_locks([torch.zeros(SIZE, SIZE, dtype=torch.bool)], _initial(), SIZE, (1001,)) is None
